"""`make chaos-self-test`: the audit is audited. Each seeded defect must be caught by a short run, and a run without one must be clean.

ONLY="a pattern" runs those whose names hold it. Exit status 1 unless every defect is caught, and for the reason that it should be.
"""

import asyncio
import os
import platform
import re
import sys
import tempfile
import time
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path
from random import Random
from typing import Final

import aiohttp

from shared import logs, topology
from shared.publishing import Outgoing, Publisher
from tests.chaos import people, scenarios
from tests.chaos.audit import Evidence, Verdict, audit
from tests.chaos.defects import gateway, notifier, threads
from tests.chaos.ledger import Ledger
from tests.chaos.load import Load, Person
from tests.chaos.poison import Poison
from tests.chaos.scenarios import LATE_ORDER, ORDERS, Scenario, Trial, a_sender_dies, calm, fails, killed
from tests.grid.stage import Stage, stage
from tests.servers.mongodb import SharedMongo
from tests.servers.pace import lasting
from tests.servers.providers import shared_mongo, shared_rabbit
from tests.servers.rabbitmq import SharedRabbit
from tests.servers.waiting import eventually

MODULES: Final = {name: f"tests.chaos.defects.{name}" for name in ("threads", "notifier", "gateway")}
WRITES_A_SECOND: Final = 40.0
QUIET_LIMIT_S: Final = 12.0
NO_DEFECT: Final = "no defect"
RETRY_QUEUES: Final = [
    topology.retry_queue(queue, tier) for queue in topology.WORK_QUEUES for tier in topology.tiers(queue)
]


@dataclass(frozen=True)
class Case:
    """A defect, the trouble in which it shows, and what the audit must say of it. `loaded`: with everybody writing meanwhile.

    A run without a defect names the one whose trouble (`of`) it has.
    """

    defect: str
    scenario: Scenario
    complaint: str
    loaded: bool = True
    settings: dict[str, str] = field(default_factory=dict)
    of: str = ""


SMALL_GROUPS: Final = {"REVERSED": "1", "GROUP_MAX": "4"}
CASES: Final = (
    Case("acknowledges before it commits", killed("threads", "before inserted", times=2), r"^lost: "),
    Case("makes an entry of every delivery", killed("threads", "after inserted"), r"^doubled: "),
    Case("publishes without mandatory", scenarios.LOST_NOTIFICATIONS, r"never mailed"),
    Case("never sweeps what is unfinished", fails("threads", "before published"), r"unfinished"),
    Case("marks finished before it publishes", killed("threads", "before published"), r"never announced"),
    Case(
        "acknowledges multiple past an unsettled one", scenarios.a_backlog_and_a_kill, r"^lost: ", False, SMALL_GROUPS
    ),
    Case("acknowledges old tags on the new channel", scenarios.lost_connections, r"^lost: |dead in|left in"),
    Case("leaves a gap in seq", calm, r"seq has gaps"),
    Case("ignores after", scenarios.a_chain_in_reverse, r"before the post that it names", False, {"REVERSED": "1"}),
    Case("gives a new event id to a repetition", fails("threads", "before published"), r"announced and not stored"),
    Case("counts unread wrongly", calm, r"when counted"),
    Case("closes a closed dispute", scenarios.a_dispute_is_closed_twice, r"closed without being open", False),
    Case("lets an older order win", scenarios.an_older_order_comes_late, r"differs from a rebuild", False),
    Case("projects without a guard", scenarios.a_zombie_projects, r"differs from a rebuild", False),
    Case("announces before it commits", killed("threads", "before inserted", times=2), r"announced otherwise"),
    Case("loses what shall be tried again", scenarios.an_order_comes_after_the_post, r"^lost: ", False),
    Case("drops dead letters", calm, r"poison of threads.orders that is not dead"),
    Case("commits on a stale projection", scenarios.many_at_one_thread, r"seq has gaps or doubles", False),
    Case("leases without a fence", scenarios.a_zombie_sends, r"came 2 times|ended as failed", False),
    Case("gives each try a new Message-ID", a_sender_dies("before 250 received"), r"no mail of the ledger", False),
    Case("does not record a doubt", a_sender_dies("before 250 received"), r"came 2 times and was ambiguous 0", False),
    Case("marks sent before it transmits", a_sender_dies("before DATA sent"), r"marked sent and never came", False),
    Case("takes an event twice", fails("threads", "after published"), r"taken \d+ times"),
    Case("never takes back a lease", a_sender_dies("after leased"), r"ended as leased", False),
    Case(
        "acknowledges before it takes",
        scenarios.notifiers_die_while_mongodb_stands_still,
        r"never mailed",
        loaded=False,
    ),
    Case("accepts before the confirm", scenarios.LOST_COMMANDS, r"^lost: "),
    Case("gives every request a new id", scenarios.the_gateway_dies_with_posts_under_way, r"^doubled: "),
)
# Each kind of trouble once more without any defect: then the audit must find nothing.
TROUBLES: Final = frozenset(
    {
        "acknowledges before it commits",
        "publishes without mandatory",
        "never sweeps what is unfinished",
        "acknowledges multiple past an unsettled one",
        "acknowledges old tags on the new channel",
        "ignores after",
        "lets an older order win",
        "projects without a guard",
        "loses what shall be tried again",
        "commits on a stale projection",
        "leases without a fence",
        "does not record a doubt",
        "acknowledges before it takes",
        "accepts before the confirm",
        "gives every request a new id",
    }
)
CONTROLS: Final = tuple(replace(case, defect=NO_DEFECT, of=case.defect) for case in CASES if case.defect in TROUBLES)


async def trial(case: Case, rabbit: SharedRabbit, mongo: SharedMongo) -> list[str]:
    """Everything that the audit says of one short run."""
    with tempfile.TemporaryDirectory(prefix="self-test-") as scratch:
        directory = Path(scratch)
        async with stage(rabbit, mongo, directory, modules=MODULES, DEFECT=case.defect, **case.settings) as on:
            ledger = Ledger(directory / "ledger.jsonl")
            load = Load(ledger=ledger, chance=Random(case.defect), rate_per_s=WRITES_A_SECOND / 15)  # noqa: S311 - repeatable on purpose
            poison = await _seeded(on)
            async with aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=30)) as session:
                everybody = _people(on, session)
                troubles = await _run(case, Trial(on, load, ledger, everybody))
            await _quiet(on)
            ledger.close()
            verdict = await _audited(on, ledger, poison)
            return [*_complaints(verdict), *troubles]


async def _run(case: Case, on: Trial) -> list[str]:
    """The scenario, with the load beside it; then everything runs again, and nobody waits for ever for an answer."""
    at_home = [person for person in on.everybody if LATE_ORDER not in person.orders]
    acting = [asyncio.create_task(on.load.live(person)) for person in at_home] if case.loaded else []
    troubles = []
    try:
        await case.scenario(on)
    except AssertionError as error:
        troubles.append(f"the scenario itself: {error}")
    on.load.over.set()
    await on.stage.all_run()
    if acting:
        _, late = await asyncio.wait(acting, timeout=QUIET_LIMIT_S)
        for each in late:
            each.cancel()
        await asyncio.gather(*acting, return_exceptions=True)
    return troubles


async def _seeded(on: Stage) -> Poison:
    """The orders, and one order event that nobody can read."""
    for order in people.orders()[:ORDERS]:
        await on.clients.put_order(order)
    poison, shop = Poison(on.parley.vhost), Publisher(on.parley.vhost.url("shop"), name="self-test")
    await shop.connected()
    await shop.publish(Outgoing(topology.SHOP_ORDERS, "order.updated", b"poison", message_id="poison-1"))
    await shop.close()
    poison.injected[topology.ORDERS_QUEUE].add("poison-1")
    return poison


def _people(on: Stage, session: aiohttp.ClientSession) -> list[Person]:
    """The customers of the orders and their sellers' logins, also of the order that comes late."""
    [gateway_process] = on.pair("gateway")
    known = [f"o-{number}" for number in range(ORDERS + 1)]
    found = []
    for person in people.everybody(on.parley, session, [gateway_process.url]):
        person.orders = [order for order in person.orders if order in known]
        if person.orders:
            found.append(person)
    return found


async def _quiet(on: Stage) -> None:
    """Waits until nothing is left to do; with some defects that never comes, and the audit says what is left."""

    async def nothing_left() -> bool:
        depths = [await on.parley.vhost.depth(queue) for queue in (*topology.WORK_QUEUES, *RETRY_QUEUES)]
        unfinished = await on.threads["entries"].count_documents({"unfinished": True})
        waiting = await on.notifier["mails"].count_documents({"alive": True})
        return not any(depths) and unfinished == 0 and waiting == 0

    for _ in range(2):
        try:
            await eventually(nothing_left, timeout_s=QUIET_LIMIT_S)
        except AssertionError:
            return
        # What was under way between two looks shows at the next.
        await lasting(0.7)


async def _audited(on: Stage, ledger: Ledger, poison: Poison) -> Verdict:
    await on.hear()
    return await audit(
        Evidence(
            parley=on.parley,
            ledger=ledger,
            threads=on.threads,
            notifier=on.notifier,
            events=on.events,
            poison=poison,
            peaceful=False,
        )
    )


def _complaints(verdict: Verdict) -> list[str]:
    kinds = ("lost", "doubled", "ghosts", "disorder", "other")
    return [f"{kind}: {each}" for kind in kinds for each in getattr(verdict, kind)]


async def self_test(cases: Sequence[Case]) -> bool:
    """Runs them all on one broker and one database; whether each defect was caught and nothing was found where there is none."""
    caught, clean, began = 0, 0, time.monotonic()
    with ExitStack() as exits:
        directory = Path(exits.enter_context(tempfile.TemporaryDirectory(prefix="self-test-servers-")))
        rabbit, mongo = exits.enter_context(shared_rabbit(directory)), exits.enter_context(shared_mongo(directory))
        for case in cases:
            complaints = await trial(case, rabbit, mongo)
            mongo.bring_back()
            if case.defect == NO_DEFECT:
                clean += not complaints
                _say("clean" if not complaints else "NOT CLEAN", case, complaints[:5])
                continue
            telling = [each for each in complaints if re.search(case.complaint, each)]
            caught += bool(telling)
            _say("caught" if telling else "MISSED", case, telling[:1] or complaints[:5])
    defects = sum(case.defect != NO_DEFECT for case in cases)
    print(
        f"{caught} of {defects} caught; {clean} of {len(cases) - defects} runs without a defect clean, in {_since(began)}"
    )
    return caught == defects and clean == len(cases) - defects


def _say(verdict: str, case: Case, complaints: Sequence[str]) -> None:
    name = f"{NO_DEFECT}: {case.of}" if case.of else case.defect
    print(f"{verdict:10}{name:60}{' | '.join(complaints)[:160]}".rstrip(), flush=True)


def _since(began: float) -> str:
    return f"{time.monotonic() - began:.0f} s"


def seedable() -> set[str]:
    """The names of all defects that there are."""
    return {*threads.DEFECTS, *notifier.DEFECTS, *gateway.DEFECTS}


def main() -> None:
    logs.configure(service="self-test", log_format="text", level="error")
    if untold := seedable() ^ {case.defect for case in CASES}:
        sys.exit(f"defects without a case, or cases without a defect: {sorted(untold)}")
    only = os.environ.get("ONLY") or ""
    cases = [case for case in (*CONTROLS, *CASES) if re.search(only, case.defect)]
    print(
        f"self-test: {datetime.now(UTC):%Y-%m-%d %H:%M} UTC, {os.cpu_count()} cores, Python {platform.python_version()}"
    )
    sys.exit(0 if asyncio.run(self_test(cases)) else 1)


if __name__ == "__main__":
    main()
