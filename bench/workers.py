"""B4: how fast 2 and 4 workers drain a queue beside 1, and one hot thread beside many: `python -m bench.workers [free held]`.

As fast as the machine goes, and once more with every worker held to a quarter of a core by a control group, so that it is the
workers and not the cores that they share with RabbitMQ and MongoDB (which are not held) that end first.
"""

import asyncio
import sys
from collections.abc import Sequence
from typing import Final

from bench.draining import THREADS, Stage, stage, worker_drains
from bench.rounds import ROUNDS, Row, line

MESSAGES: Final = 8_000
MESSAGES_OF_HELD: Final = 12_000
QUOTA_CORES: Final = 0.25
AIM: Final = 0.9
AIM_HELD: Final = 1.7
AIM_HOT: Final = 0.5


async def free(run: Stage, rounds: int) -> list[Row]:
    """1, 2 and 4 workers, and one with everything in one thread."""
    for _ in range(rounds):
        for workers in (1, 2, 4):
            await worker_drains(run, f"{workers}", messages=MESSAGES, workers=workers)
        await worker_drains(run, "hot", messages=MESSAGES, threads=1)
    what = f"drain of {MESSAGES:,} posts"
    return [
        *(_beside(run, f"{what}, {each} workers", f"{each}", "1 worker", "1", aim=AIM) for each in (2, 4)),
        _beside(run, f"{what}, all in one thread", "hot", f"in {THREADS} threads", "1", aim=AIM_HOT),
    ]


async def held(run: Stage, rounds: int) -> list[Row]:
    for _ in range(rounds):
        for workers in (1, 2):
            await worker_drains(
                run, f"held {workers}", messages=MESSAGES_OF_HELD, workers=workers, quota_cores=QUOTA_CORES
            )
    what = f"drain of {MESSAGES_OF_HELD:,} posts, 2 workers held to {QUOTA_CORES:g} of a core each"
    return [_beside(run, what, "held 2", "1 such worker", "held 1", aim=AIM_HELD)]


def _beside(run: Stage, what: str, ours: str, baseline_is: str, baseline: str, *, aim: float) -> Row:
    note = f"collisions a message {run.collisions(ours)}; {run.said(ours)}; the baseline: {run.said(baseline)}"
    return run.beside("B4", what, ours, baseline_is, baseline, aim=aim, note=note)


PARTS: Final = {"free": free, "held": held}


async def measure(parts: Sequence[str] = tuple(PARTS), *, rounds: int = ROUNDS) -> list[Row]:
    with stage() as run:
        return [row for part in parts for row in await PARTS[part](run, rounds)]


if __name__ == "__main__":
    for row in asyncio.run(measure(sys.argv[1:] or tuple(PARTS))):
        print(line(row))
