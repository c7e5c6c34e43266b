"""`make load`: RATE (requests a second; without it, half of the top rate, which is searched for first), DURATION_S (60), PLOT (an SVG).

Drives a stack of its own, or the one at GATEWAY_URL (with MAIL_PAGE_URL, AMQP_URL, TOKEN_DEMO_SECRET and LINK_SECRET, as `make demo`).
Exit status 1 where a request of the last run failed.
"""

import asyncio
import os
import sys
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

import uvloop

from bench.load.figures import Run, percentile, table
from bench.load.plot import svg
from bench.load.trial import P99_LIMIT_MS, Trial, own_trial, trial_of
from deploy.local.demo_target import DemoTarget
from deploy.local.errors import StackError

DURATION_S: Final = 60.0
RECENT_S: Final = 5.0
LINE_EVERY_S: Final = 15


@asynccontextmanager
async def chosen_trial(environment: Mapping[str, str]) -> AsyncIterator[Trial]:
    if not environment.get("GATEWAY_URL"):
        async with own_trial() as trial:
            yield trial
        return
    target = DemoTarget.read(environment)
    async with trial_of(target, {"gateway": target.gateway_url}) as trial:
        yield trial


async def load(environment: Mapping[str, str]) -> Run:
    asked = environment.get("RATE")
    duration_s = float(environment.get("DURATION_S") or DURATION_S)
    async with chosen_trial(environment) as trial:
        if asked:
            rate = float(asked)
        else:
            say(f"looking for the highest rate whose p99 stays below {P99_LIMIT_MS:g} ms")
            top = await trial.top_rate(say)
            say(f"top rate: {top.borne:.0f} requests/s")
            rate = top.borne / 2
        if rate <= 0:
            raise StackError("no rate is borne: there is nothing to run at")
        say(f"{rate:g} requests/s for {duration_s:g} s")
        return await trial.run(rate, duration_s, progress=progress)


def progress(run: Run, at_s: float) -> None:
    """On a terminal one line a second, written over the one before; elsewhere a line now and then."""
    on_terminal = sys.stderr.isatty()
    if not on_terminal and int(at_s) % LINE_EVERY_S:
        return
    p99_ms = percentile(run.took_ms(since_s=at_s - RECENT_S), 99)
    said = f"{at_s:5.0f} of {run.duration_s:.0f} s   {len(run.samples):>8,} answered   {run.errors} errors   p99 {p99_ms:7.1f} ms"
    print(f"\r{said} " if on_terminal else said, end="" if on_terminal else "\n", file=sys.stderr, flush=True)


def say(text: str) -> None:
    print(text, flush=True)


def main() -> int:
    try:
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            run = runner.run(load(os.environ))
    except StackError as error:
        print(f"load: {error}", file=sys.stderr)
        return 1
    print(f"\n{table(run)}")
    plot = os.environ.get("PLOT")
    if plot:
        title = f"make load: {run.rate:g} requests/s for {run.duration_s:g} s, {datetime.now(UTC):%Y-%m-%d}"
        Path(plot).write_text(svg(run, title=title), encoding="utf-8")
        print(f"plot: {plot}")
    return 1 if run.errors else 0


if __name__ == "__main__":
    sys.exit(main())
