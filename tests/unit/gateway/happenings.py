"""Live events as threads publishes them, for tests."""

from datetime import UTC, datetime
from typing import Any

from services.gateway.live.audience import LiveEvent
from shared.callers import Author
from shared.events import (
    Dispute,
    DisputeClosed,
    DisputeOpened,
    EntryMade,
    MarkMoved,
    MessagePosted,
    MessageRedacted,
    Said,
    TextTakenOut,
    ThreadRead,
    ThreadState,
)
from shared.fields import EntryKind, Side

NOW = datetime(2026, 11, 1, 9, 30, tzinfo=UTC)
ADA = Author(side="customer", person="customer", name="Ada")
BOB = Author(side="seller", person="seller:login-1", name="Bob")
STAFF = Author(side="shop", person="admin:a-1", name="Staff")
PARTIES = {"order_id": "1042", "customer_id": "c-7", "seller_id": "s-1"}
DISPUTE = Dispute(id="d" * 42, state="open", reason="damaged", opened_by=ADA, opened_at=NOW, opened_seq=1)


def number(seq: int) -> str:
    """An id of 42 characters."""
    digits = "".join("abcdefghij"[int(digit)] for digit in str(seq))
    return digits.rjust(42, "z")


def entry(author: Author = ADA, *, seq: int = 1, kind: EntryKind = "text", dispute: Dispute | None = None) -> EntryMade:
    said = Said(
        id=number(seq), seq=seq, kind=kind, author=author, text="Hello\nthere", accepted_at=NOW, committed_at=NOW
    )
    state = ThreadState(seq=seq, entries_by_side={"customer": seq}, dispute=dispute, waiting_since=NOW)
    return EntryMade(entry=said, thread=state, **PARTIES)


def posted(author: Author = ADA, *, seq: int = 1) -> MessagePosted:
    made = entry(author, seq=seq)
    return MessagePosted(id=made.entry.id, time=NOW, subject=made.order_id, data=made)


def opened() -> DisputeOpened:
    made = entry(kind="dispute_opened", dispute=DISPUTE)
    return DisputeOpened(id=made.entry.id, time=NOW, data=made)


def closed() -> DisputeClosed:
    ended = DISPUTE.model_copy(
        update={"state": "closed", "outcome": "refunded", "closed_by": STAFF, "closed_at": NOW, "closed_seq": 2}
    )
    made = entry(STAFF, seq=2, kind="dispute_closed", dispute=ended)
    return DisputeClosed(id=made.entry.id, time=NOW, data=made)


def redacted() -> MessageRedacted:
    return MessageRedacted(id="r", time=NOW, data=TextTakenOut(message_id=number(1), seq=1, **PARTIES))


def read(inbox: Side, person: str, **more: Any) -> ThreadRead:
    """A mark at 3. Without `furthest_seq` it is one of the first release's."""
    moved = MarkMoved(inbox=inbox, person=person, up_to_seq=3, unread=0, **(PARTIES | more))
    return ThreadRead(id="m", time=NOW, data=moved)


def live(event: Any, *, offset: int = 0) -> LiveEvent:
    return LiveEvent(offset, event.model_dump_json().encode())
