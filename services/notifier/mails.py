"""The mail ledger: one document a mail, from the first entry taken to its end. All clocks are the database's.

`open` → `leased` → `transmitting` → `sent` | `failed` | `ambiguous`, or `skipped` where nothing is left to tell; `pending` is a frozen
mail that waits for its next try. A sender's mark names the lease's fence: one that came too late changes nothing.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final, assert_never

from pymongo import ASCENDING, ReturnDocument, WriteConcern
from pymongo.errors import DuplicateKeyError
from uuid6 import uuid7

from services.notifier import steps
from services.notifier.contents import Gathered, Mail, MailState, OrderShown
from services.notifier.outcomes import (
    Broken,
    Defect,
    Lost,
    Outcome,
    Refused,
    Sent,
    ServerAway,
    Skipped,
    Stopped,
    Unknown,
)
from shared.errors import RetryLater
from shared.events import Recipient
from shared.mongo import Database, Document

MAX_WEIGHT: Final = 500_000
MAX_RACES: Final = 20
WITHOUT_TEXTS: Final = {"state": 1, "fence": 1, "ambiguities": 1, "attempts": 1, "order_id": 1}

HELD: Final = ("leased", "transmitting")
UNSENT: Final = ("open", "pending", "leased", "transmitting", "failed", "ambiguous")


@dataclass(frozen=True, slots=True)
class Lease:
    """A mail in one sender's hands, until the lease's end. `document` is as the ledger had it."""

    mail_id: str
    fence: int
    attempts: int
    document: Document

    def mail(self) -> Mail:
        """Raises pydantic.ValidationError where the document is not a mail."""
        return Mail.model_validate(self.document)


@dataclass(frozen=True, slots=True)
class Lapse:
    """A mail whose lease ended before its mark, and what became of it."""

    mail_id: str
    was: MailState
    now: MailState


class Mails:
    """The collection `mails`. Several processes may work on it at once; each step is one atomic update of one document."""

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
    ) -> None:
        self._mails = database["mails"]
        # The mark `transmitting` names the fence and waits for a majority, so a lease that is lost in a failover sends nothing.
        self._mails_unconfirmed = self._mails.with_options(write_concern=WriteConcern(w=1))
        self._delay_s, self._lease_s, self._give_up_s = delay_s, lease_s, give_up_s
        self._resend, self._holder, self._max_weight = resend, holder, max_weight

    async def prepare(self) -> None:
        """Makes the indexes. The two unique ones carry the promises, so nothing may be taken before."""
        await self._mails.create_index("taken", unique=True, name="taken_once")
        await self._mails.create_index(
            [("order_id", ASCENDING), ("person", ASCENDING)],
            unique=True,
            name="one_open",
            partialFilterExpression={"state": "open"},
        )
        await self._mails.create_index(
            [("state", ASCENDING), ("wake_at", ASCENDING)], name="due", partialFilterExpression={"alive": True}
        )
        await self._mails.create_index([("order_id", ASCENDING), ("created_at", ASCENDING)], name="of_order")

    async def take(self, entry: Gathered, recipient: Recipient, order: OrderShown) -> bool:
        """Takes the entry for this person, once for ever; False where it had been taken before.

        One update does it all: the guard (`$ne`) in its filter, the entry, and the promise (`taken`). Where it finds no mail to put
        the entry into it inserts one, and a unique index refuses that if the entry is taken already, or the open mail is another.
        """
        key = f"{entry.event_id}|{recipient.person}"
        mine = {"order_id": order.order_id, "person": recipient.person, "state": "open"}
        for _ in range(MAX_RACES):
            update = steps.take(
                mail_id=uuid7().hex, key=key, entry=entry, recipient=recipient, order=order, delay_s=self._delay_s
            )
            guards = {"taken": {"$ne": key}, "weight": {"$lt": self._max_weight}}
            try:
                await self._mails.update_one({**mine, **guards}, update, upsert=True)
                return True
            except DuplicateKeyError:
                if await self._mails.find_one({"taken": key}, {"_id": 1}):
                    return False
                await self._mails.update_one({**mine, "weight": {"$gte": self._max_weight}}, steps.close_full())
        raise RetryLater("many writers are at this person's open mail")

    async def lease(self) -> Lease | None:
        """The mail that has been due for longest, leased; None where none is due."""
        found = await self._mails_unconfirmed.find_one_and_update(
            {"alive": True, "state": {"$in": ["open", "pending"]}, **steps.DUE},
            steps.lease(lease_s=self._lease_s, holder=self._holder),
            sort=[("wake_at", ASCENDING)],
            return_document=ReturnDocument.AFTER,
        )
        return None if found is None else _lease_on(found)

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

    async def transmitting(self, lease: Lease, *, rendered: bytes, message_id: str) -> bool:
        """Stored before DATA. False where the lease is no longer ours: then nothing may be sent."""
        update = steps.transmitting(rendered=rendered, message_id=message_id)
        return await self._mark(lease, ("leased",), update) is not None

    async def mark(self, lease: Lease, outcome: Outcome, *, pause_s: float) -> MailState | None:
        """Stores what became of an attempt: the mail's state after it, or None where the lease was no longer ours.

        Not accepted for certain, and not for ever: it comes back after the pause. Accepted or not, nobody knows: it is `ambiguous`,
        at once, for waiting until the lease ends would tell no more; where it is sent once more, that is after the pause too.
        """
        return await self._mark(lease, HELD, self._step(outcome, pause_s))

    def _step(self, outcome: Outcome, pause_s: float) -> list[steps.Stage]:
        match outcome:
            case Sent(reply):
                step = steps.sent(reply=reply)
            case Skipped(why):
                step = steps.skipped(why=why)
            case Refused(code, text) if outcome.is_final:
                step = steps.failed(code=code, text=text)
            case Refused(code, text):
                step = steps.put_back(code=code, text=text, pause_s=pause_s, give_up_s=self._give_up_s)
            case Broken(reason):
                step = steps.put_back(code=None, text=reason, pause_s=pause_s, give_up_s=self._give_up_s)
            case Unknown(reason):
                step = steps.ambiguous(why=reason, resend=self._resend, pause_s=pause_s)
            case Defect(reason):
                step = steps.failed(code=None, text=f"defect: {reason}")
            case ServerAway(reason) | Stopped(reason) | Lost(reason):
                step = steps.released(why=reason)
            case _:
                assert_never(outcome)
        return step

    async def _mark(self, lease: Lease, states: Sequence[MailState], update: list[steps.Stage]) -> MailState | None:
        after = await self._mails.find_one_and_update(
            {"_id": lease.mail_id, "fence": lease.fence, "state": {"$in": list(states)}},
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


def _lease_on(document: Document) -> Lease:
    return Lease(
        mail_id=document["_id"],
        fence=document["fence"],
        attempts=int(document.get("attempts", 0)),
        document=document,
    )
