"""A thread's state and what a command makes of it, pure: the same state and command always give the same decision."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any, Final, assert_never

from services.threads import access, dispute
from services.threads.access import Parties
from shared.callers import Author, author
from shared.commands import CloseDispute, ImportMessage, OpenDispute, PostMessage
from shared.errors import ProblemError, not_found, refuse
from shared.events import Dispute
from shared.fields import DisputeOutcome, DisputeReason, EntryKind, Side, in_milliseconds

SIDES: Final[tuple[Side, ...]] = ("customer", "seller", "shop")

EntryCommand = PostMessage | OpenDispute | CloseDispute | ImportMessage


@dataclass(frozen=True, slots=True)
class State:
    """What is true right after an entry.

    `by_side` and `by_person` count entries; imported ones (they come first) are in neither, so that a history brought from
    another system is new for nobody. `waiting_since`: since when the customer waits for an answer.
    """

    by_side: Mapping[Side, int] = field(default_factory=lambda: dict.fromkeys(SIDES, 0))
    by_person: Mapping[str, int] = field(default_factory=dict)
    imported: int = 0
    dispute: Dispute | None = None
    waiting_since: datetime | None = None

    def document(self) -> dict[str, Any]:
        return {
            "entries_by_side": dict(self.by_side),
            "persons": [{"person": person, "count": count} for person, count in self.by_person.items()],
            "imported": self.imported,
            "dispute": self.dispute.model_dump() if self.dispute is not None else None,
            "waiting_since": self.waiting_since,
        }

    @classmethod
    def read(cls, document: Mapping[str, Any]) -> "State":
        stored = document["dispute"]
        return cls(
            by_side=document["entries_by_side"],
            by_person={each["person"]: each["count"] for each in document["persons"]},
            imported=document["imported"],
            dispute=Dispute.model_validate(stored) if stored is not None else None,
            waiting_since=document["waiting_since"],
        )


@dataclass(frozen=True, slots=True)
class Thread:
    """A thread at one `seq`.

    `certain` says that it was read from the log itself: only then may it be the ground of a refusal. `exists` is false while no
    snapshot of its order has come.
    """

    parties: Parties
    seq: int = 0
    state: State = field(default_factory=State)
    certain: bool = False
    exists: bool = True

    @classmethod
    def unknown(cls, order_id: str, *, certain: bool = False) -> "Thread":
        """The thread of an order that nobody has told us of (yet)."""
        nobodys = Parties(order_id=order_id, customer_id="", seller_id="", guest=False)
        return cls(nobodys, certain=certain, exists=False)


@dataclass(frozen=True, slots=True)
class Seen:
    """What its author had seen when they wrote an entry, and the stamp of the command that says so."""

    seq: int
    stamp: str


@dataclass(frozen=True, slots=True)
class Entry:
    """One entry of the log, before or after it was committed. `digest` is that of the command it comes from."""

    id: str
    order_id: str
    seq: int
    kind: EntryKind
    author: Author
    text: str | None
    accepted_at: datetime
    committed_at: datetime
    digest: str
    after: State
    reason: DisputeReason | None = None
    outcome: DisputeOutcome | None = None
    redacted: bool = False
    redacted_by: str | None = None
    imported: bool = False
    traceparent: str | None = None
    seen: Seen | None = None


@dataclass(frozen=True, slots=True)
class Made:
    """The command makes this entry, and the thread is then in this state."""

    entry: Entry
    thread: Thread


@dataclass(frozen=True, slots=True)
class AlreadySo:
    """The command changes nothing: the open dispute is the one that was asked for."""

    dispute: Dispute


Decision = Made | AlreadySo | ProblemError


def decide(command: EntryCommand, thread: Thread, *, digest: str, now: datetime) -> Decision:
    """What the command makes of the thread: an entry, nothing because it is so already, or the problem that refuses it."""
    try:
        if not thread.exists:
            raise not_found(thread.parties.order_id)
        match command:
            case PostMessage():
                access.require(command.data.caller, "post", thread.parties)
                return _made(command, thread, digest, now, author(command.data.caller), "text")
            case OpenDispute():
                return _open(command, thread, digest, now)
            case CloseDispute():
                return _close(command, thread, digest, now)
            case ImportMessage():
                return _import(command, thread, digest, now)
            case _:
                assert_never(command)
    except ProblemError as problem:
        return problem


def _open(command: OpenDispute, thread: Thread, digest: str, now: datetime) -> Decision:
    access.require(command.data.caller, "open_dispute", thread.parties)
    current = thread.state.dispute
    dispute.require_seen(current, command.data.expected)
    effect = dispute.TABLE[dispute.state_of(current), "open"]
    if effect is dispute.Effect.ALREADY_SO and current is not None:
        return AlreadySo(current)
    by = author(command.data.caller)
    opened = dispute.opened(id=command.id, reason=command.data.reason, by=by, at=now, seq=thread.seq + 1)
    return _made(command, thread, digest, now, by, "dispute_opened", dispute_after=opened)


def _close(command: CloseDispute, thread: Thread, digest: str, now: datetime) -> Decision:
    side = access.require(command.data.caller, "close_dispute", thread.parties)
    access.require_outcome(side, command.data.outcome)
    current = thread.state.dispute
    dispute.require_seen(current, command.data.expected)
    if current is None or dispute.TABLE[current.state, "close"] is dispute.Effect.CONFLICT:
        raise dispute.conflict(current)
    by = author(command.data.caller)
    closed = dispute.closed(current, outcome=command.data.outcome, by=by, at=now, seq=thread.seq + 1)
    return _made(command, thread, digest, now, by, "dispute_closed", dispute_after=closed)


def _import(command: ImportMessage, thread: Thread, digest: str, now: datetime) -> Decision:
    if command.data.caller.role != "service":
        raise not_found(thread.parties.order_id)
    if thread.parties.sold_by == "shop" and command.data.author.side == "seller":
        wrong = [{"field": "author.side", "message": "must be customer or shop: the shop itself sells this order"}]
        raise refuse("invalid_request", "An order that the shop itself sells has no seller beside it.", errors=wrong)
    written_at = in_milliseconds(command.data.written_at)
    if written_at > now:
        wrong = [{"field": "written_at", "message": "must not be in the future"}]
        raise refuse("invalid_request", "An old message was written in the past.", errors=wrong)
    if thread.seq != thread.state.imported:
        detail = "Old messages can only be imported before anybody has written here."
        raise refuse("conflict", detail, state={"last_seq": thread.seq, "imported": thread.state.imported})
    seq = thread.seq + 1
    after = replace(thread.state, imported=seq)
    entry = Entry(
        id=command.id,
        order_id=command.data.order_id,
        seq=seq,
        kind="text",
        author=command.data.author,
        text=command.data.text,
        accepted_at=written_at,
        committed_at=now,
        digest=digest,
        after=after,
        imported=True,
        traceparent=command.traceparent,
    )
    return Made(entry, replace(thread, seq=seq, state=after))


def _made(
    command: PostMessage | OpenDispute | CloseDispute,
    thread: Thread,
    digest: str,
    now: datetime,
    by: Author,
    kind: EntryKind,
    *,
    dispute_after: Dispute | None = None,
) -> Made:
    after = replace(
        thread.state,
        by_side=_one_more(thread.state.by_side, by.side),
        by_person=_one_more(thread.state.by_person, by.person),
        dispute=dispute_after or thread.state.dispute,
        waiting_since=_waiting_since(thread.state, by.side, kind, now),
    )
    entry = Entry(
        id=command.id,
        order_id=command.data.order_id,
        seq=thread.seq + 1,
        kind=kind,
        author=by,
        text=command.data.note or None if isinstance(command, CloseDispute) else command.data.text,
        accepted_at=in_milliseconds(command.time),
        committed_at=now,
        digest=digest,
        after=after,
        reason=command.data.reason if isinstance(command, OpenDispute) else None,
        outcome=command.data.outcome if isinstance(command, CloseDispute) else None,
        traceparent=command.traceparent,
        seen=_seen(command, thread) if isinstance(command, PostMessage) else None,
    )
    return Made(entry, replace(thread, seq=entry.seq, state=after))


def _seen(command: PostMessage, thread: Thread) -> Seen | None:
    """What the author says to have seen, as far as it was there: a post is not refused for a number that is too high."""
    seq = min(command.data.seen_seq or 0, thread.seq)
    return Seen(seq, command.stamp) if seq else None


def _one_more(counts: Mapping[Any, int], key: str) -> dict[Any, int]:
    return {**counts, key: counts.get(key, 0) + 1}


def _waiting_since(before: State, side: Side, kind: EntryKind, now: datetime) -> datetime | None:
    """The customer waits from their first unanswered entry on; an answer, or their closing the dispute, ends the waiting."""
    if side != "customer" or kind == "dispute_closed":
        return None
    return before.waiting_since or now


def new_entries(*, seq: int, imported: int, own: int, mark_seq: int, mark_own: int) -> int:
    """How many entries of others are above a mark: all minus one's own, now, less the same at the mark. Never below 0.

    `own` and `mark_own` are the entries of the reader (a person, or a whole side for an inbox) now and up to the mark.
    """
    now = max(0, seq - imported) - own
    then = max(0, mark_seq - imported) - mark_own
    return max(0, now - then)
