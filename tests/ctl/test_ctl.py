"""The operator's tool, on a Parley whose services run."""

import pytest
from pymongo import AsyncMongoClient

from deploy.ctl.__main__ import parser, run
from deploy.ctl.target import Target
from services.threads.orders import document_of
from shared import topology
from shared.orders import OrderSnapshot, order_event, order_routing_key
from shared.publishing import Outgoing, Publisher
from tests.e2e.client import Clients, clients_of
from tests.made import snapshot
from tests.servers.parley import Parley
from tests.servers.waiting import eventually


class Ctl:
    def __init__(self, parley: Parley, capsys: pytest.CaptureFixture[str]) -> None:
        names = parley.database_names
        self._target = Target(parley.vhost.url("operator"), parley.mongo.url, names["threads"], names["notifier"])
        self._capsys = capsys

    async def __call__(self, *arguments: str) -> tuple[int, str]:
        """Exit status and what was printed."""
        self._capsys.readouterr()
        status = await run(parser().parse_args(arguments), self._target)
        return status, self._capsys.readouterr().out


@pytest.fixture
def ctl(running_parley: Parley, capsys: pytest.CaptureFixture[str]) -> Ctl:
    return Ctl(running_parley, capsys)


async def _talked(parley: Parley, clients: Clients) -> str:
    """A question and its answer; the id of the answer."""
    await clients.put_order(snapshot())
    await clients.customer().post("Where is it?")
    answer = await clients.seller().post("On its way.")
    await parley.smtp.wait_for(2)
    return str(answer.body["id"])


async def test_the_life_of_a_message_is_told_from_acceptance_to_mail(running_parley: Parley, ctl: Ctl) -> None:
    async with clients_of(running_parley) as clients:
        message_id = await _talked(running_parley, clients)

    async def told() -> bool:
        _, said = await ctl("trace", message_id)
        return all(word in said for word in ("accepted", "committed as entry 2", "announced", "transmitting", "sent"))

    await eventually(told)
    _, said = await ctl("trace", message_id)
    assert "@" not in said


async def test_a_sound_system_passes_the_audit_and_a_damaged_one_does_not(
    running_parley: Parley, ctl: Ctl, mongo_client: AsyncMongoClient[dict[str, object]]
) -> None:
    async with clients_of(running_parley) as clients:
        await _talked(running_parley, clients)
        await clients.customer().call("PUT", "/v1/orders/1042/read", {"up_to_seq": 2})
    assert (await ctl("audit"))[0] == 0
    threads = mongo_client[running_parley.database_names["threads"]]
    await threads["threads"].update_one({"_id": "1042"}, {"$set": {"unread.seller": 7}})
    await threads["entries"].update_one({"seq": 2}, {"$set": {"after.entries_by_side.seller": 9}})
    status, said = await ctl("audit")
    assert status == 1
    assert "entry 2: by_side is not what a replay makes" in said
    assert "1042: the projection differs from a rebuild" in said


async def test_a_rebuild_makes_the_lists_anew(
    running_parley: Parley, ctl: Ctl, mongo_client: AsyncMongoClient[dict[str, object]]
) -> None:
    threads = mongo_client[running_parley.database_names["threads"]]
    async with clients_of(running_parley) as clients:
        await _talked(running_parley, clients)
        before = await threads["threads"].find_one({"_id": "1042"})
        await threads["threads"].delete_many({})
        assert (await ctl("rebuild"))[0] == 0
        assert await threads["threads"].find_one({"_id": "1042"}) == before
        assert (await ctl("audit"))[0] == 0
        assert (await clients.customer().get("/v1/threads")).body["items"][0]["order"]["order_id"] == "1042"


async def test_an_order_that_cannot_be_read_is_named_and_stops_nothing_else(
    running_parley: Parley, ctl: Ctl, mongo_client: AsyncMongoClient[dict[str, object]]
) -> None:
    threads = mongo_client[running_parley.database_names["threads"]]
    async with clients_of(running_parley) as clients:
        await _talked(running_parley, clients)
        kept = document_of(snapshot("bad", version=1))
        kept["snapshot"]["placed_at"] = "0001-01-01T00:00:00+14:00"
        await threads["orders"].insert_one(kept)

        for command in ("audit", "rebuild"):
            status, said = await ctl(command)
            assert (status, said.count("\n")) == (1, 2), said
            assert said.startswith("bad: the order cannot be read: placed_at: ")
        patient = {"Prefer": "wait=30"}
        assert (await clients.customer().post("Who reads this?", order_id="bad", **patient)).status == 404
        assert (await clients.customer().post("And this?", **patient)).status == 201

        await clients.put_order(snapshot("bad", version=2))
        assert (await clients.customer().post("Now somebody does", order_id="bad", **patient)).status == 201
        assert (await ctl("rebuild"))[0] == 0


async def test_a_dead_letter_is_shown_replayed_and_replaying_twice_changes_nothing(
    running_parley: Parley, ctl: Ctl, mongo_client: AsyncMongoClient[dict[str, object]]
) -> None:
    orders = mongo_client[running_parley.database_names["threads"]]["orders"]
    dead = topology.dead_queue(topology.ORDERS_QUEUE)
    async with clients_of(running_parley) as clients:
        await clients.put_order(snapshot())
        await _publish(running_parley, snapshot(status="other content"))

        async def is_dead() -> bool:
            return await running_parley.vhost.depth(dead) == 1

        await eventually(is_dead)
        _, said = await ctl("dead", "list")
        assert "version_conflict" in said
        letter_id = next(line for line in said.splitlines() if line.startswith(topology.ORDERS_QUEUE)).split()[1]
        assert "other content" in (await ctl("dead", "show", letter_id))[1]
        await orders.delete_one({"_id": "1042"})
        assert "replayed 1" in (await ctl("dead", "replay", letter_id))[1]

        async def is_kept() -> bool:
            return await orders.count_documents({"snapshot.status": "other content"}) == 1

        await eventually(is_kept)
        assert "replayed 0" in (await ctl("dead", "replay", letter_id))[1]
        assert "0 dead letters" in (await ctl("dead", "list"))[1]


async def _publish(parley: Parley, order: OrderSnapshot) -> None:
    """As a shop does over AMQP; what it publishes by `PUT` is answered, and no dead letter."""
    shop = Publisher(parley.vhost.url("shop"), name="test-shop")
    await shop.connected()
    event = order_event(order, source="shop", now=order.placed_at)
    body = event.model_dump_json(exclude_none=True).encode()
    await shop.publish(Outgoing(topology.SHOP_ORDERS, order_routing_key(event), body, message_id=event.id))
    await shop.close()


async def test_a_failed_mail_is_listed_and_sent_when_it_is_retried(running_parley: Parley, ctl: Ctl) -> None:
    running_parley.smtp.refuse("ada@example.com")
    async with clients_of(running_parley) as clients:
        await clients.put_order(snapshot())
        await clients.seller().post("Hello")

    async def failed() -> bool:
        return "failed" in (await ctl("mails", "list"))[1]

    await eventually(failed)
    _, said = await ctl("mails", "list")
    assert "550" in said
    assert "@" not in said
    running_parley.smtp.accept("ada@example.com")
    assert (await ctl("mails", "retry", said.split()[0]))[0] == 0
    await running_parley.smtp.wait_for(1)
