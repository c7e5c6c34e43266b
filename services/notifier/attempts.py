"""One attempt at one leased mail: what is left to tell, its bytes, and the conversation with the server, to an outcome."""

import asyncio
from dataclasses import dataclass

from pymongo.errors import PyMongoError

from services.notifier.connections import Connections
from services.notifier.contents import Mail, Moved, Nothing, Plan, own_choices, plan
from services.notifier.known import Known
from services.notifier.mails import Lease, Mails
from services.notifier.outcomes import (
    Broken,
    Lost,
    Outcome,
    Outdated,
    Readdressed,
    Sent,
    Skipped,
    SmtpError,
    Stopped,
    Unknown,
    Unsendable,
)
from services.notifier.rendering import Rendered, Renderer
from services.notifier.smtp import Envelope
from shared.addresses import AddressError


@dataclass(slots=True)
class Sending:
    """A leased mail under way, until `lease_ends_at` (on the loop's clock).

    A shutdown gives it back at once unless it `must_end`; once `data_begun`, its outcome is unknown until the server answers.
    """

    lease: Lease
    lease_ends_at: float
    must_end: bool = False
    data_begun: bool = False


@dataclass(frozen=True, slots=True)
class Prepared:
    """What is to be sent, as it was planned and rendered; `mail` is as the ledger has it."""

    mail: Mail
    plan: Plan
    rendered: Rendered


class Attempts:
    """What an attempt needs. Attempts on different mails may run side by side."""

    def __init__(
        self,
        *,
        mails: Mails,
        known: Known,
        connections: Connections,
        renderer: Renderer,
        sender_address: str,
        limit_s: float,
    ) -> None:
        self._mails, self._known, self._connections, self._renderer = mails, known, connections, renderer
        self._sender_address, self._limit_s = sender_address, limit_s

    async def make(self, sending: Sending) -> Outcome:
        """Sends the mail if it can be sent now. What it raises is a defect, or a cancellation.

        A time-out counts as unknown only once DATA was begun: until then the server has nothing that it could have accepted.
        """
        try:
            async with asyncio.timeout(self._limit_s):
                prepared = await self._prepare(sending.lease)
            if not isinstance(prepared, Prepared):
                return prepared
            async with self._connections.turn(limit_s=self._patience_s(sending)), asyncio.timeout(self._limit_s):
                return await self._send(sending, prepared)
        except AddressError as error:
            return Unsendable(f"the recipient's address {error}")
        except SmtpError as error:
            return error.outcome
        except TimeoutError:
            return Unknown("time-out") if sending.data_begun else Broken("time-out")
        except PyMongoError as error:
            return Stopped(f"the ledger is away: {type(error).__name__}")

    def _patience_s(self, sending: Sending) -> float:
        """How long the mail may wait for a connection, so that its lease outlives the whole send."""
        return max(0.0, sending.lease_ends_at - asyncio.get_running_loop().time() - self._limit_s)

    async def _prepare(self, lease: Lease) -> Prepared | Skipped | Readdressed:
        """The bytes that may have arrived before, or what is left to tell, rendered now, for the address of this moment."""
        mail = lease.mail()
        known = await self._known.about(mail)
        planned = plan(mail, known)
        match planned:
            case Nothing(why):
                return Skipped(why)
            case Moved():
                return Readdressed()
        readdressed = mail.model_copy(update={"recipient": planned.recipient})
        if mail.rendered is not None and mail.ambiguities:
            return Prepared(mail, planned, self._renderer.as_it_was(readdressed, mail.rendered))
        own = own_choices(known, planned.recipient.person)
        locale = (own.locale if own is not None else None) or planned.recipient.locale
        zone = own.time_zone if own is not None else None
        rendered = self._renderer.render(readdressed, planned.entries, locale=locale, time_zone=zone)
        return Prepared(mail, planned, rendered)

    async def _send(self, sending: Sending, prepared: Prepared) -> Outcome:
        rendered = prepared.rendered
        envelope = Envelope(self._sender_address, rendered.recipient, len(rendered.content))
        connection = await self._connections.offer(envelope)
        try:
            if (outcome := await self._hindrance(sending, prepared)) is not None:
                await connection.reset()
                return outcome
            sending.data_begun = True
            return Sent(await connection.transmit(rendered.content, limit_s=self._limit_s))
        except SmtpError:
            raise
        except BaseException:
            # Whatever it is, the offered mail stands there, and the next one would be refused for it.
            connection.drop()
            raise
        finally:
            self._connections.give_back(connection)

    async def _hindrance(self, sending: Sending, prepared: Prepared) -> Lost | Outdated | None:
        """Stores `transmitting`, then looks again: why the offered mail must be taken back, None where it may go.

        The look comes after the mark, and both are of a majority: an address that was withdrawn, in the database's order, before the mark
        is seen to be. From here on a shutdown waits: nobody knows what an interrupted store has done.
        """
        sending.must_end = True
        rendered, to = prepared.rendered, prepared.plan.recipient.email
        held = await self._mails.transmitting(
            sending.lease, rendered=rendered.content, message_id=rendered.message_id, to=to
        )
        if not held:
            return Lost()
        known = await self._known.about(prepared.mail)
        return None if plan(prepared.mail, known) == prepared.plan else Outdated()
