"""Who may see which live event, and what it says to them; pure."""

import json
from collections.abc import Mapping
from typing import Any, Literal, assert_never

import orjson

from shared.callers import Caller
from shared.events import EVENT, EntryMade, MarkMoved, RefusedOrder, TextTakenOut
from shared.fields import CommandId, Grown, Moment, OrderId, Seq
from shared.queries import DisputeView, Message, dispute_view, public_author

LiveKind = Literal["message.posted", "dispute.opened", "dispute.closed", "message.redacted", "thread.read"]

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
    customer = (f"customer:{said['customer_id']}", f"order:{said['order_id']}")
    seller = (f"seller:{said['seller_id']}",)
    if kind != "thread.read":
        return (*customer, *seller, "shop")
    places: Mapping[str, tuple[str, ...]] = {"customer": customer, "seller": seller, "shop": ("shop",)}
    return places[said["inbox"]]


class LiveEvent:
    """One event of the stream, with whom it is told to; read in full only when somebody is listening."""

    __slots__ = ("_body", "_person", "_said", "id", "kind", "offset", "places")

    def __init__(self, offset: int, body: bytes) -> None:
        """Raises ValueError or KeyError where this is no event of ours, ToldToNobody where it is one for nobody here."""
        envelope = orjson.loads(body)
        if envelope["type"] in TOLD_TO_NOBODY:
            raise ToldToNobody
        said = envelope["data"]
        self.offset = offset
        self.id: str = envelope["id"]
        self.kind: LiveKind = KIND_OF_TYPE[envelope["type"]]
        self.places = told_to(self.kind, said)
        self._body = body
        self._person: str | None = said["person"] if self.kind == "thread.read" else _author_in(said)
        self._said: dict[bool, bytes] = {}

    @property
    def size_bytes(self) -> int:
        """What it holds in memory, roughly: the body, and both ways to say it."""
        return 3 * len(self._body) + 500

    def said_to(self, person: str) -> bytes:
        """The event as server-sent, for this person within the thread: whether it is their own makes the only difference."""
        mine = person == self._person
        if mine not in self._said:
            data = json.dumps(_public(self._body, mine=mine), ensure_ascii=False, separators=(",", ":"))
            self._said[mine] = f"id: {self.offset}\nevent: {self.kind}\ndata: {data}\n\n".encode()
        return self._said[mine]


def _author_in(said: Mapping[str, Any]) -> str | None:
    """An imported message belongs to whoever is said to have written it; a redaction to nobody."""
    entry = said.get("entry")
    return entry["author"]["person"] if entry is not None else None


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
