"""The services of today beside those of each earlier release, which are there as the messages that they wrote."""

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from shared import schema, topology
from shared.commands import COMMAND, routing_key
from shared.publishing import Outgoing, Publisher
from tests.contracts.release import RELEASED
from tests.e2e.client import clients_of
from tests.faults.later_release import LATER
from tests.integration.gateway.listening import Listener
from tests.made import new_id
from tests.servers.parley import Parley
from tests.servers.waiting import eventually

RELEASES = sorted(path for path in RELEASED.iterdir() if path.is_dir())
releases = pytest.mark.parametrize("release", RELEASES, ids=lambda release: release.name)
EVENT_TYPES = ("message.posted", "message.redacted", "dispute.opened", "dispute.closed", "thread.read")


def _written(release: Path, *kinds: str) -> list[dict[str, Any]]:
    """The release's messages of these kinds, as it wrote them but for what must be of now: id, time, the post that one waits for."""
    found = [json.loads(path.read_text()) for kind in kinds for path in sorted(release.glob(f"parley.{kind}*.json"))]
    for message in found:
        message |= {"id": new_id(), "time": datetime.now(UTC).isoformat()}
        message["data"].pop("after", None)
    return found


async def _publish(parley: Parley, user: str, exchange: str, messages: list[dict[str, Any]]) -> None:
    publisher = Publisher(parley.vhost.url(user), name="earlier-release")
    await publisher.connected()
    for message in messages:
        kind = message["type"].removeprefix("parley.").rpartition(".")[0]
        key = routing_key(COMMAND.validate_python(message)) if kind.startswith("command.") else kind
        await publisher.publish(Outgoing(exchange, key, json.dumps(message).encode(), message_id=message["id"]))
    await publisher.close()


async def _assert_all_taken(parley: Parley, queue: str) -> None:
    """None of it is ready, in a consumer's hands, or on its way round through a retry tier: what is not dead by then is done."""

    async def is_settled() -> bool:
        retries = [topology.retry_queue(queue, tier) for tier in topology.tiers(queue)]
        return await parley.vhost.held(queue, *retries) == 0

    await eventually(is_settled, timeout_s=60, what=f"all of {queue} being settled")
    dead = await parley.vhost.take_all(topology.dead_queue(queue))
    assert [(message.headers.get("x-parley-reason"), message.body) for message in dead] == []


@releases
async def test_threads_of_today_takes_the_commands_of_an_earlier_gateway(running_parley: Parley, release: Path) -> None:
    await _publish(running_parley, "shop", topology.SHOP_ORDERS, _written(release, "order.placed"))
    await _assert_all_taken(running_parley, topology.ORDERS_QUEUE)
    commands = _written(release, "command.")
    await _publish(running_parley, "gateway", topology.COMMANDS, commands)
    await _assert_all_taken(running_parley, topology.COMMANDS_QUEUE)
    texts = {each["data"]["text"] for each in commands if each["type"] == "parley.command.message.post.v1"}
    async with clients_of(running_parley) as clients:
        customer = clients.customer()

        async def stored() -> bool:
            return texts <= {entry.get("text") for entry in await customer.history()}

        await eventually(stored, what="the earlier gateway's post")


@releases
async def test_the_notifier_of_today_mails_what_an_earlier_threads_addressed(
    running_parley: Parley, release: Path
) -> None:
    messages = _written(release, "entry.addressed", "preferences.changed", "thread.read", "message.redacted")
    await _publish(running_parley, "threads", topology.NOTIFICATIONS, messages[:1])
    (mail, *_) = await running_parley.smtp.wait_for(1)
    assert mail.recipients == (messages[0]["data"]["recipients"][0]["email"],)
    await _publish(running_parley, "threads", topology.NOTIFICATIONS, messages[1:])
    await _assert_all_taken(running_parley, topology.NOTIFIER_QUEUE)


@releases
async def test_a_gateway_of_today_tells_live_what_an_earlier_threads_said(
    running_parley: Parley, release: Path
) -> None:
    events = _written(release, *EVENT_TYPES)
    customer = events[0]["data"]["customer_id"]
    async with aiohttp.ClientSession() as session:
        listener = Listener(session, running_parley.customer(customer))
        async with listener.connected(running_parley.gateway_url):
            await eventually(lambda: listener.blocks, what="the stream's first block")
            await _publish(running_parley, "threads", topology.EVENTS, events)
            await eventually(
                lambda: {"message.posted", "dispute.opened"} <= {block.event for block in listener.events},
                what="the earlier release's events",
            )


async def test_an_old_and_a_new_worker_that_start_together_leave_one_database_that_both_can_use(
    parley: Parley, mongo_client: Any
) -> None:
    """A later release's worker migrates while this one's does, and both go on."""
    store = mongo_client[parley.database_names["threads"]]
    parley.start("threads")
    parley.add("threads", label="later", module="tests.faults.later_release").start()
    await parley.ready()
    assert (await schema.stored(store))[0] == LATER[-1].version
    parley.services["threads"].term()
    await parley.services["threads"].start().ready()
