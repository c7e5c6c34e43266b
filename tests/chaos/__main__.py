"""`make chaos`: DURATION_S (120), SEED (random, printed), FAULTS (names, all, or none), RATE (writes a second). Exit status 1 on any difference."""

import asyncio
import os
import random
import shutil
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import aiohttp

from deploy.local.settings import REPOSITORY
from shared import logs
from tests.chaos import people
from tests.chaos.audit import Verdict
from tests.chaos.evidence import gathered, listening
from tests.chaos.lanes import Faults, ended_within
from tests.chaos.ledger import Ledger
from tests.chaos.load import Load
from tests.chaos.poison import Poison
from tests.chaos.quiet import quiet
from tests.chaos.stack import Stack, end_in_order_when_told, running
from tests.e2e.client import Clients
from tests.infrastructure.mongodb import MongoFaults
from tests.infrastructure.rabbitmq import RabbitFaults, copy_everything
from tests.infrastructure.services import ServiceFaults
from tests.infrastructure.smtp import SmtpFaults
from tests.servers.pace import lasting

KEPT: Final = REPOSITORY / ".run" / "chaos"
# Runs of this length have a zombie of a minute, and must have had every kind of fault.
LONG_RUN_S: Final = 300
# How much longer a long run may take until every kind had its turn.
EXTENSION_S: Final = 120
TELL_EVERY_S: Final = 10.0


@dataclass(frozen=True)
class Run:
    duration_s: float
    seed: int
    chosen: set[str] | None
    rate: float

    @property
    def is_long(self) -> bool:
        return self.duration_s >= LONG_RUN_S


async def chaos(run: Run) -> bool:
    """One run; whether everything was as promised. Where it was not, the ledger and the logs are kept."""
    with tempfile.TemporaryDirectory(prefix="chaos-") as scratch:
        directory, is_clean = Path(scratch), False
        try:
            is_clean = await _chaos(run, directory)
        finally:
            if not is_clean:
                _keep(directory, KEPT / str(run.seed))
        return is_clean


def _keep(directory: Path, where: Path) -> None:
    where.mkdir(parents=True, exist_ok=True)
    for name in ("*.log", "*.log.1", "*.jsonl", "log/*.log"):
        for file in directory.glob(name):
            shutil.copy(file, where)
    print(f"ledger and logs: {where}")


async def _chaos(run: Run, directory: Path) -> bool:
    async with running(directory) as stack:
        await _seed(stack)
        ledger = Ledger(directory / "ledger.jsonl")
        chance = random.Random(f"{run.seed} load")  # noqa: S311 - repeatable on purpose
        load = Load(ledger=ledger, chance=chance, rate_per_s=run.rate / people.PEOPLE)
        poison = Poison(stack.parley.vhost)
        faults = _faults(stack, poison, run)
        began = time.monotonic()
        await _run(stack, load, faults, run)
        settled_s = await quiet(stack)
        ledger.close()
        verdict = await gathered(stack, ledger, poison, peaceful=not faults.done)
        if run.is_long:
            verdict.other += [f"never done: {kind}" for kind in faults.never_done]
        _tell(run, time.monotonic() - began, settled_s, load, faults, verdict)
        return verdict.is_clean


def _faults(stack: Stack, poison: Poison, run: Run) -> Faults:
    lanes = [
        *ServiceFaults(stack).lanes(zombies=run.is_long),
        RabbitFaults(stack).lane(),
        MongoFaults(stack).lane(),
        SmtpFaults(stack, recipients=people.recipients()).lane(),
        poison.lane(),
    ]
    faults = Faults(lanes, seed=run.seed, chosen=run.chosen)
    if unknown := (run.chosen or set()) - set(faults.kinds):
        sys.exit(f"no such faults: {', '.join(sorted(unknown))}")
    return faults


async def _seed(stack: Stack) -> None:
    """Orders, a queue that hears every event, and one that keeps copies."""
    await listening(stack)
    await copy_everything(stack)
    async with aiohttp.ClientSession() as session:
        clients = Clients(stack.parley, session)
        for order in people.orders():
            await clients.put_order(order)


async def _run(stack: Stack, load: Load, faults: Faults, run: Run) -> None:
    gateways = [process.url for process in stack.pair("gateway")]
    over = asyncio.Event()
    async with aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=30)) as session:
        acting = [
            asyncio.create_task(load.live(person)) for person in people.everybody(stack.parley, session, gateways)
        ]
        breaking = asyncio.create_task(faults.run(over, duration_s=run.duration_s))
        progress = asyncio.create_task(_progress(load, faults, run))
        await asyncio.wait([*acting, breaking], timeout=run.duration_s, return_when=asyncio.FIRST_EXCEPTION)
        if run.is_long:
            await ended_within(faults.every_kind_done, EXTENSION_S)
        over.set()
        load.over.set()
        await breaking
        await asyncio.to_thread(stack.heal)
        await asyncio.gather(*acting)
        progress.cancel()


async def _progress(load: Load, faults: Faults, run: Run) -> None:
    began = time.monotonic()
    while True:
        await lasting(TELL_EVERY_S)
        passed, every = time.monotonic() - began, len(faults.kinds)
        print(
            f"  {passed:4.0f} of {run.duration_s:.0f} s: {load.figures.posts} posts accepted, {faults.kills} kills, "
            f"{faults.others} other faults, {every - len(faults.never_done)} of {every} kinds",
            flush=True,
        )


def _tell(run: Run, took_s: float, settled_s: float, load: Load, faults: Faults, verdict: Verdict) -> None:
    for kind in ("lost", "doubled", "ghosts", "disorder", "other"):
        for each in getattr(verdict, kind)[:20]:
            print(f"  {kind}: {each}")
    print("faults: " + ", ".join(f"{kind} {faults.done[kind]}" for kind in faults.kinds))
    for kind, why in faults.left_out.items():
        print(f"left out: {kind}: {why}")
    figures, mails = load.figures, verdict.mails
    print(
        f"chaos: seed {run.seed}, {took_s:.0f} s, accepted posts {figures.posts} (writes {figures.accepted}), "
        f"refused {figures.refused}, repeated {figures.repeated}, kills {faults.kills}, other faults {faults.others} "
        f"of {len(faults.kinds) - 1} kinds, entries {verdict.entries}, "
        f"lost {len(verdict.lost)}, doubled {len(verdict.doubled)}, ghosts {len(verdict.ghosts)}, "
        f"disorder {len(verdict.disorder)} (waited 10 s in vain {verdict.waited_in_vain}), other {len(verdict.other)}, mails {mails.mails}, "
        f"duplicate mails {mails.duplicates}, ambiguous {mails.doubts} (sender gone {mails.lapsed}), "
        f"longest silence {figures.longest_silence_s:.1f} s, quiet after {settled_s:.1f} s"
    )


def _read() -> Run:
    names = os.environ.get("FAULTS") or "all"
    chosen = None if names == "all" else set(names.split(",")) - {"none"}
    return Run(
        duration_s=float(os.environ.get("DURATION_S") or 120),
        seed=int(os.environ.get("SEED") or random.SystemRandom().randrange(10**9)),
        chosen=chosen,
        rate=float(os.environ.get("RATE") or 90),
    )


def main() -> None:
    end_in_order_when_told()
    logs.configure(service="chaos", log_format="text", level="error")
    run = _read()
    print(f"chaos: seed {run.seed}, {run.duration_s:.0f} s, faults {os.environ.get('FAULTS') or 'all'}", flush=True)
    sys.exit(0 if asyncio.run(chaos(run)) else 1)


if __name__ == "__main__":
    main()
