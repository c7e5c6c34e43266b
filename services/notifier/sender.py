"""Sends the mails that are due: leases them one by one, sends several at a time, and marks what became of each."""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Final, TypeVar

import structlog
from pymongo.errors import PyMongoError

from services.notifier.contents import MailState, left_to_tell
from services.notifier.known import Known
from services.notifier.mails import Lease, Mails
from services.notifier.metrics import Metrics
from services.notifier.pauses import Pauses
from services.notifier.rendering import Rendered, Renderer
from services.notifier.smtp import Broken, Connections, Envelope, Refused, ServerAway, Unknown
from shared.mongo import is_away

log = structlog.get_logger(__name__)

AWAY_PAUSE_S: Final = 1.0
MARK_PAUSE_S: Final = 0.2

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Limits:
    """How many mails at a time, how long one may take, how often to look for due ones, and the pauses after failures."""

    at_once: int = 4
    send_s: float = 60.0
    lease_s: float = 120.0
    poll_s: float = 1.0
    mail_pauses: Pauses = Pauses()
    server_pauses: Pauses = Pauses(longest_s=60.0)


@dataclass(frozen=True, slots=True)
class Sent:
    reply: str


@dataclass(frozen=True, slots=True)
class Skipped:
    """Nothing was left to tell."""

    why: str


@dataclass(frozen=True, slots=True)
class Lost:
    """The lease was no longer ours when it mattered; nothing was sent."""


@dataclass(frozen=True, slots=True)
class Stopped:
    """Given back before anything was sent, and why."""

    why: str


@dataclass(frozen=True, slots=True)
class Defect:
    """Our own fault; `error` names it, without anybody's text."""

    error: str


Outcome = Sent | Skipped | Lost | Stopped | Defect | Refused | Broken | Unknown | ServerAway


@dataclass(slots=True)
class Sending:
    """One mail under way. Once `transmitting` it must not be stopped lightly: its outcome would be unknown."""

    lease: Lease
    lease_ends_at: float
    transmitting: bool = False


class Sender:
    """One loop that leases, and a task for each mail that it has leased. Any number of processes may run one each."""

    def __init__(
        self,
        *,
        mails: Mails,
        known: Known,
        connections: Connections,
        renderer: Renderer,
        metrics: Metrics,
        sender_address: str,
        limits: Limits,
    ) -> None:
        self._mails, self._known, self._connections = mails, known, connections
        self._renderer, self._metrics, self._limits = renderer, metrics, limits
        self._sender_address = sender_address
        self._slots = asyncio.Semaphore(limits.at_once)
        self._woken = asyncio.Event()
        self._stopping = False
        self._under_way: dict[asyncio.Task[None], Sending] = {}
        self._loop_task: asyncio.Task[None] | None = None
        self._server_failures = 0
        self._server_paused_until = 0.0
        self._next_look_at = 0.0

    def start(self) -> None:
        self._loop_task = asyncio.create_task(self._run(), name="sender")

    def wake(self) -> None:
        """Something has become due just now."""
        self._woken.set()

    async def stop(self, *, grace_s: float) -> None:
        """Leases no more; mails in transmission may end within the grace period, the others are given back at once."""
        self._stopping = True
        self._woken.set()
        for task, sending in self._under_way.items():
            if not sending.transmitting:
                task.cancel()
        tasks = {*self._under_way, *([self._loop_task] if self._loop_task else [])}
        if tasks:
            _, late = await asyncio.wait(tasks, timeout=grace_s)
            for task in late:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
        await self._connections.close()

    async def _run(self) -> None:
        while not self._stopping:
            await self._slots.acquire()
            sending = await self._next_due()
            if sending is None:
                return
            task = asyncio.create_task(self._carry(sending), name=f"mail {sending.lease.mail_id}")
            self._under_way[task] = sending
            task.add_done_callback(self._done)

    def _done(self, task: asyncio.Task[None]) -> None:
        del self._under_way[task]
        self._slots.release()
        if not task.cancelled() and (error := task.exception()) is not None:
            log.error("send_task_failed", task=task.get_name(), error=type(error).__name__)

    async def _next_due(self) -> Sending | None:
        """Waits for a due mail and leases it; None when stopping."""
        while not self._stopping:
            self._woken.clear()
            wait_s = self._server_paused_until - _now()
            if wait_s <= 0:
                sending = await self._lease_one()
                if sending is not None:
                    return sending
                wait_s = self._limits.poll_s
            await self._sleep(min(wait_s, self._limits.poll_s), unless_woken=self._server_failures == 0)
        return None

    async def _lease_one(self) -> Sending | None:
        try:
            await self._look_around()
            asked_at = _now()
            lease = await self._mails.lease()
        except PyMongoError as error:
            log.warning("ledger_away" if is_away(error) else "ledger_error", error=type(error).__name__)
            await self._sleep(AWAY_PAUSE_S, unless_woken=False)
            return None
        if lease is None:
            return None
        return Sending(lease=lease, lease_ends_at=asked_at + self._limits.lease_s)

    async def _look_around(self) -> None:
        """Once a poll: takes back ended leases and hangs up idle connections."""
        if _now() < self._next_look_at:
            return
        self._next_look_at = _now() + self._limits.poll_s
        await self._connections.close_idle()
        while (lapse := await self._mails.lapse(pause_s=self._limits.mail_pauses.after(1))) is not None:
            log.warning("lease_ended", mail_id=lapse.mail_id, was=lapse.was, now=lapse.now)
            self._metrics.lapsed.labels(lapse.was).inc()
            if lapse.was == "transmitting":
                self._count_ambiguous(lapse.now)

    async def _sleep(self, seconds: float, *, unless_woken: bool) -> None:
        """Also ends when stopping. A pause for a server that is away is not cut short by new mails."""
        try:
            async with asyncio.timeout(seconds):
                while True:
                    await self._woken.wait()
                    if unless_woken or self._stopping:
                        return
                    self._woken.clear()
        except TimeoutError:
            return

    async def _carry(self, sending: Sending) -> None:
        """One leased mail to its mark. Cancelled before it was transmitting, it is given back; later, its lease must end."""
        started_at = _now()
        try:
            outcome = await self._attempt(sending)
        except asyncio.CancelledError:
            if not sending.transmitting:
                await self._settle(sending, Stopped("shutting down"))
            raise
        except PyMongoError as error:
            outcome = Stopped(f"ledger: {type(error).__name__}")
            await self._sleep(AWAY_PAUSE_S, unless_woken=False)
        except Exception as error:
            log.exception("mail_defect", mail_id=sending.lease.mail_id)
            outcome = Defect(type(error).__name__)
        await self._settle(sending, outcome)
        self._metrics.send_s.observe(_now() - started_at)

    async def _attempt(self, sending: Sending) -> Outcome:
        begun = False
        try:
            async with asyncio.timeout(self._limits.send_s):
                prepared = await self._prepare(sending.lease)
                if not isinstance(prepared, Rendered):
                    return prepared
                envelope = Envelope(self._sender_address, prepared.recipient, len(prepared.content))
                connection = await self._connections.offer(envelope)
                self._server_is_up()
                try:
                    sending.transmitting = True
                    if not await self._may_transmit(sending.lease, prepared):
                        await connection.reset()
                        return Lost()
                    begun = True
                    return Sent(await connection.transmit(prepared.content, limit_s=self._limits.send_s))
                finally:
                    self._connections.give_back(connection)
        except (Refused, Broken, Unknown, ServerAway) as outcome:
            return outcome
        except TimeoutError:
            return Unknown("time-out") if begun else Broken("time-out")

    async def _prepare(self, lease: Lease) -> Rendered | Skipped:
        """The bytes to send: those that may have left us before, or what is left to tell, rendered now."""
        mail = lease.mail()
        known = await self._known.about(mail)
        left = left_to_tell(mail, known)
        if isinstance(left, str):
            return Skipped(left)
        chosen = known.choices.locale if known.choices else None
        rendered = self._renderer.render(mail, left, locale=chosen or mail.recipient.locale)
        if mail.rendered is not None:
            return Rendered(mail.rendered, rendered.message_id, rendered.recipient)
        return rendered

    async def _may_transmit(self, lease: Lease, rendered: Rendered) -> bool:
        return await self._mails.transmitting(lease, rendered=rendered.content, message_id=rendered.message_id)

    async def _settle(self, sending: Sending, outcome: Outcome) -> None:
        """Stores what became of the attempt, until the lease ends: after that it is no longer ours to say."""
        name = _name(outcome)
        self._metrics.attempts.labels(name).inc()
        if isinstance(outcome, ServerAway):
            self._server_is_away(outcome)
        state = None
        if not isinstance(outcome, Lost):
            state = await self._until_lease_ends(sending, lambda: self._mark(sending.lease, outcome))
        log.info("mail_" + name, mail_id=sending.lease.mail_id, state=state, fence=sending.lease.fence, **_details(outcome))
        if isinstance(outcome, Unknown):
            self._count_ambiguous(state)
        elif state in ("sent", "failed", "skipped"):
            self._metrics.mails.labels(state).inc()
        if state == "pending" and isinstance(outcome, Stopped):
            self.wake()

    def _mark(self, lease: Lease, outcome: Outcome) -> Awaitable[MailState | None]:
        mails, pause_s = self._mails, self._limits.mail_pauses.after(int(lease.document.get("attempts", 0)) + 1)
        match outcome:
            case Sent(reply=reply):
                return mails.sent(lease, reply=reply)
            case Skipped(why=why):
                return mails.skipped(lease, why=why)
            case Refused(code=code, text=text) if outcome.is_final:
                return mails.failed(lease, code=code, text=text)
            case Refused(code=code, text=text):
                return mails.put_back(lease, code=code, text=text, pause_s=pause_s)
            case Broken():
                return mails.put_back(lease, code=None, text=str(outcome), pause_s=pause_s)
            case Unknown():
                return mails.ambiguous(lease, why=str(outcome), pause_s=pause_s)
            case Defect(error=error):
                return mails.failed(lease, code=None, text=f"defect: {error}")
            case _:
                return mails.release(lease, why=name_and_reason(outcome))

    async def _until_lease_ends(self, sending: Sending, mark: Callable[[], Awaitable[T]]) -> T | None:
        while True:
            try:
                return await mark()
            except PyMongoError as error:
                log.warning("mark_repeated", mail_id=sending.lease.mail_id, error=type(error).__name__)
                if _now() >= sending.lease_ends_at:
                    return None
                await asyncio.sleep(MARK_PAUSE_S)
