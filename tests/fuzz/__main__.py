"""`python -m tests.fuzz`: FUZZ_INPUTS inputs in all (a million and a bit), SEED to have the same ones again."""

import os
import platform
import secrets
import sys
import time
from datetime import UTC, datetime

from shared import logs
from tests.fuzz.http import http_parsers
from tests.fuzz.parsers import parsers
from tests.fuzz.running import run, shares

DEFAULT_INPUTS = 1_050_000
SHOWN_FAILURES = 20


def main() -> int:
    logs.configure(service="fuzz", log_format="json", level="error")
    inputs = int(os.environ.get("FUZZ_INPUTS") or DEFAULT_INPUTS)
    seed = os.environ.get("SEED") or secrets.token_hex(4)
    machine = f"{os.cpu_count()} cores, {platform.machine()}, Python {platform.python_version()}"
    print(f"make fuzz FUZZ_INPUTS={inputs} SEED={seed}")
    print(f"{datetime.now(UTC):%Y-%m-%d %H:%M} UTC, {machine}\n", flush=True)
    began, tallies = time.monotonic(), []
    for parser, share in shares([*parsers(), *http_parsers()], inputs):
        tallies.append(run(parser, inputs=share, seed=seed))
        print(tallies[-1].line(), flush=True)
    failures = [f"{tally.name}: {failure}" for tally in tallies for failure in tally.failures]
    for failure in failures[:SHOWN_FAILURES]:
        print(f"FAILURE {failure}")
    total = sum(tally.inputs for tally in tallies)
    took_s = time.monotonic() - began
    print(f"\n{total} inputs to {len(tallies)} parsers in {took_s:.0f} s, seed {seed}: {len(failures)} failures")
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main())
