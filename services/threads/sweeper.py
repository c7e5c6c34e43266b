"""Finishes, within seconds, what a crash, a full queue or an unconfirmed publish left behind: the log is the outbox."""

import asyncio
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from typing import Final

import structlog

from services.threads.entries import Log
from services.threads.finish import Finisher
from services.threads.metrics import Metrics
from services.threads.orders import Orders
from services.threads.thread import Entry
from shared.losses import loss_is_an_error
from shared.mongo import is_away

log = structlog.get_logger(__name__)

LEFT_BEHIND_AFTER_S: Final = 3.0
EVERY_S: Final = 1.0
AT_ONCE: Final = 500


class Sweeper:
    """Any number may sweep at once: what two of them publish are copies with one id."""

    def __init__(
        self,
        *,
        entries: Log,
        orders: Orders,
        finisher: Finisher,
        metrics: Metrics,
        clock: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self._log, self._orders, self._finisher = entries, orders, finisher
        self._metrics, self._clock = metrics, clock

    async def run(self) -> None:
        """Sweeps for ever; a sweep that fails (a server is away) is only the next one's work."""
        while True:
            try:
                with loss_is_an_error():
                    swept = await self.sweep()
            except Exception as error:
                log.warning("sweep_failed", error=type(error).__name__, exc_info=not is_away(error))
                swept = 0
            if swept < AT_ONCE:
                await asyncio.sleep(EVERY_S)

    async def sweep(self) -> int:
        """Finishes what was left behind longer than a moment ago; says how many entries."""
        now = self._clock()
        entries = await self._log.unfinished(older_than_s=LEFT_BEHIND_AFTER_S, now=now, limit=AT_ONCE)
        ages = [(now - entry.committed_at).total_seconds() for entry in entries]
        self._metrics.oldest_unfinished.set(max(ages, default=0.0))
        if not entries:
            return 0
        parties = await self._orders.parties(list({entry.order_id for entry in entries}))
        finished = await self._finisher.finish(entries, parties, answer=_nobody_waits)
        self._metrics.swept.inc(finished)
        log.info("swept", found=len(entries), finished=finished)
        return finished


def _nobody_waits(_: Sequence[Entry]) -> None:
    """Whoever waited has long been told to ask for the outcome."""
