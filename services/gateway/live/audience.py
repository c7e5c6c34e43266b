"""Who may see which live event, and what it says to them; pure."""

import json
from collections.abc import Mapping
from typing import Any, Final, Literal, assert_never

import orjson

from shared.callers import MARKS_SEEN, Caller
from shared.events import EVENT, EntryMade, MarkMoved, RefusedOrder, TextTakenOut
from shared.fields import CommandId, Grown, Moment, OrderId, Seq, Side
from shared.queries import DisputeView, Message, dispute_view, public_author

LiveKind = Literal["message.posted", "dispute.opened", "dispute.closed", "message.redacted", "thread.read"]
SEEN: Final = "thread.seen"

KIND_OF_TYPE: Mapping[str, LiveKind] = {
    "parley.message.posted.v1": "message.posted",
    "parley.dispute.opened.v1": "dispute.opened",
    "parley.dispute.closed.v1": "dispute.closed",
    "parley.message.redacted.v1": "message.redacted",
    "parley.thread.read.v1": "thread.read",
}


# What is published for the shop's services alone.
TOLD_TO_NOBODY: frozenset[str] = frozenset({"parley.order.rejected.v1"})


class ToldToNobody(Exception):
    """An event of ours that nobody is told of live."""


class LiveThread(Grown):
    """The thread right after the entry."""

    last_seq: Seq
    dispute: DisputeView | None
    waiting_since: Moment | None


class LiveEntry(Grown):
    """`message.posted`, `dispute.opened`, `dispute.closed`: an entry, and the thread right after it."""

    order_id: OrderId
    seq: Seq
    message: Message
    thread: LiveThread


class LiveRead(Grown):
    """`thread.read`: a mark in the caller's own inbox moved. `mine`: the caller's own; `unread`: what is new for the inbox."""

    order_id: OrderId
    up_to_seq: Seq
    unread: int
    mine: bool


class LiveSeen(Grown):
    """`thread.seen`: another side has read further than ever, up to the entry `seq`."""

    order_id: OrderId
    side: Side
    seq: Seq


class LiveRedaction(Grown):
    """`message.redacted`: forget the text of this message."""

    order_id: OrderId
    message_id: CommandId
    seq: Seq


def listens_to(caller: Caller) -> str | None:
    """The one place that a caller listens at: their own orders, their shop's, all, or a guest's one. None for a service."""
    match caller.role:
        case "customer":
            return f"customer:{caller.id}"
        case "guest":
            return f"order:{caller.order_id}"
        case "seller":
            return f"seller:{caller.seller_id}"
        case "admin":
            return "shop"
        case "service":
            return None
        case _:
            assert_never(caller.role)


def told_to(kind: LiveKind, said: Mapping[str, Any]) -> tuple[str, ...]:
    """The places that an event is told to: both parties and the shop; a read mark only to the inbox that it is in."""
    places = _places(said)
    if kind != "thread.read":
        return tuple(place for each in places.values() for place in each)
    return places[said["inbox"]]


def shown_to(said: Mapping[str, Any]) -> tuple[str, ...]:
    """The places of the other sides that see how far the inbox of a read mark has come; none where it went back, which is nobody else's affair."""
    furthest = said.get("furthest_seq")
    if furthest is None or said["up_to_seq"] < furthest:
        return ()
    places, seen = _places(said), MARKS_SEEN[said.get("sold_by") or "seller"]
    return tuple(place for side, sees in seen.items() if said["inbox"] in sees for place in places[side])


def _places(said: Mapping[str, Any]) -> Mapping[Side, tuple[str, ...]]:
    return {
        "customer": (f"customer:{said['customer_id']}", f"order:{said['order_id']}"),
        "seller": (f"seller:{said['seller_id']}",),
        "shop": ("shop",),
    }


class LiveEvent:
    """One event of the stream, with whom it is told to; read in full only when somebody is listening.

    A read mark that has come further than ever is told to the other sides too, as `thread.seen`: to a place it is the one or the other.
    """

    __slots__ = ("_body", "_person", "_said", "_shown_to", "id", "kind", "offset", "places")

    def __init__(self, offset: int, body: bytes) -> None:
        """Raises ValueError or KeyError where this is no event of ours, ToldToNobody where it is one for nobody here."""
        envelope = orjson.loads(body)
        if envelope["type"] in TOLD_TO_NOBODY:
            raise ToldToNobody
        said = envelope["data"]
        self.offset = offset
        self.id: str = envelope["id"]
        self.kind: LiveKind = KIND_OF_TYPE[envelope["type"]]
        self._shown_to = shown_to(said) if self.kind == "thread.read" else ()
        self.places = (*told_to(self.kind, said), *self._shown_to)
        self._body = body
        self._person: str | None = said["person"] if self.kind == "thread.read" else _author_in(said)
        self._said: dict[Literal["mine", "not_mine", "seen"], bytes] = {}

    @property
    def size_bytes(self) -> int:
        """What it holds in memory, roughly: the body, and the ways to say it."""
        return 3 * len(self._body) + 500

    def said_to(self, person: str, *, place: str | None = None) -> bytes:
        """The event as server-sent, for this person within the thread, who listens at this place. Whether it is their own, or another side's
        mark, makes the only difference."""
        if place in self._shown_to:
            return self._say("seen", SEEN)
        return self._say("mine" if person == self._person else "not_mine", self.kind)

    def _say(self, way: Literal["mine", "not_mine", "seen"], kind: str) -> bytes:
        if way not in self._said:
            public = _seen(self._body) if way == "seen" else _public(self._body, mine=way == "mine")
            data = json.dumps(public, ensure_ascii=False, separators=(",", ":"))
            self._said[way] = f"id: {self.offset}\nevent: {kind}\ndata: {data}\n\n".encode()
        return self._said[way]


def _author_in(said: Mapping[str, Any]) -> str | None:
    """An imported message belongs to whoever is said to have written it; a redaction to nobody."""
    entry = said.get("entry")
    return entry["author"]["person"] if entry is not None else None


def _seen(body: bytes) -> dict[str, Any]:
    data = EVENT.validate_json(body).data
    if not isinstance(data, MarkMoved):
        raise TypeError(f"{type(data).__name__} is no read mark")
    return LiveSeen(order_id=data.order_id, side=data.inbox, seq=data.up_to_seq).model_dump(mode="json")


def _public(body: bytes, *, mine: bool) -> dict[str, Any]:
    data = EVENT.validate_json(body).data
    match data:
        case EntryMade():
            public: Grown = _entry(data, mine=mine)
        case MarkMoved():
            public = LiveRead(order_id=data.order_id, up_to_seq=data.up_to_seq, unread=data.unread, mine=mine)
        case TextTakenOut():
            public = LiveRedaction(order_id=data.order_id, message_id=data.message_id, seq=data.seq)
        case RefusedOrder():
            raise ToldToNobody
        case _:
            assert_never(data)
    return public.model_dump(mode="json")


def _entry(data: EntryMade, *, mine: bool) -> LiveEntry:
    said, dispute = data.entry, data.thread.dispute
    message = Message(
        id=said.id,
        order_id=data.order_id,
        seq=said.seq,
        kind=said.kind,
        author=public_author(said.author),
        text=said.text,
        redacted=said.redacted,
        imported=said.imported,
        mine=mine,
        new=not mine,
        at=said.accepted_at if said.imported else said.committed_at,
        accepted_at=said.accepted_at,
        reason=dispute.reason if dispute is not None and said.kind == "dispute_opened" else None,
        outcome=dispute.outcome if dispute is not None and said.kind == "dispute_closed" else None,
    )
    thread = LiveThread(
        last_seq=data.thread.seq,
        dispute=None if dispute is None else dispute_view(dispute),
        waiting_since=data.thread.waiting_since,
    )
    return LiveEntry(order_id=data.order_id, seq=said.seq, message=message, thread=thread)
