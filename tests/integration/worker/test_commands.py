"""Commands through a real worker: committed once, announced once, answered as the first time."""

from datetime import UTC, datetime, timedelta
from typing import Any

from pymongo import AsyncMongoClient
from uuid6 import uuid7

from shared import topology
from shared.orders import Customer, Seller
from tests.integration.worker.wire import SAID_AT, Wire
from tests.made import (
    ADMIN,
    CUSTOMER,
    OTHER_CUSTOMER,
    SELLER,
    SELLER_TOO,
    close_dispute,
    mark_read,
    new_id,
    open_dispute,
    post,
    snapshot,
)
from tests.servers.parley import Parley
from tests.servers.waiting import eventually


async def _started(parley: Parley, wire: Wire) -> None:
    parley.start("threads")
    await parley.ready()
    await wire.order(snapshot())


async def test_a_post_is_stored_announced_and_answered(parley: Parley, wire: Wire) -> None:
    await _started(parley, wire)
    answer = await wire.ask(post("Where is my lamp?"))
    assert (answer.state, answer.status) == ("done", 201)
    assert answer.result is not None
    assert (answer.result["seq"], answer.result["text"], answer.result["mine"]) == (1, "Where is my lamp?", True)
    await wire.until(lambda: bool(wire.event_ids()) and bool(wire.notifications))
    assert [each["email"] for each in wire.notifications[0]["data"]["recipients"]] == ["seller@example.com"]
    assert "@" not in str(wire.events)


async def test_a_redelivered_message_is_stored_and_announced_once(parley: Parley, wire: Wire) -> None:
    await _started(parley, wire)
    command = post("Only once")
    first = await wire.ask(command)
    second = await wire.ask(command)
    third = await wire.ask(command)
    assert first == second == third
    after = await wire.ask(post("A later one"))
    assert after.result is not None
    assert after.result["seq"] == 2
    await wire.until(lambda: len(set(wire.event_ids())) == 2)
    assert wire.event_ids().count(command.id) == 1


async def test_other_content_under_a_known_id_is_refused_and_touches_nothing(parley: Parley, wire: Wire) -> None:
    await _started(parley, wire)
    command = post("This")
    await wire.ask(command)
    other = await wire.ask(post("That", id=command.id))
    assert other.problem is not None
    assert (other.status, other.problem.code) == (409, "idempotency_conflict")
    assert (await wire.ask(command)).status == 201


async def test_a_login_is_not_answered_with_what_it_did_as_another_seller(parley: Parley, wire: Wire) -> None:
    await _started(parley, wire)
    command = post("As one", by=SELLER)
    as_another = SELLER.model_copy(update={"seller_id": "s-other"})
    assert (await wire.ask(command)).status == 201
    refused = await wire.ask(post("As one", by=as_another, id=command.id))
    assert refused.problem is not None
    assert (refused.status, refused.problem.code) == (404, "not_found")
    assert (await wire.ask(command)).status == 201


async def test_a_repeated_command_is_answered_as_the_first_time_after_the_state_changed(
    parley: Parley, wire: Wire
) -> None:
    await _started(parley, wire)
    refused, opening, closing = close_dispute(), open_dispute(), close_dispute()
    first = [await wire.ask(command) for command in (refused, opening, closing)]
    assert [answer.status for answer in first] == [409, 201, 200]
    again = [await wire.ask(command) for command in (closing, opening, refused)]
    assert again == list(reversed(first))


async def test_opening_an_open_dispute_is_the_same_dispute(parley: Parley, wire: Wire) -> None:
    await _started(parley, wire)
    first, second = await wire.ask(open_dispute()), await wire.ask(open_dispute(by=ADMIN))
    assert first.result is not None
    assert second.result is not None
    assert (second.status, second.result["id"]) == (200, first.result["id"])
    closed = await wire.ask(close_dispute(by=ADMIN))
    reopened = await wire.ask(open_dispute())
    assert closed.status == 200
    assert reopened.result is not None
    assert reopened.result["id"] != first.result["id"]


async def test_acting_on_an_old_picture_of_the_dispute_is_refused(parley: Parley, wire: Wire) -> None:
    await _started(parley, wire)
    opened = await wire.ask(open_dispute())
    assert opened.result is not None
    stale = await wire.ask(close_dispute(expected='"none"'))
    seen = await wire.ask(close_dispute(expected=str(opened.result["etag"])))
    assert (stale.status, seen.status) == (412, 200)


async def test_a_seller_may_not_open_or_close_a_dispute(parley: Parley, wire: Wire) -> None:
    await _started(parley, wire)
    assert (await wire.ask(open_dispute(by=SELLER))).status == 403
    await wire.ask(open_dispute())
    assert (await wire.ask(close_dispute(by=SELLER))).status == 403


async def test_an_unknown_order_and_another_persons_order_look_alike(parley: Parley, wire: Wire) -> None:
    await _started(parley, wire)
    unknown = await wire.ask(post("Hello?", order_id="9999"))
    others = await wire.ask(post("Hello?", by=OTHER_CUSTOMER))
    assert unknown.problem is not None
    assert others.problem is not None
    assert (unknown.status, others.status) == (404, 404)
    assert unknown.problem.detail.replace("9999", "1042") == others.problem.detail


async def test_a_post_that_overtakes_its_order_event_is_kept(parley: Parley, wire: Wire) -> None:
    parley.start("threads")
    await parley.ready()
    early = post("Before the order was known")
    await wire.send(early)
    await eventually(lambda: _waits(parley), what="the post waiting in a retry tier")
    await wire.order(snapshot())
    await wire.until(lambda: early.id in wire.replies)
    assert wire.replies[early.id][0].status == 201


async def _waits(parley: Parley) -> bool:
    tiers = [topology.retry_queue(topology.COMMANDS_QUEUE, tier) for tier in topology.RETRY_TIERS_MS]
    return any([await parley.vhost.depth(tier) for tier in tiers])


async def test_posts_that_name_their_predecessor_are_committed_after_it(parley: Parley, wire: Wire) -> None:
    await _started(parley, wire)
    first = post("first")
    second = post("second", after=first.id)
    third = post("third", after=second.id)
    for command in (third, second, first):
        await wire.send(command)
    await wire.until(lambda: all(command.id in wire.replies for command in (first, second, third)))
    results = [wire.replies[command.id][0].result or {} for command in (first, second, third)]
    assert [result["seq"] for result in results] == [1, 2, 3]


async def test_a_post_whose_predecessor_never_comes_is_committed_all_the_same(parley: Parley, wire: Wire) -> None:
    await _started(parley, wire)
    assert (await wire.ask(post("alone", after=new_id()))).status == 201


async def test_a_read_mark_clears_the_inbox_and_may_go_back(parley: Parley, wire: Wire) -> None:
    await _started(parley, wire)
    for text in ("one", "two", "three"):
        await wire.ask(post(text))
    assert (await wire.ask(mark_read(2, by=SELLER))).result == {"order_id": "1042", "up_to_seq": 2, "unread": 1}
    assert (await wire.ask(mark_read(3, by=SELLER_TOO))).result == {"order_id": "1042", "up_to_seq": 3, "unread": 0}
    assert (await wire.ask(mark_read(0, by=SELLER))).result == {"order_id": "1042", "up_to_seq": 0, "unread": 3}
    assert (await wire.ask(mark_read(9, by=SELLER))).status == 422
    await wire.until(lambda: sum(event["type"] == "parley.thread.read.v1" for event in wire.events) == 3)


async def test_an_older_read_mark_that_comes_late_changes_nothing(parley: Parley, wire: Wire) -> None:
    await _started(parley, wire)
    await wire.ask(post("one"))
    await wire.ask(post("two"))
    older, newer = str(uuid7()), str(uuid7())
    await wire.ask(mark_read(2, by=SELLER, stamp=newer))
    late = await wire.ask(mark_read(0, by=SELLER, stamp=older))
    assert late.result is not None
    assert late.result["unread"] == 0


async def test_a_client_that_repeats_a_read_mark_does_not_undo_a_later_one(parley: Parley, wire: Wire) -> None:
    await _started(parley, wire)
    await wire.ask(post("one"))
    read = mark_read(1, by=SELLER)
    await wire.ask(read)
    await wire.ask(mark_read(0, by=SELLER))
    repeated = await wire.ask(read.model_copy(update={"stamp": str(uuid7())}))
    assert repeated == wire.replies[read.id][0]
    assert (await wire.ask(mark_read(0, by=SELLER))).result == {"order_id": "1042", "up_to_seq": 0, "unread": 1}


async def test_order_events_repeated_and_out_of_order_end_at_the_newest(
    parley: Parley, wire: Wire, mongo_client: AsyncMongoClient[dict[str, Any]]
) -> None:
    parley.start("threads")
    await parley.ready()
    for version, status in ((3, "shipped"), (1, "placed"), (3, "shipped"), (2, "paid")):
        await wire.order(snapshot(version=version, status=status))
    await wire.ask(post("settled"))
    await eventually(lambda: _is_settled(parley, topology.ORDERS_QUEUE), what="all four order events being settled")
    database = mongo_client[parley.database_names["threads"]]
    order = await database["orders"].find_one({"_id": "1042"})
    thread = await database["threads"].find_one({"_id": "1042"})
    assert order is not None
    assert thread is not None
    assert (order["version"], thread["version"], thread["order"]["status"]) == (3, 3, "shipped")


async def _is_settled(parley: Parley, queue: str) -> bool:
    """Whether the queue is empty, and nothing that came out of it is still in hand."""
    return await parley.vhost.held(queue) == 0


async def _depth_is(parley: Parley, queue: str, depth: int) -> bool:
    return await parley.vhost.depth(queue) == depth


async def test_contradicting_order_events_are_dead_lettered_with_their_reason(parley: Parley, wire: Wire) -> None:
    await _started(parley, wire)
    await wire.ask(post("known"))
    await wire.order(snapshot(status="other content"))
    await wire.order(snapshot(version=2, customer=Customer(id="c-99", name="Mallory")))
    await wire.order(snapshot(version=2, seller=Seller(id="s-99", name="Mallory")))
    await wire.raw_order(b"no json")
    await wire.raw_order(b'{"order_id": "1"}')
    await wire.raw_order(b"x" * 12_000_000)
    dead = topology.dead_queue(topology.ORDERS_QUEUE)
    await eventually(lambda: _depth_is(parley, dead, 6), what="six dead letters")
    letters = await parley.vhost.take_all(dead)
    reasons = sorted(str(letter.headers["x-parley-reason"]) for letter in letters)
    assert reasons == ["invalid", "invalid", "parties_changed", "parties_changed", "too_large", "version_conflict"]
    await wire.order(snapshot("1043"))
    assert (await wire.ask(post("the consumer goes on", order_id="1043"))).status == 201


async def test_an_order_with_an_address_that_no_mail_can_be_sent_to_is_dead_and_the_field_is_named(
    parley: Parley, wire: Wire
) -> None:
    await _started(parley, wire)
    await wire.order(snapshot(version=2, customer=Customer(id="c-7", name="Ada", email="ada@old@example.com")))
    dead = topology.dead_queue(topology.ORDERS_QUEUE)
    await eventually(lambda: _depth_is(parley, dead, 1), what="a dead letter")
    [letter] = await parley.vhost.take_all(dead)
    assert str(letter.headers["x-parley-reason"]) == "invalid"
    assert "customer.email" in str(letter.headers["x-parley-detail"])
    assert "ada@" not in str(letter.headers["x-parley-detail"])


async def test_of_one_version_the_newer_source_time_stands_and_an_older_one_is_no_fault(
    parley: Parley, wire: Wire, mongo_client: AsyncMongoClient[dict[str, Any]]
) -> None:
    """Two changes in one second of the shop's clock: `order.created` and `order.updated` right after a payment."""
    await _started(parley, wire)
    newest = snapshot(status="paid").model_copy(update={"updated_at": SAID_AT + timedelta(milliseconds=2)})
    await wire.order(newest, at=SAID_AT - timedelta(days=1))
    for status, at in (("placed", SAID_AT), ("authorized", SAID_AT + timedelta(milliseconds=1))):
        await wire.order(snapshot(status=status), at=at)
    await eventually(lambda: _is_settled(parley, topology.ORDERS_QUEUE), what="the order events being settled")
    database = mongo_client[parley.database_names["threads"]]
    thread = await database["threads"].find_one({"_id": "1042"})
    assert thread is not None
    assert thread["order"]["status"] == "paid"
    assert await parley.vhost.depth(topology.dead_queue(topology.ORDERS_QUEUE)) == 0


async def test_a_guest_may_become_an_account_and_nobody_else(parley: Parley, wire: Wire) -> None:
    parley.start("threads")
    await parley.ready()
    await wire.order(snapshot(customer=Customer(id="g-1", name="Guest", guest=True)))
    guest = CUSTOMER.model_copy(update={"role": "guest", "id": "g-1", "order_id": "1042"})
    assert (await wire.ask(post("as a guest", by=guest))).status == 201
    await wire.order(snapshot(version=2, customer=Customer(id="c-7", name="Ada")))
    answer = await wire.ask(post("as an account"))
    assert (answer.status, (answer.result or {})["seq"]) == (201, 2)
    assert (await wire.ask(post("the old link", by=guest))).status == 404


async def test_a_command_older_than_its_outcome_is_kept_goes_to_the_dead_letters(parley: Parley, wire: Wire) -> None:
    await _started(parley, wire)
    await wire.send(post("from long ago", time=datetime.now(UTC) - timedelta(days=91)))
    dead = topology.dead_queue(topology.COMMANDS_QUEUE)
    await eventually(lambda: _depth_is(parley, dead, 1))
    [letter] = await parley.vhost.take_all(dead)
    assert letter.headers["x-parley-reason"] == "too_old"


async def test_what_was_not_found_is_decided_anew_when_its_caller_repeats_it(parley: Parley, wire: Wire) -> None:
    parley.start("threads")
    await parley.ready()
    command = post("too early")
    assert (await wire.ask(command)).status == 404
    await wire.order(snapshot())
    assert (await wire.ask(command)).status == 404
    repeated = command.model_copy(update={"stamp": str(uuid7())})
    assert (await wire.ask(repeated)).status == 201
    assert (await wire.ask(command)).status == 201


async def test_ten_answers_that_say_what_was_seen_leave_nothing_unread(parley: Parley, wire: Wire) -> None:
    await _started(parley, wire)
    for number in range(10):
        asked = await wire.ask(post(f"Question {number}", by=CUSTOMER))
        assert asked.result is not None
        await wire.ask(post(f"Answer {number}", by=SELLER, seen_seq=asked.result["seq"]))
    marks = wire.told("parley.thread.read.v1")
    await wire.until(lambda: len(marks()) == 10)
    assert [mark["up_to_seq"] for mark in marks()] == [2 * number + 1 for number in range(10)]
    assert [mark["unread"] for mark in marks()] == [0] * 10
    await wire.until(lambda: [each["type"] for each in wire.notifications].count("parley.thread.read.v1") == 10)


async def test_a_repeated_post_that_says_it_has_seen_more_is_the_same_post(parley: Parley, wire: Wire) -> None:
    await _started(parley, wire)
    for number in range(3):
        await wire.ask(post(f"Question {number}", by=CUSTOMER))
    answer = post("Answer", by=SELLER, seen_seq=1)
    again = answer.model_copy(
        update={"data": answer.data.model_copy(update={"seen_seq": 3}), "stamp": f"{uuid7()}"},
    )
    without = answer.model_copy(update={"data": answer.data.model_copy(update={"seen_seq": None})})
    assert await wire.ask(answer) == await wire.ask(again) == await wire.ask(without)
    marked = await wire.ask(mark_read(3, by=SELLER))
    assert marked.state == "done"
    marks = wire.told("parley.thread.read.v1")
    await wire.until(lambda: [mark["up_to_seq"] for mark in marks()] == [1, 3])
