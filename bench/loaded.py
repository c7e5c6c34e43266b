"""B8: how long requests take at half of the top rate, beside an all but idle stack: `python -m bench.loaded`.

The top rate is looked for first, by the open loop of `make load` with its mix; then both rates in turn, round by round.
"""

import asyncio
import sys
from typing import Final

import uvloop

from bench.load.trial import CALM_RATE, P99_LIMIT_MS, own_trial
from bench.rounds import ROUNDS, Row, line

SEARCH_STEP_S: Final = 6.0
FIRST_RATE: Final = 100.0
RUN_S: Final = 15.0
AIM: Final = 3.0


async def measure(*, rounds: int = ROUNDS, run_s: float = RUN_S) -> list[Row]:
    """Raises LookupError where not even the first rate is borne."""
    async with own_trial() as trial:
        top = await trial.top_rate(say, step_s=SEARCH_STEP_S, first=FIRST_RATE)
        if not top.borne:
            raise LookupError(f"{FIRST_RATE:g} requests/s are not borne: p99 is not below {P99_LIMIT_MS:g} ms")
        runs = [(await trial.run(top.borne / 2, run_s), await trial.run(CALM_RATE, run_s)) for _ in range(rounds)]
    half, calm = [run.p99_ms() for run, _ in runs], [run.p99_ms() for _, run in runs]
    ratios = [mine / theirs for mine, theirs in zip(half, calm, strict=True)]
    what = f"p99 of all requests of `make load` at half of the top rate, {top.borne / 2:.0f}/s"
    errors = sum(run.errors for pair in runs for run in pair)
    note = f"top rate {top.borne:.0f} requests/s (p99 below {P99_LIMIT_MS:g} ms); {rounds} rounds of {run_s:g} s; errors {errors}"
    return [Row("B8", what, f"at {CALM_RATE:g} requests/s", "ms", half, calm, ratios, AIM, "lower", note)]


def say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


if __name__ == "__main__":
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        rows = runner.run(measure(rounds=int(sys.argv[1]) if len(sys.argv) > 1 else ROUNDS))
    for row in rows:
        print(line(row))
