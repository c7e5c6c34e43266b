"""`make prove-tabs`: 1,000 messages and more from two and three tabs and the widget, at the same instant, apart, at random, over slow and failing
posts, reloads and closed tabs. A line for each; exit status 1 where one is lost, doubled or out of its tab's order. ONLY="reload", SEED=.
"""

import asyncio
import os
import platform
import shutil
import sys
import tempfile
from contextlib import ExitStack
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

import aiohttp
from playwright.async_api import async_playwright

from shared import logs
from tests.browser.conftest import ARGUMENTS, PROGRAMS
from tests.browser.front import Front
from tests.browser.shop_site import ShopSite
from tests.servers.parley import own_parley
from tests.servers.providers import shared_mongo, shared_rabbit
from tests.tabs.sending import Outcome, Scenario, run

SCENARIOS: Final = (
    Scenario("two tabs, the same instant", 120),
    Scenario("two tabs, 10 ms apart", 120, apart_ms=10),
    Scenario("two tabs, 50 ms apart", 120, apart_ms=50),
    Scenario("three tabs, the same instant", 120, tabs=3),
    Scenario("three tabs, at random", 120, tabs=3, apart_ms=None),
    Scenario("two tabs and the widget, the same instant", 120, widget=True),
    Scenario("three tabs and the widget, at random, slow posts", 120, tabs=3, widget=True, apart_ms=None, network="slow"),
    Scenario("two tabs, the same instant, failing posts", 80, network="failing"),
    Scenario("three tabs, at random, one reloaded at once", 120, tabs=3, apart_ms=None, leaving="reload"),
    Scenario("three tabs, at random, slow posts, one closed at once", 120, tabs=3, apart_ms=None, network="slow", leaving="close"),
    Scenario(
        "two tabs and the widget, failing posts, one reloaded", 60, widget=True, apart_ms=None, network="failing", leaving="reload"
    ),
)  # fmt: skip


async def prove(directory: Path, scenarios: list[Scenario], *, seed: int) -> list[Outcome]:
    program = os.environ.get("CHROMIUM") or next(filter(None, map(shutil.which, PROGRAMS)))
    outcomes = []
    with ExitStack() as exits:
        rabbit, mongo = exits.enter_context(shared_rabbit(directory)), exits.enter_context(shared_mongo(directory))
        parley = exits.enter_context(own_parley(rabbit, mongo, directory / "services"))
        async with async_playwright() as playwright, ShopSite() as site, aiohttp.ClientSession() as http:
            browser = await playwright.chromium.launch(executable_path=program, args=ARGUMENTS)
            parley.start("threads", "notifier")
            parley.start("gateway", CORS_ORIGINS=site.origin)
            await parley.ready()
            front = Front(parley, browser, http, numbers=1_000)
            for number, scenario in enumerate(scenarios):
                outcomes.append(await run(front, site, scenario, seed=seed + number))
                print(outcomes[-1].line(), flush=True)
                await front.leave(check=lambda _visit: None)
            await browser.close()
    return outcomes


def main() -> None:
    logs.configure(service="tabs", log_format="text", level="error")
    only, seed = os.environ.get("ONLY", ""), int(os.environ.get("SEED") or 7)
    print(
        f"tabs: {datetime.now(UTC):%Y-%m-%d %H:%M} UTC, {os.cpu_count()} cores, Python {platform.python_version()}, seed {seed}"
    )
    scenarios = [each for each in SCENARIOS if only in each.name]
    with tempfile.TemporaryDirectory(prefix="tabs-") as directory:
        outcomes = asyncio.run(prove(Path(directory), scenarios, seed=seed))
    parts = [sum(map(len, each)) for each in zip(*((o.lost, o.doubled, o.out_of_order) for o in outcomes), strict=True)]
    total = sum(outcome.total for outcome in outcomes)
    print(f"{total} messages: {parts[0]} lost, {parts[1]} doubled, {parts[2]} out of their tab's order")
    for outcome in outcomes:
        if not outcome.is_good:
            print(
                f"{outcome.scenario.name}: lost {outcome.lost}, doubled {outcome.doubled}, order {outcome.out_of_order}, boxes {outcome.in_boxes}"
            )
    sys.exit(0 if all(outcome.is_good for outcome in outcomes) else 1)


if __name__ == "__main__":
    main()
