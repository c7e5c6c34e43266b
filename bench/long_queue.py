"""B11: whether a worker drains a queue of 10^5 as fast as a short one: `python -m bench.long_queue`.

Of both queues the first 10,000 messages are drained, so that nothing but what is behind them differs.
"""

import asyncio
import sys
from typing import Final

from bench.draining import stage, worker_drains
from bench.rounds import ROUNDS, Row, line

LONG: Final = 100_000
SHORT: Final = 10_000
AIM: Final = 0.9


async def measure(*, rounds: int = ROUNDS, long: int = LONG, short: int = SHORT) -> list[Row]:
    with stage() as run:
        for _ in range(rounds):
            await worker_drains(run, "long", messages=long, until=short, filled_before=True)
            await worker_drains(run, "short", messages=short, until=short, filled_before=True)
        what = f"drain of {short:,} posts with {long:,} in the queue"
        baseline_is = f"with {short:,} in the queue"
        note = f"{run.said('long')}; the short one: {run.said('short')}"
        return [run.beside("B11", what, "long", baseline_is, "short", aim=AIM, note=note)]


if __name__ == "__main__":
    for row in asyncio.run(measure(rounds=int(sys.argv[1]) if len(sys.argv) > 1 else ROUNDS)):
        print(line(row))
