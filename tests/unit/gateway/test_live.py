"""Live events: who may see which, what they say, and what is kept of them."""

import json
from typing import Any

import pytest

from services.gateway.live.answer import offset_in
from services.gateway.live.audience import KIND_OF_TYPE, TOLD_TO_NOBODY, LiveEvent, ToldToNobody, listens_to
from services.gateway.live.clients import MAX_WAITING_EVENTS, Client, Clients
from services.gateway.live.ring import Ring
from services.gateway.metrics import Figures
from shared import examples
from shared.callers import Caller
from shared.errors import ProblemError
from tests.unit.gateway.happenings import ADA, BOB, STAFF, closed, live, opened, posted, read, redacted

CUSTOMER = Caller(role="customer", id="c-7", name="Ada")
OTHER_CUSTOMER = Caller(role="customer", id="c-8", name="Eve")
GUEST = Caller(role="guest", id="c-7", name="Ada", order_id="1042")
OTHER_GUEST = Caller(role="guest", id="c-7", name="Ada", order_id="1043")
SELLER = Caller(role="seller", id="login-1", name="Bob", seller_id="s-1")
SECOND_LOGIN = Caller(role="seller", id="login-2", name="Bea", seller_id="s-1")
OTHER_SELLER = Caller(role="seller", id="s-1", name="Mallory", seller_id="s-2")
ADMIN = Caller(role="admin", id="a-1", name="Staff")
SERVICE = Caller(role="service", id="shop", name="shop")

EVERYBODY = [CUSTOMER, OTHER_CUSTOMER, GUEST, OTHER_GUEST, SELLER, SECOND_LOGIN, OTHER_SELLER, ADMIN, SERVICE]
OF_THE_THREAD = [CUSTOMER, GUEST, SELLER, SECOND_LOGIN, ADMIN]


def who_sees(event: LiveEvent) -> list[Caller]:
    return [caller for caller in EVERYBODY if listens_to(caller) in event.places]


@pytest.mark.parametrize("event", [posted(), opened(), closed(), redacted()])
def test_what_happens_in_a_thread_is_told_to_its_people_and_the_shop_alone(event: Any) -> None:
    assert who_sees(live(event)) == OF_THE_THREAD


@pytest.mark.parametrize(
    ("event", "seen_by"),
    [
        (read("customer", "customer"), [CUSTOMER, GUEST]),
        (read("seller", "seller:login-1"), [SELLER, SECOND_LOGIN]),
        (read("shop", "admin:a-1"), [ADMIN]),
    ],
)
def test_a_read_mark_is_told_to_its_own_inbox_alone(event: Any, seen_by: list[Caller]) -> None:
    assert who_sees(live(event)) == seen_by


def told(event: Any, caller: Caller, *, offset: int = 7) -> tuple[dict[str, str], dict[str, Any]]:
    """The lines of the server-sent event, and its data."""
    text = live(event, offset=offset).said_to(caller.person, place=listens_to(caller)).decode()
    assert text.endswith("\n\n")
    lines = dict(line.split(": ", 1) for line in text.strip("\n").split("\n"))
    return lines, json.loads(lines["data"])


def test_an_event_has_its_offset_as_id_its_kind_and_one_line_of_json() -> None:
    lines, data = told(posted(), CUSTOMER)
    assert (lines["id"], lines["event"]) == ("7", "message.posted")
    assert data["message"]["text"] == "Hello\nthere"
    assert (data["order_id"], data["seq"], data["thread"]["last_seq"]) == ("1042", 1, 1)


@pytest.mark.parametrize(
    ("author", "of"),
    [(ADA, [CUSTOMER, GUEST]), (BOB, [SELLER]), (STAFF, [ADMIN])],
    ids=["customer", "seller", "admin"],
)
def test_a_message_is_mine_for_its_author_and_new_for_everybody_else(author: Any, of: list[Caller]) -> None:
    for caller in OF_THE_THREAD:
        message = told(posted(author), caller)[1]["message"]
        assert (message["mine"], message["new"]) == (caller in of, caller not in of)


@pytest.mark.parametrize("event", [posted(BOB), opened(), closed(), read("seller", "seller:login-1"), redacted()])
def test_no_login_and_no_id_of_a_party_is_in_it(event: Any) -> None:
    text = live(event).said_to("customer").decode()
    assert not [hidden for hidden in ("login-1", "admin:", "a-1", "c-7", "s-1", "@", "person") if hidden in text]


def test_a_disputes_steps_say_reason_outcome_and_the_tag_for_if_match() -> None:
    first, last = told(opened(), SELLER)[1], told(closed(), SELLER)[1]
    assert (first["message"]["reason"], first["message"]["outcome"]) == ("damaged", None)
    assert (last["message"]["reason"], last["message"]["outcome"]) == (None, "refunded")
    assert first["thread"]["dispute"]["etag"] == f'"{"d" * 42}.open"'
    assert last["thread"]["dispute"]["etag"] == f'"{"d" * 42}.closed"'


def test_a_mark_says_whether_it_is_ones_own() -> None:
    moved = read("seller", "seller:login-1")
    assert told(moved, SELLER)[1] == {"order_id": "1042", "up_to_seq": 3, "unread": 0, "mine": True}
    assert told(moved, SECOND_LOGIN)[1]["mine"] is False


@pytest.mark.parametrize(
    ("event", "seen_by"),
    [
        (read("customer", "customer", furthest_seq=3), [SELLER, SECOND_LOGIN, ADMIN]),
        (read("seller", "seller:login-1", furthest_seq=3), [CUSTOMER, GUEST, ADMIN]),
        (read("shop", "admin:a-1", furthest_seq=3), []),
        (read("shop", "admin:a-1", furthest_seq=3, seller_id="~shop", sold_by="shop"), [CUSTOMER, GUEST]),
        (read("customer", "customer", furthest_seq=3, seller_id="~shop", sold_by="shop"), [ADMIN]),
        (read("seller", "seller:login-1", furthest_seq=5), []),
    ],
    ids=["customer", "seller", "staff beside a seller", "the shop", "its customer", "a mark that went back"],
)
def test_the_other_side_sees_how_far_a_message_was_read_and_not_by_whom(event: Any, seen_by: list[Caller]) -> None:
    lines = {caller: told(event, caller) for caller in who_sees(live(event))}
    shown = [caller for caller, (line, _) in lines.items() if line["event"] == "thread.seen"]
    assert shown == seen_by
    side = event.data.inbox
    assert all(lines[caller][1] == {"order_id": "1042", "side": side, "seq": 3} for caller in shown)


def test_a_type_of_a_later_version_is_left_out() -> None:
    with pytest.raises(KeyError):
        LiveEvent(0, b'{"id": "x", "type": "parley.message.posted.v2", "data": {}}')


def test_an_order_that_was_refused_is_told_to_nobody() -> None:
    (refused,) = (event for event in examples.EVENTS if event.type == "parley.order.rejected.v1")
    with pytest.raises(ToldToNobody):
        live(refused)


def test_of_every_event_it_is_said_who_is_told() -> None:
    assert {event.type for event in examples.EVENTS} == KIND_OF_TYPE.keys() | TOLD_TO_NOBODY


@pytest.mark.parametrize(
    ("value", "offset"),
    [
        ("0", 0),
        ("4711", 4711),
        (None, None),
        ("", None),
        ("-1", None),
        ("1.5", None),
        ("٣", None),
        ("9" * 17, None),
        ("a", None),
    ],
)
def test_a_last_event_id_is_an_offset_or_nothing(value: str | None, offset: int | None) -> None:
    assert offset_in(value) == offset


def full(ring: Ring, *, events: int) -> Ring:
    for offset in range(events):
        ring.add(offset, live(posted(seq=offset + 1), offset=offset))
    return ring


def test_the_ring_has_everything_after_its_floor() -> None:
    ring = full(Ring(10_000_000), events=10)
    assert (ring.floor, ring.tip) == (-1, 9)
    assert [event.offset for event in ring.after(6)] == [7, 8, 9]
    assert ring.covers(-1)
    assert ring.covers(9)
    assert not ring.covers(10)


def test_the_ring_forgets_the_oldest_beyond_its_size_and_says_so() -> None:
    size = live(posted()).size_bytes
    ring = full(Ring(size * 3 + 100), events=10)
    assert (ring.floor, ring.tip) == (6, 9)
    assert not ring.covers(5)
    assert [event.offset for event in ring.after(ring.floor)] == [7, 8, 9]


def test_what_is_no_event_of_ours_moves_the_tip_alone() -> None:
    ring = full(Ring(10_000_000), events=2)
    ring.add(2, None)
    assert (ring.tip, ring.after(0)[-1].offset) == (2, 1)


def clients(**limits: int) -> Clients:
    return Clients(**({"max_connections": 10, "max_per_person": 5} | limits), figures=Figures())


def joined(all_clients: Clients, caller: Caller) -> Client:
    client = all_clients.admit(caller)
    all_clients.join(client)
    return client


async def test_a_client_is_told_what_it_may_see_in_order() -> None:
    everyone = clients()
    ada, eve = joined(everyone, CUSTOMER), joined(everyone, OTHER_CUSTOMER)
    for seq in range(3):
        everyone.tell(live(posted(seq=seq + 1), offset=seq))
    assert [event.offset for event in ada.take()] == [0, 1, 2]
    assert eve.take() == []


async def test_a_client_that_does_not_read_is_cut_off_and_holds_nobody_up() -> None:
    everyone = clients()
    slow, quick = joined(everyone, CUSTOMER), joined(everyone, CUSTOMER)
    ended: list[str] = []
    slow.cut_off = lambda: ended.append("slow")
    for offset in range(MAX_WAITING_EVENTS + 10):
        everyone.tell(live(posted(), offset=offset))
        quick.take()
    assert ended == ["slow"]
    assert len(slow.take()) == MAX_WAITING_EVENTS


async def test_connections_are_bounded_in_all_and_per_person_and_are_given_back() -> None:
    everyone = clients(max_connections=3, max_per_person=2)
    first = everyone.admit(CUSTOMER)
    everyone.admit(CUSTOMER)
    assert refusal(everyone, CUSTOMER) == 429
    everyone.admit(ADMIN)
    assert refusal(everyone, SELLER) == 503
    everyone.leave(first)
    everyone.leave(first)
    everyone.admit(CUSTOMER)


def refusal(everyone: Clients, caller: Caller) -> int:
    with pytest.raises(ProblemError) as raised:
        everyone.admit(caller)
    return raised.value.problem.status


async def test_a_service_has_nothing_to_listen_to() -> None:
    assert refusal(clients(), SERVICE) == 403
