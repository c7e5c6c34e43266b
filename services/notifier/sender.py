"""Sends the mails that are due: leases as many as may be under way, sends them side by side, and stores what became of each."""

import asyncio
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Final

import structlog
from opentelemetry.trace import SpanKind
from pymongo.errors import PyMongoError

from services.notifier.attempts import Attempts, Sending
from services.notifier.connections import Connections
from services.notifier.contents import MailState
from services.notifier.mails import Lease, Mails
from services.notifier.metrics import Metrics
from services.notifier.outcomes import Defect, Lost, Outcome, Refused, Sent, ServerAway, Skipped, Stopped, Unknown
from services.notifier.pauses import Pauses
from shared import traces
from shared.losses import end

log = structlog.get_logger(__name__)

LEDGER_PAUSE_S: Final = 1.0
MARK_PAUSE_S: Final = 0.2
GATHER_S: Final = 0.02
# A server that is not there costs nothing to look for; one that says no may count how often it was asked.
KNOCK_EVERY_S: Final = 3.0
LAST_WORDS_S: Final = 2.0


@dataclass(frozen=True, slots=True)
class Limits:
    """How many mails at a time, how long a lease is, how often to look for due ones, and the pauses after failures."""

    at_once: int = 4
    lease_s: float = 120.0
    poll_s: float = 1.0
    mail_pauses: Pauses = field(default_factory=Pauses)
    server_pauses: Pauses = field(default_factory=lambda: Pauses(longest_s=60.0))


class Sender:
    """One task that leases, one that looks around, and one for each mail under way. Any number of processes may run one of these each."""

    def __init__(
        self, *, mails: Mails, attempts: Attempts, connections: Connections, metrics: Metrics, limits: Limits
    ) -> None:
        self._mails, self._attempts, self._connections = mails, attempts, connections
        self._metrics, self._limits = metrics, limits
        self._woken, self._stopping, self._ended = asyncio.Event(), asyncio.Event(), asyncio.Event()
        self._under_way: dict[asyncio.Task[None], Sending] = {}
        self._tasks: list[asyncio.Task[None]] = []
        self._server_failures, self._server_back_at = 0, 0.0

    def start(self) -> None:
        self._tasks = [
            asyncio.create_task(self._lease_and_send(), name="sender leases"),
            asyncio.create_task(self._look_around(), name="sender looks around"),
        ]
        for task in self._tasks:
            task.add_done_callback(_say_how_it_ended)

    @property
    def is_running(self) -> bool:
        return bool(self._tasks) and not any(task.done() for task in self._tasks)

    def wake(self) -> None:
        """Something has become due just now."""
        self._woken.set()

    async def stop(self, *, grace_s: float) -> None:
        """Leases no more. Mails in transmission may end within the grace period; the others are given back at once."""
        self._stopping.set()
        self._woken.set()
        for task, sending in self._under_way.items():
            if not sending.must_end:
                task.cancel()
        tasks = {*self._under_way, *self._tasks}
        for limit_s in (grace_s, LAST_WORDS_S):
            if tasks:
                _, tasks = await asyncio.wait(tasks, timeout=limit_s)
            for task in tasks:
                task.cancel()
        await end(*tasks)
        await self._connections.close()

    async def _lease_and_send(self) -> None:
        while not self._stopping.is_set():
            due = await self._next_due(at_most=await self._room())
            if self._stopping.is_set():
                await asyncio.gather(*(self._store(sending, Stopped("shutting down")) for sending in due))
                return
            for sending in due:
                task = asyncio.create_task(self._carry(sending), name=f"mail {sending.lease.mail_id}")
                self._under_way[task] = sending
                task.add_done_callback(self._done)

    async def _room(self) -> int:
        """Waits until more mails may be under way; how many. A few cost as much to lease as many: so for half of them, but not for long."""
        while not self._free():
            self._ended.clear()
            await self._ended.wait()
        no_longer_at = _now() + GATHER_S
        while (room := self._free()) < self._limits.at_once // 2 and _now() < no_longer_at:
            self._ended.clear()
            await _wait(self._ended, no_longer_at - _now())
        return room

    def _free(self) -> int:
        return self._limits.at_once - len(self._under_way)

    def _done(self, task: asyncio.Task[None]) -> None:
        del self._under_way[task]
        self._ended.set()

    async def _next_due(self, *, at_most: int) -> list[Sending]:
        """Waits for due mails and leases them; none when stopping. The event is cleared before looking, so no wake-up is lost."""
        while not self._stopping.is_set():
            server_pause_s = self._server_back_at - _now()
            if server_pause_s > 0:
                await _wait(self._stopping, server_pause_s)
                continue
            self._woken.clear()
            leases = await self._lease(at_most)
            if leases:
                return [Sending(lease=lease, lease_ends_at=lease.asked_at + self._limits.lease_s) for lease in leases]
            await _wait(self._woken, self._limits.poll_s)
        return []

    async def _lease(self, at_most: int) -> list[Lease]:
        try:
            return await self._mails.lease_some(at_most)
        except PyMongoError as error:
            log.warning("ledger_away", error=type(error).__name__)
        except Exception:
            # Whatever it is, it must not end the sending: what was leased comes back when its lease ends.
            log.exception("lease_defect")
        await _wait(self._stopping, LEDGER_PAUSE_S)
        return []

    async def _look_around(self) -> None:
        """Once a poll: takes back ended leases, hangs up idle connections, and says how late the oldest mail is."""
        while not self._stopping.is_set():
            try:
                await self._take_back_ended_leases()
                oldest = await self._mails.oldest_due()
                late_s = (datetime.now(UTC) - oldest).total_seconds() if oldest else 0.0
                self._metrics.oldest_due_s.set(max(0.0, late_s))
            except PyMongoError as error:
                log.warning("ledger_away", error=type(error).__name__)
            await self._connections.close_idle()
            await _wait(self._stopping, self._limits.poll_s)

    async def _take_back_ended_leases(self) -> None:
        while (lapse := await self._mails.lapse(pause_s=self._limits.mail_pauses.after(1))) is not None:
            log.warning("lease_ended", mail_id=lapse.mail_id, was=lapse.was, state=lapse.now)
            self._metrics.lapsed.labels(lapse.was).inc()
            if lapse.was == "transmitting":
                self._count(lapse.now, ambiguous=True)
            self.wake()

    async def _carry(self, sending: Sending) -> None:
        """One leased mail to its mark. Cancelled once DATA was begun, it is left to the end of its lease."""
        with self._metrics.send_s.time():
            try:
                outcome = await self._attempt(sending)
            except asyncio.CancelledError:
                if not sending.data_begun:
                    await self._store(sending, Stopped("shutting down"))
                raise
            except Exception as error:
                log.exception("mail_defect", mail_id=sending.lease.mail_id)
                reason = type(error).__name__
                outcome = Unknown(f"defect: {reason}") if sending.data_begun else Defect(reason)
            sending.must_end = True
            self._watch_server(outcome)
            await self._store(sending, outcome)

    async def _attempt(self, sending: Sending) -> Outcome:
        """The attempt; in a trace it is below the taking of the mail's first entry. One that is cancelled is not in it."""
        span = traces.begin("send a mail", parent=_parent(sending), kind=SpanKind.CLIENT)
        outcome = await self._attempts.make(sending)
        if span is not None:
            span.end(
                error=None if isinstance(outcome, Sent | Skipped) else outcome.name,
                outcome=outcome.name,
                answer=outcome.reason,
            )
        return outcome

    def _watch_server(self, outcome: Outcome) -> None:
        """A server that is away is looked for every few seconds; one that lets nobody in, less and less often. Any mail it takes ends that."""
        if not isinstance(outcome, ServerAway):
            if isinstance(outcome, Sent | Refused | Unknown):
                self._server_failures = 0
                self._metrics.server_up.set(1)
        elif _now() >= self._server_back_at:
            self._server_failures += 1
            pause_s = self._limits.server_pauses.after(self._server_failures)
            self._server_back_at = _now() + (pause_s if outcome.answered else min(pause_s, KNOCK_EVERY_S))
            self._metrics.server_up.set(0)
            log.error("smtp_server_away", reason=outcome.reason, failures=self._server_failures)

    async def _store(self, sending: Sending, outcome: Outcome) -> None:
        """Stores what became of the attempt, again and again until the lease ends: after that it is no longer ours to say."""
        self._metrics.attempts.labels(outcome.name).inc()
        pause_s = self._limits.mail_pauses.after(sending.lease.attempts + 1)
        state: MailState | None = None
        while not isinstance(outcome, Lost):
            try:
                state = await self._mails.mark(sending.lease, outcome, pause_s=pause_s)
                break
            except PyMongoError as error:
                log.warning("mark_repeated", mail_id=sending.lease.mail_id, error=type(error).__name__)
                if _now() >= sending.lease_ends_at:
                    break
                await asyncio.sleep(MARK_PAUSE_S)
        self._count(state, ambiguous=isinstance(outcome, Unknown))
        lease = sending.lease
        if state == "sent":
            first = min(entry["at"] for entry in lease.document["entries"])
            self._metrics.accepted_to_sent_s.observe((datetime.now(UTC) - first).total_seconds())
        log.info(f"mail_{outcome.name}", mail_id=lease.mail_id, fence=lease.fence, state=state, reason=outcome.reason)

    def _count(self, state: MailState | None, *, ambiguous: bool) -> None:
        if state in ("sent", "failed", "ambiguous", "skipped"):
            self._metrics.mails.labels(state).inc()
        elif ambiguous and state == "pending":
            self._metrics.resent.inc()


def _say_how_it_ended(task: asyncio.Task[None]) -> None:
    """These tasks end when stopping; an error in one is a defect, and the service is not ready any more."""
    if not task.cancelled() and (error := task.exception()) is not None:
        log.error("sender_broke", task=task.get_name(), exc_info=error)


def _parent(sending: Sending) -> str | None:
    """The trace of the first entry in the mail."""
    if not traces.is_on():
        return None
    found: object = sending.lease.document["entries"][0].get("traceparent")
    return found if isinstance(found, str) else None


def _now() -> float:
    return asyncio.get_running_loop().time()


async def _wait(event: asyncio.Event, limit_s: float) -> None:
    """Until the event, but no longer than that."""
    try:
        async with asyncio.timeout(limit_s):
            await event.wait()
    except TimeoutError:
        return
