"""Which of two snapshots of an order stands; pure.

The version decides. Of one version, contents are compared by value, and of two contents the newer source time stands. The source time
is the shop's word for when the order changed, never a clock of ours: with ours, whichever happened to arrive last would win.
"""

import hashlib
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final, Literal

from shared.contracts.values import value_digest
from shared.errors import CannotProcess
from shared.orders import OrderSnapshot

# What a shop may say with a snapshot that is not the order itself.
BESIDE_THE_CONTENT: Final = frozenset({"updated_at"})

Verdict = Literal["replaces", "stands", "superseded"]
"""Of a snapshot that comes: it is to replace what stands, it stands already, or a newer one does."""


@dataclass(frozen=True, slots=True)
class Snapshot:
    """What decides about a snapshot; `source_time` in UTC to the microsecond, so that texts compare as moments do."""

    version: int
    digest: str
    source_time: str | None
    customer_id: str
    seller_id: str
    guest: bool


class OrderRefused(CannotProcess):
    """A snapshot contradicts the one that stands: `standing` is what it was compared with."""

    def __init__(self, reason: Literal["version_conflict", "parties_changed"], detail: str, standing: Snapshot) -> None:
        super().__init__(reason, detail)
        self.standing = standing


def source_time(updated_at: datetime | None, event_time: datetime | None) -> str | None:
    """The shop's moment of the change: the snapshot's own `updated_at`, else the event's `time`, or the delivery's where it has none.

    In that order, because many publishers stamp the event when they send it, and a repetition of an older content would look newer.
    """
    said = updated_at or event_time
    return None if said is None else said.astimezone(UTC).isoformat(timespec="microseconds")


def content_digest(snapshot: OrderSnapshot) -> str:
    """The digest of the order's values, however they are spelled."""
    return value_digest(snapshot, without=BESIDE_THE_CONTENT)


def spelled_digest(snapshot: OrderSnapshot) -> str:
    """The digest of the order as 0.1 kept it, which workers of that release compare."""
    content = snapshot.model_dump_json(exclude=set(BESIDE_THE_CONTENT))
    return hashlib.blake2b(content.encode(), digest_size=16).hexdigest()


def compare(order_id: str, new: Snapshot, standing: Snapshot) -> Verdict:
    """Raises OrderRefused where the same version has other content and no newer source time, or the order would change hands."""
    if new.version < standing.version:
        return "superseded"
    if new.version == standing.version:
        verdict = _tie(order_id, new, standing)
        if verdict != "replaces":
            return verdict
    _require_same_parties(order_id, new, standing)
    return "replaces"


def _tie(order_id: str, new: Snapshot, standing: Snapshot) -> Verdict:
    """Of the same version. A copy with a newer source time takes that time: what came between the two is older than it."""
    if new.digest == standing.digest:
        return "replaces" if (new.source_time or "") > (standing.source_time or "") else "stands"
    if new.source_time is None or standing.source_time is None or new.source_time == standing.source_time:
        raise OrderRefused(
            "version_conflict",
            f"order {order_id}: version {new.version} stands with other content; give the change a higher version, or a newer updated_at",
            standing,
        )
    return "replaces" if new.source_time > standing.source_time else "superseded"


def _require_same_parties(order_id: str, new: Snapshot, standing: Snapshot) -> None:
    """Only a guest may become an account; any other change would hand a history to somebody else."""
    same_customer = standing.customer_id == new.customer_id and (standing.guest or not new.guest)
    becomes_account = standing.guest and not new.guest
    if standing.seller_id != new.seller_id or not (same_customer or becomes_account):
        raise OrderRefused(
            "parties_changed", f"order {order_id}: customer and seller are fixed by the first snapshot", standing
        )
