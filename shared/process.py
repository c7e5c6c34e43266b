"""Figures of the process itself, the same in all services: CPU, memory, open files, and how late its event loop is."""

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Final

from prometheus_client import CollectorRegistry, Histogram
from prometheus_client.process_collector import ProcessCollector

from shared.losses import end

EVERY_S: Final = 0.25


@asynccontextmanager
async def watched(registry: CollectorRegistry) -> AsyncIterator[None]:
    """Exports the figures while in it. Entered once for each registry.

    A loop that is late answers nobody in time, whatever the reason: the lag is what a timer of a quarter of a second was late by.
    """
    ProcessCollector(registry=registry)
    lag = Histogram(
        "parley_event_loop_lag_seconds",
        "How much too late the event loop came back to a timer, measured four times a second",
        buckets=(0.001, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5),
        registry=registry,
    )
    task = asyncio.create_task(_measure(lag), name="event loop lag")
    try:
        yield
    finally:
        await end(task)


async def _measure(lag: Histogram) -> None:
    while True:
        before = time.perf_counter()
        await asyncio.sleep(EVERY_S)
        lag.observe(max(0.0, time.perf_counter() - before - EVERY_S))
