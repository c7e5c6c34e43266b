"""What a command makes of a thread, decided without any server."""

import itertools
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from services.threads.access import Parties
from services.threads.dispute import TABLE, Effect
from services.threads.thread import AlreadySo, Made, State, Thread, decide, new_entries
from shared.callers import SHOP_SELLER_ID, Author, Caller
from shared.commands import ImportMessage, MessageToImport
from shared.errors import ProblemError
from shared.fields import Side
from shared.queries import dispute_etag
from tests.made import ADMIN, CUSTOMER, OTHER_CUSTOMER, SELLER, close_dispute, new_id, open_dispute, post

NOW = datetime(2026, 11, 23, 9, 0, tzinfo=UTC)
PARTIES = Parties(order_id="1042", customer_id="c-7", seller_id="s-1", guest=False)
SERVICE = Caller(role="service", id="shop", name="shop")
GUEST = Caller(role="guest", id="g-1", name="Guest", order_id="1042")

WITHOUT = Thread(PARTIES, certain=True)


def _after(thread: Thread, *commands: object) -> Thread:
    for command in commands:
        decision = decide(command, thread, digest="d", now=NOW)  # type: ignore[arg-type]  # any entry command
        assert isinstance(decision, Made)
        thread = decision.thread
    return thread


OPEN = _after(WITHOUT, open_dispute())
CLOSED = _after(OPEN, close_dispute())
THREADS = {"none": WITHOUT, "open": OPEN, "closed": CLOSED}


def test_the_table_of_disputes_is_complete() -> None:
    assert set(TABLE) == set(itertools.product(("none", "open", "closed"), ("open", "close")))


@pytest.mark.parametrize(
    "caller", [CUSTOMER, ADMIN, SELLER, OTHER_CUSTOMER, SERVICE, GUEST], ids=lambda each: each.role
)
@pytest.mark.parametrize("step", ["open", "close"])
@pytest.mark.parametrize("state", ["none", "open", "closed"])
def test_every_step_by_everybody_in_every_state(state: str, step: str, caller: Caller) -> None:
    command = open_dispute(by=caller) if step == "open" else close_dispute(by=caller)
    decision = decide(command, THREADS[state], digest="d", now=NOW)
    if caller in (OTHER_CUSTOMER, SERVICE, GUEST):
        assert isinstance(decision, ProblemError)
        assert decision.problem.status == 404
    elif caller is SELLER:
        assert isinstance(decision, ProblemError)
        assert decision.problem.status == 403
    else:
        expected = {
            Effect.OPENS: Made,
            Effect.CLOSES: Made,
            Effect.ALREADY_SO: AlreadySo,
            Effect.CONFLICT: ProblemError,
        }[TABLE[state, step]]  # type: ignore[index]  # parametrised with the table's own words
        assert isinstance(decision, expected)


def test_a_dispute_that_was_closed_is_opened_as_a_new_one() -> None:
    again = _after(CLOSED, open_dispute())
    assert again.state.dispute is not None
    assert CLOSED.state.dispute is not None
    assert again.state.dispute.id != CLOSED.state.dispute.id


def test_the_state_of_a_dispute_carries_no_text() -> None:
    assert "broken" not in str(OPEN.state.document())


def test_the_etag_changes_with_every_step() -> None:
    tags = {dispute_etag(thread.state.dispute) for thread in THREADS.values()}
    assert len(tags) == 3


def test_the_customer_waits_from_their_first_unanswered_entry_on() -> None:
    first = decide(post("one"), WITHOUT, digest="d", now=NOW)
    assert isinstance(first, Made)
    second = decide(post("two"), first.thread, digest="d", now=NOW + timedelta(hours=1))
    assert isinstance(second, Made)
    assert second.entry.after.waiting_since == NOW
    answered = decide(post("answer", by=SELLER), second.thread, digest="d", now=NOW + timedelta(hours=2))
    assert isinstance(answered, Made)
    assert answered.entry.after.waiting_since is None


def test_a_state_reads_back_as_it_was_stored() -> None:
    assert State.read(CLOSED.state.document()) == CLOSED.state


def test_the_thread_of_an_unknown_order_exists_for_nobody() -> None:
    for caller in (CUSTOMER, SELLER, ADMIN):
        decision = decide(post("hello", by=caller), Thread.unknown("1042"), digest="d", now=NOW)
        assert isinstance(decision, ProblemError)
        assert decision.problem.status == 404


def _import(text: str, *, side: Side = "seller") -> ImportMessage:
    author = Author(side=side, person=f"{side}:old", name="Old")
    written_at = datetime(2020, 1, 1, tzinfo=UTC)
    data = MessageToImport(order_id="1042", caller=SERVICE, author=author, text=text, written_at=written_at)
    return ImportMessage(id=new_id(), stamp=post("x").stamp, time=NOW, data=data)


def test_an_order_that_the_shop_itself_sells_takes_no_old_message_of_a_seller() -> None:
    thread = Thread(replace(PARTIES, seller_id=SHOP_SELLER_ID), certain=True)
    refused = decide(_import("old"), thread, digest="d", now=NOW)
    assert isinstance(refused, ProblemError)
    assert refused.problem.errors is not None
    assert (refused.problem.status, refused.problem.errors[0].field) == (422, "author.side")
    assert _after(thread, _import("of the customer", side="customer"), _import("of the shop", side="shop")).seq == 2


def test_the_shops_staff_answer_as_the_seller_would() -> None:
    waiting = _after(Thread(replace(PARTIES, seller_id=SHOP_SELLER_ID), certain=True), post("where is it?"))
    answered = _after(waiting, post("on its way", by=ADMIN))
    assert (waiting.state.waiting_since, answered.state.waiting_since) == (NOW, None)
    assert answered.state.by_side == {"customer": 1, "seller": 0, "shop": 1}
    closed = _after(answered, open_dispute(), close_dispute(by=ADMIN))
    assert closed.state.dispute is not None
    assert closed.state.dispute.state == "closed"


def test_an_imported_history_is_new_for_nobody_and_comes_first() -> None:
    thread = _after(WITHOUT, _import("one"), _import("two"))
    assert (thread.seq, thread.state.imported, sum(thread.state.by_side.values())) == (2, 2, 0)
    assert new_entries(seq=2, imported=2, own=0, mark_seq=0, mark_own=0) == 0
    written = _after(thread, post("new"))
    refused = decide(_import("late"), written, digest="d", now=NOW)
    assert isinstance(refused, ProblemError)
    assert refused.problem.status == 409


def test_nothing_is_imported_from_the_future() -> None:
    command = _import("tomorrow")
    later = command.model_copy(update={"data": command.data.model_copy(update={"written_at": NOW + timedelta(days=1)})})
    refused = decide(later, WITHOUT, digest="d", now=NOW)
    assert isinstance(refused, ProblemError)
    assert refused.problem.status == 422


@pytest.mark.parametrize(
    ("seq", "imported", "own", "mark_seq", "mark_own", "new"),
    [
        (5, 0, 2, 0, 0, 3),
        (5, 0, 2, 5, 2, 0),
        (5, 0, 2, 3, 1, 1),
        (5, 2, 1, 1, 0, 2),
        (0, 0, 0, 0, 0, 0),
        (2, 0, 0, 5, 0, 0),
    ],
)
def test_what_is_new_is_counted_from_kept_numbers(
    seq: int, imported: int, own: int, mark_seq: int, mark_own: int, new: int
) -> None:
    assert new_entries(seq=seq, imported=imported, own=own, mark_seq=mark_seq, mark_own=mark_own) == new
