"""B2 and B3: how fast threads' worker drains its queue, beside a concurrent loop, and beside MongoDB alone: `python -m bench.threads`.

Taken is the time from the first stored entry to the moment when all are stored, announced and finished.
"""

import asyncio
import sys
from typing import Final

from bench.draining import THREADS, bulk_writes, loop_drains, stage, worker_drains
from bench.rounds import ROUNDS, Row, line

MESSAGES: Final = 20_000
MESSAGES_OF_THE_LOOP: Final = 4_000
AIM_BESIDE_THE_LOOP: Final = 4.0
AIM_BESIDE_BULK_WRITES: Final = 0.4


async def measure(*, rounds: int = ROUNDS, messages: int = MESSAGES) -> list[Row]:
    with stage() as run:
        for _ in range(rounds):
            drained = await worker_drains(run, "ours", messages=messages, filled_before=True)
            await loop_drains(run, "loop", messages=min(messages, MESSAGES_OF_THE_LOOP))
            await bulk_writes(run, "bulk", drained)
        what = f"drain of {messages:,} posts in {THREADS} threads"
        loop_is = "loop of 64: find_one_and_update, insert, publish, ack"
        note = f"{run.said('ours')}; the loop ({MESSAGES_OF_THE_LOOP:,} posts): {run.said('loop')}"
        bulk_is = "the same documents, grouped bulk writes"
        return [
            run.beside("B2", what, "ours", loop_is, "loop", aim=AIM_BESIDE_THE_LOOP, note=note),
            run.beside("B3", what, "ours", bulk_is, "bulk", aim=AIM_BESIDE_BULK_WRITES),
        ]


if __name__ == "__main__":
    for row in asyncio.run(measure(rounds=int(sys.argv[1]) if len(sys.argv) > 1 else ROUNDS)):
        print(line(row))
