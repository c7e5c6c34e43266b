"""The seed of `make demo SEED=40`: what it must hold, without servers, and on a real Parley."""

import pytest

from deploy.local.demo import asked_count
from deploy.local.demo_api import Json, ParleyApi, session
from deploy.local.errors import StackError
from deploy.local.seed import SeededConversation, Seeder, seeded_conversations
from shared.fields import GIVEN
from shared.orders import OrderSnapshot
from tests.servers.mongodb import SharedMongo
from tests.servers.parley import own_parley
from tests.servers.rabbitmq import SharedRabbit

COUNT = 40


def steps(conversations: list[SeededConversation], does: str) -> list[str]:
    return [" ".join(step[2:]) for each in conversations for step in each.steps if step[1] == does]


def test_it_holds_what_a_shop_meets() -> None:
    conversations = seeded_conversations(COUNT)
    orders = [each.order for each in conversations]
    said = steps(conversations, "says")

    assert len({order.customer.locale for order in orders}) == 10
    assert sum(order.seller is None for order in orders) >= 5
    assert len({order.seller.id for order in orders if order.seller}) == 4
    assert sum(order.is_guest for order in orders) == 3
    assert max(len(order.customer.name) for order in orders) > 50
    assert len(steps(conversations, "opens")) > len(steps(conversations, "closes")) > 2
    assert any("https://tracking.example/" in text for text in said)
    assert max(map(len, said)) > 1_000
    assert steps(conversations, "wrote")
    assert steps(conversations, "removes")


def test_every_order_is_one_that_the_contract_takes() -> None:
    for each in seeded_conversations(COUNT):
        OrderSnapshot.model_validate(each.order.snapshot, context=GIVEN)


def test_the_same_number_makes_the_same_and_a_larger_one_more_of_it() -> None:
    assert seeded_conversations(COUNT) == seeded_conversations(COUNT)
    assert seeded_conversations(90)[:COUNT] == seeded_conversations(COUNT)
    assert len({each.order_id for each in seeded_conversations(90)}) == 90


@pytest.mark.parametrize("given", ["0", "-3", "many", "10001", "4.5"])
def test_a_number_that_is_none_is_said(given: str) -> None:
    with pytest.raises(StackError, match=f"SEED must be a number of conversations from 1 to 10000, not {given}"):
        asked_count(given)


async def test_it_is_there_in_its_order_and_a_second_time_changes_nothing(
    rabbitmq_server: SharedRabbit, mongo_server: SharedMongo, tmp_path_factory: pytest.TempPathFactory
) -> None:
    conversations = seeded_conversations(COUNT)
    with own_parley(rabbitmq_server, mongo_server, tmp_path_factory.mktemp("seed")) as parley:
        parley.start()
        await parley.ready()
        async with session() as http:
            api = ParleyApi(http, parley.gateway_url, parley.mint)
            seeder = Seeder(api, parley.vhost.url("shop"), parley.mint)

            async def listed() -> list[Json]:
                _, page = await api.get(parley.admin(), f"/v1/threads?limit={COUNT}")
                rows: list[Json] = page["items"]
                return rows

            assert await seeder.run(conversations) == COUNT
            first = await listed()
            assert await seeder.run(conversations) == 0
            assert await listed() == first

    now = [each.order_id for each in conversations if each.steps[-1][1] != "wrote"]
    assert [row["order"]["order_id"] for row in first][: len(now)] == now
    disputes = [row["thread"]["dispute"] for row in first if row["thread"]["dispute"]]
    assert {dispute["state"] for dispute in disputes} == {"open", "closed"}
    assert any(row["thread"]["unread"] > 0 for row in first)
    assert any(row["thread"]["unread"] == 0 for row in first)
