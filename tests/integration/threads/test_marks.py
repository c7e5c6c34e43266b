"""Read marks of many threads, on a real MongoDB: as many round trips as for one, nothing told of what stands already, and everything in slices."""

from collections.abc import AsyncIterator
from datetime import UTC, datetime
from typing import Any

import bson
import pytest
from pymongo import AsyncMongoClient

from services.threads import command_status, indexes
from services.threads.addresses import AddressKeys
from services.threads.announcements import Announcements
from services.threads.answers import in_full
from services.threads.effects import Applied, EffectCommand, Effects
from services.threads.mark_runs import MarkRuns
from services.threads.marks import PAGE
from services.threads.orders import Orders
from services.threads.outcomes import Outcome, Outcomes
from services.threads.people import People
from services.threads.rebuild import Difference, differences
from shared import mongo
from shared.callers import Caller
from shared.commands import MarksToSet, MarkThreadsRead, ThreadMark
from shared.errors import not_found
from shared.mongo import Database, Document
from tests.integration.threads.asking import Recorder
from tests.integration.threads.documents import Shop, customer, seller, snapshot
from tests.made import envelope, mark_read
from tests.servers.mongodb import FreshDatabases, SharedMongo

SECRET = "a secret of the tests, 32 bytes or more"
SELLER, SELLER_TOO = seller("anna"), seller("bert")


@pytest.fixture
async def database(mongo_server: SharedMongo, recorded_client: AsyncMongoClient[Document]) -> AsyncIterator[Database]:
    """threads' database, of one test."""
    databases = FreshDatabases(mongo_server)
    made = mongo.database(recorded_client, databases("threads"))
    await indexes.ensure(made)
    yield made
    databases.drop()


class Worker:
    """The part of a worker that applies what makes no entry."""

    def __init__(self, database: Database) -> None:
        self.shop, self.database = Shop(database), database
        self.runs = MarkRuns(database)
        self._effects = Effects(
            log=self.shop.log,
            marks=self.shop.marks,
            runs=self.runs,
            people=People(database),
            orders=Orders(database),
            announcements=Announcements(link_secret=SECRET, address_keys=AddressKeys(SECRET)),
        )

    async def talk(self, count: int, *, by: str = "c-1", of: str = "s-1") -> None:
        """So many orders, each with a message of its customer."""
        for number in range(count):
            order_id = f"o-{number:04d}"
            await self.shop.place(snapshot(order_id, customer_id=by, seller_id=of))
            await self.shop.post(order_id, customer(by))

    async def step(self, command: EffectCommand) -> Applied:
        """One step, with all that follows from it but the publishing."""
        applied = await self._effects.apply(command)
        if applied.then is not None:
            await applied.then()
        return applied

    async def unread(self) -> int:
        return await self.database["threads"].count_documents({"lists": "seller:s-1/unread"})


def marks(*named: tuple[str, int], by: Caller = SELLER, **more: Any) -> MarkThreadsRead:
    threads = tuple(ThreadMark(order_id=order_id, up_to_seq=seq) for order_id, seq in named)
    return MarkThreadsRead(data=MarksToSet(caller=by, threads=threads), **envelope(**more))


def everything(by: Caller = SELLER, **more: Any) -> MarkThreadsRead:
    return MarkThreadsRead(data=MarksToSet(caller=by, all_threads=True), **envelope(**more))


async def test_marks_of_a_hundred_threads_take_as_many_round_trips_as_those_of_one(
    database: Database, recorder: Recorder
) -> None:
    worker = Worker(database)
    await worker.talk(101)
    counts = []
    for named in ([("o-0100", 1)], [(f"o-{number:04d}", 1) for number in range(100)]):
        with recorder.recording() as sent:
            applied = await worker.step(marks(*named))
        counts.append(len(sent))
        assert applied.answer is not None
        assert (applied.answer.result or {})["marked"] == len(named)
        assert len(applied.outgoing) == 2 * len(named)
    assert counts[0] == counts[1] <= 8
    assert await worker.unread() == 0


async def test_a_mark_that_stands_already_is_told_nobody_and_an_older_one_that_comes_late_does_not_win(
    database: Database,
) -> None:
    worker = Worker(database)
    await worker.talk(2)
    first, older, again = (mark_read(seq, by=SELLER, order_id="o-0000") for seq in (1, 0, 1))
    told = [len((await worker.step(command)).outgoing) for command in (first, again)]
    assert told == [2, 0]
    before = await database["threads"].find_one({"_id": "o-0000"})
    late = await worker.step(older)
    assert late.answer is not None
    assert (late.answer.result or {})["unread"] == 0
    assert await database["threads"].find_one({"_id": "o-0000"}) == before


async def test_a_mark_that_is_delivered_again_is_told_again_since_nobody_knows_whether_it_was(
    database: Database,
) -> None:
    worker = Worker(database)
    await worker.talk(1)
    command = mark_read(1, by=SELLER, order_id="o-0000")
    told = [len((await worker.step(command)).outgoing) for _ in range(2)]
    assert told == [2, 2]


async def test_marks_of_one_list_stand_in_both_places_and_the_projection_is_what_a_rebuild_makes(
    database: Database,
) -> None:
    worker = Worker(database)
    await worker.talk(30)
    await worker.step(marks(*((f"o-{number:04d}", number % 2) for number in range(30))))
    await worker.step(marks(*((f"o-{number:04d}", 1) for number in range(20)), by=SELLER_TOO))
    assert await database["reads"].count_documents({"person": "seller:anna", "seq": 1}) == 15
    assert await database["reads"].count_documents({"person": "seller:bert", "seq": 1}) == 20
    assert await worker.unread() == 5
    assert await differences(database) == Difference(orders=[], unreadable=[])


async def test_a_list_without_one_own_thread_is_refused_and_leaves_no_list(database: Database) -> None:
    worker = Worker(database)
    await worker.talk(1, of="s-2")
    applied = await worker.step(marks(*(("x" * 60 + f"{number:04d}", 1) for number in range(99)), ("o-0000", 1)))
    assert applied.answer is not None
    assert applied.answer.problem is not None
    assert applied.answer.problem.code == "not_found"
    assert len(bson.encode(applied.answer.model_dump(mode="json"))) < 500


async def test_an_outcome_keeps_codes_and_says_the_documents(database: Database) -> None:
    worker = Worker(database)
    await worker.talk(1)
    strangers = ["x" * 60 + f"{number:04d}" for number in range(98)]
    applied = await worker.step(marks(("o-0000", 9), *((name, 1) for name in strangers)))
    assert applied.answer is not None
    assert applied.answer.result is not None
    assert applied.answer.result["threads"] == [
        {"order_id": "o-0000", "up_to_seq": 9, "code": "invalid_request"},
        *({"order_id": name, "up_to_seq": 1, "code": "not_found"} for name in strangers),
    ]
    assert len(bson.encode(applied.answer.model_dump(mode="json"))) < 15_000
    kept = Outcome(answer=applied.answer, digest="d", caller=SELLER.key, stamp="s")
    await Outcomes(database).keep([kept], now=datetime.now(UTC))
    found = await command_status.find(database, SELLER, applied.answer.command_id)
    assert found.result is not None
    said: Any = found.result["threads"]
    assert said[0]["problem"]["errors"] == [{"field": "up_to_seq", "message": "there is no entry 9"}]
    assert said[1] == {
        "order_id": strangers[0],
        "problem": not_found(strangers[0]).problem.model_dump(exclude_none=True),
    }
    assert in_full(found) == found


async def test_everything_is_marked_in_slices_and_the_answer_names_a_hundred(
    database: Database, recorder: Recorder
) -> None:
    worker = Worker(database)
    await worker.talk(2 * PAGE + 1)
    command = everything()
    unread = []
    while (applied := await worker.step(command)).answer is None:
        assert len(applied.outgoing) <= 2 * PAGE
        unread.append(await worker.unread())
    assert unread == [PAGE + 1, 1, 0]
    result: Any = applied.answer.result
    assert (result["marked"], len(result["threads"])) == (2 * PAGE + 1, 100)
    assert len(bson.encode(result)) < 10_000
    with recorder.recording() as sent:
        nothing = await worker.step(everything())
    assert nothing.answer is not None
    assert nothing.answer.result == {"threads": [], "marked": 0}
    assert nothing.outgoing == ()
    assert sorted(sent) == ["find", "findAndModify", "update"]


async def test_one_run_an_inbox_and_a_second_one_is_told_so(database: Database) -> None:
    worker, other = Worker(database), Worker(database)
    await worker.talk(PAGE + 1)
    running, second = everything(), everything(SELLER_TOO)
    await worker.step(running)
    refused = await other.step(second)
    assert refused.answer is not None
    assert refused.answer.problem is not None
    assert (refused.answer.status, refused.answer.problem.code) == (409, "conflict")
    # Another worker goes on with it, as after a crash.
    while (applied := await other.step(running)).answer is None:
        pass
    assert (applied.answer.result or {})["marked"] == PAGE + 1
    assert await worker.unread() == 0
    assert (await other.step(everything(SELLER_TOO))).answer is not None


async def test_a_slice_that_was_told_and_not_stored_is_done_again_and_counted_once(database: Database) -> None:
    worker = Worker(database)
    await worker.talk(PAGE + 2)
    command = everything()
    lost = await worker._effects.apply(command)
    assert (lost.answer, len(lost.outgoing)) == (None, 2 * PAGE)
    told = []
    while (applied := await worker.step(command)).answer is None:
        told.append(len(applied.outgoing))
    assert told == [2 * PAGE, 4]
    assert await worker.unread() == 0
    assert (applied.answer.result or {})["marked"] == PAGE + 2


async def test_a_run_that_was_given_up_gives_way(database: Database) -> None:
    worker = Worker(database)
    await worker.talk(PAGE + 1)
    await worker.step(everything())
    worker.runs._abandoned_ms = -1_000
    taken_over = await worker.step(everything(SELLER_TOO))
    assert taken_over.answer is None


async def test_what_came_after_the_moment_of_acceptance_stays_new(database: Database) -> None:
    worker = Worker(database)
    await worker.talk(2)
    last = worker.shop.entries[-1]
    command = everything(time=last.committed_at)
    await worker.shop.post("o-0000", customer())
    while (await worker.step(command)).answer is None:
        pass
    thread = await database["threads"].find_one({"_id": "o-0000"})
    assert thread is not None
    assert (thread["marks"]["seller"]["seq"], thread["unread"]["seller"]) == (1, 1)
    assert await worker.unread() == 1
