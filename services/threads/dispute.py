"""Disputes, pure: the table of what a step does in each state, and the dispute that comes of it."""

from datetime import datetime
from enum import StrEnum
from typing import Literal

from shared import etags
from shared.callers import Author
from shared.errors import ProblemError, refuse
from shared.events import Dispute
from shared.fields import DisputeOutcome, DisputeReason, iso
from shared.queries import dispute_etag

State = Literal["none", "open", "closed"]
Step = Literal["open", "close"]


class Effect(StrEnum):
    """What a step does: a new dispute, an end to the open one, nothing because it is so already, or a conflict."""

    OPENS = "opens"
    CLOSES = "closes"
    ALREADY_SO = "already so"
    CONFLICT = "conflict"


TABLE: dict[tuple[State, Step], Effect] = {
    ("none", "open"): Effect.OPENS,
    ("open", "open"): Effect.ALREADY_SO,
    ("closed", "open"): Effect.OPENS,
    ("none", "close"): Effect.CONFLICT,
    ("open", "close"): Effect.CLOSES,
    ("closed", "close"): Effect.CONFLICT,
}


def state_of(dispute: Dispute | None) -> State:
    return "none" if dispute is None else dispute.state


def require_seen(dispute: Dispute | None, expected: str | None) -> None:
    """Raises 412 where the caller acted on another picture of the dispute than the one that stands. `expected` is an `If-Match`."""
    if expected is not None and not etags.match_strongly(expected, dispute_etag(dispute)):
        raise refuse(
            "precondition_failed",
            "The dispute has changed since you looked. Read it again and decide anew.",
            state=picture(dispute),
        )


def conflict(dispute: Dispute | None) -> ProblemError:
    """Said when a dispute is to be closed that is not open."""
    return refuse("conflict", "There is no open dispute to close.", state=picture(dispute))


def picture(dispute: Dispute | None) -> dict[str, object]:
    """The current state as a problem document shows it."""
    closed_at = dispute.closed_at if dispute is not None else None
    return {
        "dispute": state_of(dispute),
        "etag": dispute_etag(dispute),
        "outcome": dispute.outcome if dispute is not None else None,
        "closed_at": iso(closed_at) if closed_at is not None else None,
    }


def opened(*, id: str, reason: DisputeReason, by: Author, at: datetime, seq: int) -> Dispute:  # noqa: A002 - the contract's name
    return Dispute(id=id, state="open", reason=reason, opened_by=by, opened_at=at, opened_seq=seq)


def closed(dispute: Dispute, *, outcome: DisputeOutcome, by: Author, at: datetime, seq: int) -> Dispute:
    return dispute.model_copy(
        update={"state": "closed", "outcome": outcome, "closed_by": by, "closed_at": at, "closed_seq": seq}
    )
