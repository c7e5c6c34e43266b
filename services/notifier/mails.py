"""The mail ledger: one document a mail, from the first entry taken to its end. All clocks are the database's.

`open` → `leased` → `transmitting` → `sent` | `failed` | `ambiguous`, or `skipped` where nothing is left to tell; `pending` is a frozen
mail that waits for its next try. A sender's mark names the lease's fence: one that came too late changes nothing.
"""

import asyncio
import contextlib
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final, Literal, assert_never

import structlog
from pymongo import ASCENDING, ReturnDocument, UpdateMany, WriteConcern
from pymongo.errors import BulkWriteError
from pymongo.read_concern import ReadConcern
from uuid6 import uuid7

from services.notifier import steps
from services.notifier.clock import Clock
from services.notifier.contents import Gathered, Mail, MailState, OrderShown
from services.notifier.groups import Groups
from services.notifier.outcomes import (
    Broken,
    Defect,
    Lost,
    Outcome,
    Outdated,
    Readdressed,
    Refused,
    Sent,
    ServerAway,
    Skipped,
    Stopped,
    Unknown,
    Unsendable,
)
from services.notifier.pace import Pace
from services.notifier.taking import Taking, Takings
from shared.events import Recipient
from shared.mongo import Database, Document, is_away

log = structlog.get_logger(__name__)

MAX_WEIGHT: Final = 500_000
MAX_GROUP: Final = 64
# A connection is free for the next mail before the end of this one is stored.
GATHER_ENDS_S: Final = 0.01
# A command of MongoDB has at most 16 MiB.
MAX_STATEMENT_BYTES: Final = 4 * 1024 * 1024
WITHOUT_TEXTS: Final = {"state": 1, "fence": 1, "lease_id": 1, "ambiguities": 1, "attempts": 1, "order_id": 1}

HELD: Final[Sequence[MailState]] = ("leased", "transmitting")
NoEnd = Unsendable | Refused | Broken | Unknown | Defect | ServerAway | Stopped | Lost | Outdated | Readdressed
UNSENT: Final = ("open", "pending", "leased", "transmitting", "failed", "ambiguous")


@dataclass(frozen=True, slots=True)
class Lease:
    """A mail in one sender's hands, from before `asked_at` (on the loop's clock) until the lease's end. `document` is as the ledger had it."""

    mail_id: str
    lease_id: str
    fence: int
    attempts: int
    asked_at: float
    document: Document

    def mail(self) -> Mail:
        """Raises pydantic.ValidationError where the document is not a mail."""
        return Mail.model_validate(self.document)


@dataclass(frozen=True, slots=True)
class Change:
    """A lease's mail becomes `state`; `said` is its Message-ID, the server's reply, or why it was skipped."""

    lease: Lease
    state: Literal["transmitting", "sent", "skipped"]
    said: str
    rendered: bytes = b""
    transmitted_to: str = ""

    @property
    def from_states(self) -> Sequence[MailState]:
        return ("leased",) if self.state == "transmitting" else HELD


@dataclass(frozen=True, slots=True)
class Lapse:
    """A mail whose lease ended before its mark, and what became of it."""

    mail_id: str
    was: MailState
    now: MailState


class Mails:
    """The collection `mails`. Several processes may work on it at once; each step is one atomic update of one document.

    Steps that are asked for side by side go to MongoDB in one message; they stay steps of their own.
    """

    def __init__(
        self,
        database: Database,
        *,
        delay_s: float,
        lease_s: float,
        resend: bool,
        give_up_s: float,
        holder: str,
        max_weight: int = MAX_WEIGHT,
        limit: int = 0,
        window_s: float = 3_600.0,
    ) -> None:
        """`limit` is how many mails one person gets in `window_s`; 0 is any number."""
        self._mails = database["mails"]
        # The mark `transmitting` names the lease and waits for a majority, so a lease that is lost in a failover sends nothing.
        self._mails_unconfirmed = self._mails.with_options(
            write_concern=WriteConcern(w=1), read_concern=ReadConcern("local")
        )
        self._takings = Takings(self._mails, Clock(database), delay_s=delay_s, max_weight=max_weight)
        self._transmissions: Groups[Change, bool] = Groups(self._change_group, at_most=MAX_GROUP)
        self._ends: Groups[Change, bool] = Groups(self._change_group, at_most=MAX_GROUP, gather_s=GATHER_ENDS_S)
        self._leasing = asyncio.Lock()
        self._unclear: tuple[str, list[str], float] | None = None
        self._pace = Pace(self._mails_unconfirmed, limit=limit, window_s=window_s)
        self._lease_s, self._give_up_s = lease_s, give_up_s
        self._resend, self._holder = resend, holder

    async def take(
        self, entry: Gathered, recipient: Recipient, order: OrderShown, *, source: str | None = None
    ) -> bool:
        """Takes the entry for this person, once for ever; False where it had been taken before."""
        (answer,) = await self.take_some([Taking(entry, recipient, order, source)])
        if isinstance(answer, Exception):
            raise answer
        return answer

    async def take_some(self, takings: Sequence[Taking]) -> list[bool | Exception]:
        """As Takings.take."""
        return await self._takings.take(takings)

    async def lease(self) -> Lease | None:
        """The mail that has been due for longest, leased; None where none is due."""
        leases = await self.lease_some(1)
        return leases[0] if leases else None

    async def lease_some(self, count: int) -> list[Lease]:
        """The mails that have been due for longest and may go, leased; at most so many, and none only where none is due.

        Where MongoDB goes away meanwhile, the next call asks what had been leased by this one.
        """
        async with self._leasing:
            while True:
                due = [] if self._unclear else await self._due(count)
                if due:
                    await self._claim(await self._pace.may_go(due))
                leases = await self._claimed()
                if leases or not due:
                    return leases

    async def _due(self, count: int) -> list[Document]:
        waiting = {"alive": True, "state": {"$in": ["open", "pending"]}, **steps.DUE}
        found = self._mails_unconfirmed.find(waiting, self._pace.needs, sort=[("wake_at", ASCENDING)], limit=count)
        return [document async for document in found]

    async def _claim(self, ids: list[str]) -> None:
        """Leases those of the mails that nobody else has leased meanwhile."""
        if not ids:
            return
        lease_id = uuid7().hex
        self._unclear = lease_id, ids, asyncio.get_running_loop().time()
        update = steps.lease(lease_s=self._lease_s, holder=self._holder, lease_id=lease_id)
        due = {"_id": {"$in": ids}, "state": {"$in": ["open", "pending"]}, **steps.DUE}
        await self._mails_unconfirmed.update_many(due, update)

    async def _claimed(self) -> list[Lease]:
        if self._unclear is None:
            return []
        lease_id, ids, asked_at = self._unclear
        mine = self._mails_unconfirmed.find({"_id": {"$in": ids}, "lease_id": lease_id, "state": "leased"})
        leases = [_lease_on(document, asked_at) async for document in mine]
        self._unclear = None
        return leases

    async def lapse(self, *, pause_s: float) -> Lapse | None:
        """Takes back one lease that has ended: before DATA the mail is due again, after it the outcome is ambiguous."""
        ambiguous = steps.ambiguous(why="lease ended", resend=self._resend, pause_s=pause_s)
        updates: dict[MailState, list[steps.Stage]] = {
            "leased": steps.released(why="lease ended"),
            "transmitting": ambiguous,
        }
        for was, update in updates.items():
            after = await self._mails.find_one_and_update(
                {"alive": True, "state": was, **steps.DUE},
                update,
                sort=[("wake_at", ASCENDING)],
                projection=WITHOUT_TEXTS,
                return_document=ReturnDocument.AFTER,
            )
            if after is not None:
                return Lapse(mail_id=after["_id"], was=was, now=after["state"])
        return None

    async def transmitting(self, lease: Lease, *, rendered: bytes, message_id: str, to: str) -> bool:
        """Stored before DATA, with the address that it is for. False where the lease is no longer ours: then nothing may be sent."""
        return await self._transmissions.ask(Change(lease, "transmitting", message_id, rendered, to))

    async def mark(self, lease: Lease, outcome: Outcome, *, pause_s: float) -> MailState | None:
        """Stores what became of an attempt: the mail's state after it, or None where the lease was no longer ours.

        Not accepted for certain, and not for ever: it comes back after the pause. Accepted or not, nobody knows: it is `ambiguous`,
        at once, for waiting until the lease ends would tell no more; where it is sent once more, that is after the pause too.
        """
        match outcome:
            case Sent(reply):
                return "sent" if await self._ends.ask(Change(lease, "sent", reply)) else None
            case Skipped(why):
                return "skipped" if await self._ends.ask(Change(lease, "skipped", why)) else None
            case _:
                return await self._mark(lease, self._step(outcome, pause_s))

    def _step(self, outcome: NoEnd, pause_s: float) -> list[steps.Stage]:
        match outcome:
            case Refused(code, text) if outcome.is_final:
                step = steps.failed(code=code, text=text)
            case Refused(code, text):
                step = steps.put_back(code=code, text=text, pause_s=pause_s, give_up_s=self._give_up_s)
            case Broken(reason):
                step = steps.put_back(code=None, text=reason, pause_s=pause_s, give_up_s=self._give_up_s)
            case Unknown(reason):
                step = steps.ambiguous(why=reason, resend=self._resend, pause_s=pause_s)
            case Unsendable(reason):
                step = steps.failed(code=None, text=reason)
            case Defect(reason):
                step = steps.failed(code=None, text=f"defect: {reason}")
            case Readdressed(reason):
                step = steps.ambiguous(why=reason, resend=False, pause_s=pause_s)
            case ServerAway(reason) | Stopped(reason) | Lost(reason) | Outdated(reason):
                step = steps.released(why=reason)
            case _:
                assert_never(outcome)
        return step

    async def _change_group(self, changes: Sequence[Change]) -> list[bool]:
        """Which of the changes hold. Where not all were made now, it is read which are: one may have been made by an earlier try."""
        try:
            result = await self._mails.bulk_write([_statement(part) for part in _parts(changes)], ordered=False)
            if result.matched_count == len(changes):
                return [True] * len(changes)
        except BulkWriteError as error:
            if is_away(error):
                raise
            # One mail stopped a statement for many: now each by itself, so that its trouble is nobody else's.
            log.exception("changes_made_singly", mails=len(changes))
            with contextlib.suppress(BulkWriteError):
                await self._mails.bulk_write([_statement([change]) for change in changes], ordered=False)
        ids = [change.lease.mail_id for change in changes]
        found = {
            document["_id"]: (document["state"], document["fence"], document.get("lease_id"))
            async for document in self._mails.find({"_id": {"$in": ids}}, WITHOUT_TEXTS)
        }
        return [
            found.get(change.lease.mail_id) == (change.state, change.lease.fence, change.lease.lease_id)
            for change in changes
        ]

    async def _mark(self, lease: Lease, update: list[steps.Stage]) -> MailState | None:
        after = await self._mails.find_one_and_update(
            _held([lease], HELD),
            update,
            projection=WITHOUT_TEXTS,
            return_document=ReturnDocument.AFTER,
        )
        state: MailState | None = after["state"] if after else None
        return state

    async def redact(self, *, order_id: str, message_id: str) -> int:
        """Takes a text out of every mail that has not been sent; how many mails that were."""
        mine: dict[str, Any] = {"order_id": order_id, "entries.id": message_id, "state": {"$in": list(UNSENT)}}
        result = await self._mails.update_many(mine, steps.redacted(message_id))
        return result.modified_count

    async def oldest_due(self) -> datetime | None:
        """Since when the longest waiting mail is due or will be; None where none waits."""
        waiting = {"alive": True, "state": {"$in": ["open", "pending"]}}
        found = await self._mails.find_one(waiting, {"wake_at": 1}, sort=[("wake_at", ASCENDING)])
        moment: datetime | None = found["wake_at"].astimezone(UTC) if found else None
        return moment


def _lease_on(document: Document, asked_at: float) -> Lease:
    return Lease(
        mail_id=document["_id"],
        lease_id=document["lease_id"],
        fence=document["fence"],
        attempts=int(document.get("attempts", 0)),
        asked_at=asked_at,
        document=document,
    )


def _held(leases: Sequence[Lease], states: Sequence[MailState]) -> Document:
    """Those of the mails whose leases, which have the same fence number, still hold.

    A lease that no majority has seen may be lost in a failover, and the next one gets the same number: so their ids count too.
    """
    lease_ids = {lease.mail_id: lease.lease_id for lease in leases}
    is_held = {"$eq": ["$lease_id", steps.own(lease_ids)]}
    return {"_id": {"$in": list(lease_ids)}, "fence": leases[0].fence, "state": {"$in": list(states)}, "$expr": is_held}


def _parts(changes: Sequence[Change]) -> list[list[Change]]:
    """What one statement can do: the same change under the same fence number, and no more bytes than fit."""
    parts: list[list[Change]] = []
    size_bytes = 0
    for change in sorted(changes, key=_kind):
        size_bytes += len(change.rendered)
        if not parts or _kind(parts[-1][0]) != _kind(change) or size_bytes > MAX_STATEMENT_BYTES:
            parts.append([])
            size_bytes = len(change.rendered)
        parts[-1].append(change)
    return parts


def _statement(part: Sequence[Change]) -> UpdateMany:
    return UpdateMany(_held([change.lease for change in part], part[0].from_states), _update(part))


def _kind(change: Change) -> tuple[str, int]:
    return change.state, change.lease.fence


def _update(part: Sequence[Change]) -> list[steps.Stage]:
    said = {change.lease.mail_id: change.said for change in part}
    match part[0].state:
        case "transmitting":
            rendered = {change.lease.mail_id: change.rendered for change in part}
            to = {change.lease.mail_id: change.transmitted_to for change in part}
            return steps.transmitting(rendered=rendered, message_ids=said, to=to)
        case "sent":
            return steps.sent(replies=said)
        case "skipped":
            return steps.skipped(reasons=said)
