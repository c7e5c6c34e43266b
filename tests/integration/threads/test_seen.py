"""What authors had seen when they wrote: their marks, their inboxes', and how far the other side sees that they have read."""

from collections.abc import AsyncIterator, Sequence

import pytest
from pymongo import AsyncMongoClient

from services.threads import indexes
from services.threads.access import side_of
from services.threads.marks import Step
from services.threads.rebuild import Difference, differences
from services.threads.thread import Entry
from services.threads.views import seen_by
from shared import mongo
from shared.callers import Caller
from shared.events import MarkMoved
from shared.mongo import Database, Document
from shared.queries import SeenBy
from tests.integration.threads.asking import Recorder
from tests.integration.threads.documents import Shop, customer, seller, snapshot, stamp
from tests.servers.mongodb import FreshDatabases, SharedMongo

ORDER = "o-1"
SELLER, SELLER_TOO = seller("anna"), seller("bert")


@pytest.fixture
async def shop(mongo_server: SharedMongo, recorded_client: AsyncMongoClient[Document]) -> AsyncIterator[Shop]:
    """A shop with one order, whose customer has written three times."""
    databases = FreshDatabases(mongo_server)
    made = mongo.database(recorded_client, databases("threads"))
    await indexes.ensure(made)
    shop = Shop(made)
    await shop.place(snapshot(ORDER))
    for _ in range(3):
        await shop.post(ORDER, customer())
    yield shop
    databases.drop()


async def advance(shop: Shop, entries: Sequence[Entry]) -> list[MarkMoved]:
    """What finishing these entries does about marks; what is told of it."""
    steps = [
        Step(
            shop.threads[each.order_id].parties,
            each.author.person,
            each.author.side,
            each.seen.seq,
            each.seen.stamp,
            is_forward=True,
        )
        for each in entries
        if each.seen is not None
    ]
    return await shop.marks.moved(await shop.marks.advance(steps))


async def stands(database: Database, *, of: Caller = SELLER) -> tuple[int, int, int]:
    """The person's own mark, their inbox's, and what is unread there."""
    thread = await database["threads"].find_one({"_id": ORDER})
    mark = await database["reads"].find_one({"_id": f"{ORDER}|{of.person}"})
    assert thread is not None
    inbox = thread.get("marks", {}).get("seller", {"seq": 0})
    return (0 if mark is None else mark["seq"]), inbox["seq"], thread["unread"]["seller"]


async def test_who_answers_has_read_what_they_answer(shop: Shop) -> None:
    answer = await shop.post(ORDER, SELLER, seen_seq=3)
    (moved,) = await advance(shop, [answer])
    assert await stands(shop.database) == (3, 3, 0)
    assert (moved.person, moved.inbox, moved.up_to_seq, moved.unread, moved.furthest_seq) == (
        "seller:anna",
        "seller",
        3,
        0,
        3,
    )


async def test_a_post_moves_marks_no_further_than_what_was_seen_and_never_back(shop: Shop) -> None:
    await shop.read(ORDER, SELLER, 2)
    assert await advance(shop, [await shop.post(ORDER, SELLER, seen_seq=1)]) == []
    assert await stands(shop.database) == (2, 2, 1)
    await advance(shop, [await shop.post(ORDER, SELLER_TOO, seen_seq=1)])
    assert await stands(shop.database, of=SELLER_TOO) == (1, 2, 1)
    assert await differences(shop.database) == Difference(orders=[], unreadable=[])


async def test_a_number_that_the_thread_has_not_come_to_counts_as_its_newest_entry(shop: Shop) -> None:
    answer = await shop.post(ORDER, SELLER, seen_seq=99)
    assert answer.seen is not None
    assert answer.seen.seq == 3
    await advance(shop, [answer])
    await shop.post(ORDER, customer())
    assert (await stands(shop.database))[2] == 1


async def test_what_was_marked_unread_after_a_post_stays_unread_when_the_post_is_finished_once_more(shop: Shop) -> None:
    answer = await shop.post(ORDER, SELLER, seen_seq=3)
    await advance(shop, [answer])
    await shop.read(ORDER, SELLER, 2)
    assert await advance(shop, [answer]) == []
    assert await stands(shop.database) == (2, 2, 1)
    assert await differences(shop.database) == Difference(orders=[], unreadable=[])


async def test_one_that_was_finished_half_way_is_told_once_more(shop: Shop) -> None:
    answer = await shop.post(ORDER, SELLER, seen_seq=3)
    assert await advance(shop, [answer]) == await advance(shop, [answer]) != []


async def test_a_mark_older_than_the_post_that_comes_late_is_the_inboxs_alone_as_a_rebuild_has_it(
    shop: Shop,
) -> None:
    """Bert has read further than Anna, whose post moves her own mark alone; of two marks in the inbox her late one is the newer."""
    await shop.read(ORDER, SELLER_TOO, 3)
    before_the_post = shop.ticks
    shop.ticks += 1
    await advance(shop, [await shop.post(ORDER, SELLER, seen_seq=2)])
    assert await stands(shop.database) == (2, 3, 0)
    shop.ticks = before_the_post
    await shop.read(ORDER, SELLER, 1)
    assert await stands(shop.database) == (2, 1, 2)
    assert await differences(shop.database) == Difference(orders=[], unreadable=[])


async def test_posts_of_a_hundred_threads_move_marks_in_as_many_statements_as_one(
    shop: Shop, recorder: Recorder
) -> None:
    answers = []
    for number in range(100):
        await shop.place(snapshot(f"many-{number}"))
        await shop.post(f"many-{number}", customer())
        answers.append(await shop.post(f"many-{number}", SELLER, seen_seq=1))
    counts = []
    for some in (answers[:1], answers[1:]):
        with recorder.recording() as sent:
            assert len(await advance(shop, some)) == len(some)
        counts.append(len(sent))
    assert counts[0] == counts[1] <= 6


async def test_of_several_in_one_inbox_each_moves_their_own_mark_and_the_furthest_the_inboxs(shop: Shop) -> None:
    answers = [
        await shop.post(ORDER, SELLER, seen_seq=3),
        await shop.post(ORDER, SELLER, seen_seq=2),
        await shop.post(ORDER, SELLER_TOO, seen_seq=2),
    ]
    await advance(shop, answers)
    assert await stands(shop.database) == (3, 3, 0)
    assert await stands(shop.database, of=SELLER_TOO) == (2, 3, 0)
    assert await differences(shop.database) == Difference(orders=[], unreadable=[])


async def test_the_other_side_sees_the_furthest_mark_which_never_goes_back(shop: Shop) -> None:
    async def seen(caller: Caller) -> SeenBy:
        thread = await shop.database["threads"].find_one({"_id": ORDER})
        assert thread is not None
        return seen_by(thread, side_of(caller, shop.threads[ORDER].parties))

    assert await seen(customer()) == SeenBy(seller=0)
    await shop.read(ORDER, SELLER, 3)
    await shop.read(ORDER, SELLER, 1)
    assert await stands(shop.database) == (1, 1, 2)
    assert await seen(customer()) == SeenBy(seller=3)
    assert await seen(SELLER) == SeenBy(customer=0)
    assert await seen(Caller(role="admin", id="a", name="Staff")) == SeenBy(customer=0, seller=3)
    assert await differences(shop.database) == Difference(orders=[], unreadable=[])
    await shop.read(ORDER, SELLER, 2)
    assert await seen(customer()) == SeenBy(seller=3)
    assert await differences(shop.database) == Difference(orders=[], unreadable=[])


def test_stamps_of_this_shop_are_ordered() -> None:
    assert stamp(1) < stamp(2) < stamp(10)
