"""`make prove-poison`: among 10,000 commands, three that crash the worker's process, and 1 in 200 that meets a defect. Exit status 1 on any difference.

Only those may end as dead letters, everything else must be stored once; and with the defects, the queue must drain at 0.8 of the
clean rate or more, measured in turn. COMMANDS, ROUNDS. The two parts alone: `python -m tests.poison crashes`, `… defects`.
"""

import asyncio
import os
import platform
import statistics
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable
from contextlib import ExitStack
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

from shared import logs
from shared.commands import PostMessage
from tests.faults.poison import KILLS, RAISES
from tests.poison.drain import DEAD, PREFETCH, Place, place
from tests.servers.mongodb import SharedMongo
from tests.servers.providers import shared_mongo, shared_rabbit
from tests.servers.rabbitmq import SharedRabbit

CRASHES: Final = 3
DEFECT_EVERY: Final = 200
LEAST_RATIO: Final = 0.8


async def crashes(rabbit: SharedRabbit, mongo: SharedMongo, directory: Path, *, commands: int, rounds: int) -> bool:
    """Three that crash the process: how often it was started again, how long it all took."""
    del rounds
    places = {commands * part // (CRASHES + 1) for part in range(1, CRASHES + 1)}
    texts = [KILLS if number in places else f"number {number}" for number in range(commands)]
    async with place(rabbit, mongo, directory) as here:
        sent = await here.publish(texts)
        began = time.monotonic()
        here.worker.start()
        await here.drained(stored=commands - CRASHES, dead=CRASHES)
        took_s = time.monotonic() - began
        letters = await here.parley.vhost.take_all(DEAD)
        wrong = _not_only(letters, sent, KILLS) + await _not_stored_once(here, texts, KILLS)
    reasons = {str(_deaths(letter)[0]["reason"]) for letter in letters}
    print(
        f"poison, crashes: {commands} commands, {CRASHES} crash the process (prefetch {PREFETCH}): {len(letters)} dead "
        f"({', '.join(sorted(reasons))}), {commands - CRASHES} others stored once, {here.restarts} restarts, {took_s:.0f} s"
    )
    return _told(wrong)


def _deaths(letter: Any) -> list[dict[str, Any]]:
    """RabbitMQ's own account of how a message came to its dead letters."""
    deaths: list[dict[str, Any]] = letter.headers.get("x-death") or [{"reason": "none said"}]
    return deaths


async def defects(rabbit: SharedRabbit, mongo: SharedMongo, directory: Path, *, commands: int, rounds: int) -> bool:
    """1 in 200 meets a defect: the rate beside that of a clean queue, in turn."""
    rates: dict[bool, list[float]] = {False: [], True: []}
    wrong: list[str] = []
    for number in range(rounds):
        for poisoned in (False, True):
            rate, found = await _round(rabbit, mongo, directory / f"{number}-{poisoned}", commands, poisoned=poisoned)
            rates[poisoned].append(rate)
            wrong += found
    ratios = [poisoned / clean for clean, poisoned in zip(rates[False], rates[True], strict=True)]
    ratio = statistics.median(ratios)
    print(
        f"poison, defects: {commands} commands, 1 in {DEFECT_EVERY} raises: only these {commands // DEFECT_EVERY} dead; drained "
        f"{statistics.median(rates[True]):.0f}/s, clean {statistics.median(rates[False]):.0f}/s, ratio {ratio:.2f} "
        f"({min(ratios):.2f} to {max(ratios):.2f}, {rounds} rounds in turn)"
    )
    if ratio < LEAST_RATIO:
        wrong.append(f"the ratio is below {LEAST_RATIO}")
    return _told(wrong)


async def _round(
    rabbit: SharedRabbit, mongo: SharedMongo, directory: Path, commands: int, *, poisoned: bool
) -> tuple[float, list[str]]:
    middle = DEFECT_EVERY // 2
    texts = [
        RAISES if poisoned and number % DEFECT_EVERY == middle else f"number {number}" for number in range(commands)
    ]
    dead = texts.count(RAISES)
    async with place(rabbit, mongo, directory) as here:
        sent = await here.publish(texts)
        here.worker.start()
        first, last = await here.drained(stored=commands - dead, dead=dead)
        letters = await here.parley.vhost.take_all(DEAD)
        wrong = _not_only(letters, sent, RAISES) + await _not_stored_once(here, texts, RAISES)
    return commands / (last - first), wrong


def _not_only(letters: list[Any], sent: list[PostMessage], poison: str) -> list[str]:
    """Dead letters that are not the poison, and the other way round; RabbitMQ may give a letter twice."""
    meant = {command.id for command in sent if command.data.text == poison}
    dead = {str(letter.message_id) for letter in letters}
    return [f"dead, and no poison: {each}" for each in dead - meant] + [f"not dead: {each}" for each in meant - dead]


async def _not_stored_once(here: Place, texts: list[str], poison: str) -> list[str]:
    stored = await here.stored_texts()
    innocent = {text for text in texts if text != poison}
    wrong = [f"never stored: {each}" for each in innocent - set(stored)]
    if len(stored) != len(innocent):
        wrong.append(f"{len(stored)} entries of {len(innocent)} commands")
    return wrong


def _told(wrong: list[str]) -> bool:
    for each in wrong[:20]:
        print(f"  {each}")
    return not wrong


Part = Callable[..., Awaitable[bool]]
PARTS: Final[dict[str, Part]] = {"crashes": crashes, "defects": defects}


async def run(parts: list[Part]) -> bool:
    commands, rounds = int(os.environ.get("COMMANDS") or 10_000), int(os.environ.get("ROUNDS") or 5)
    with ExitStack() as exits:
        directory = Path(exits.enter_context(tempfile.TemporaryDirectory(prefix="poison-")))
        rabbit, mongo = exits.enter_context(shared_rabbit(directory)), exits.enter_context(shared_mongo(directory))
        good = [await part(rabbit, mongo, directory / "services", commands=commands, rounds=rounds) for part in parts]
    return all(good)


def main() -> None:
    logs.configure(service="poison", log_format="text", level="error")
    print(f"poison: {datetime.now(UTC):%Y-%m-%d %H:%M} UTC, {os.cpu_count()} cores, Python {platform.python_version()}")
    parts = [PARTS[name] for name in sys.argv[1:]] or list(PARTS.values())
    sys.exit(0 if asyncio.run(run(parts)) else 1)


if __name__ == "__main__":
    main()
