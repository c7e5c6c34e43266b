"""Fixtures of the browser tests: Debian's Chromium, driven by Playwright, and one Parley for all of them."""

import os
import shutil
from collections.abc import AsyncIterator

import aiohttp
import pytest
from playwright.async_api import Browser, async_playwright

from deploy.local.demo_api import ParleyApi, session
from deploy.local.seed import Seeder, seeded_conversations
from tests.browser.front import Front
from tests.browser.shop_site import ShopSite
from tests.servers.mongodb import SharedMongo
from tests.servers.parley import Parley, own_parley
from tests.servers.rabbitmq import SharedRabbit

PROGRAMS = ("chromium", "chromium-browser", "google-chrome")
ARGUMENTS = (
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)
MISSING = (
    "Chromium is not installed, so the pages were NOT tested in a browser; install it with  apt-get install chromium"
)


@pytest.fixture(scope="session")
def chromium() -> str:
    """The program. Where there is none, browser tests are skipped and say so; with CI=true they fail."""
    found = os.environ.get("CHROMIUM") or next(filter(None, map(shutil.which, PROGRAMS)), None)
    if found is not None:
        return found
    if os.environ.get("CI") == "true":
        pytest.fail(MISSING, pytrace=False)
    pytest.skip(MISSING)


@pytest.fixture(scope="package")
async def browser(chromium: str) -> AsyncIterator[Browser]:
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(executable_path=chromium, args=ARGUMENTS)
        yield browser
        await browser.close()


@pytest.fixture(scope="package")
async def shop_site() -> AsyncIterator[ShopSite]:
    """A shop's own site, on another origin than Parley's."""
    async with ShopSite() as site:
        yield site


@pytest.fixture(scope="package")
async def one_parley(
    chromium: str,  # first: without a browser there is nothing to start servers for
    rabbitmq_server: SharedRabbit,
    mongo_server: SharedMongo,
    shop_site: ShopSite,
    tmp_path_factory: pytest.TempPathFactory,
) -> AsyncIterator[Parley]:
    """One Parley for all browser tests; the shop's site may call its API."""
    with own_parley(rabbitmq_server, mongo_server, tmp_path_factory.mktemp("browser")) as parley:
        parley.start("threads", "notifier")
        parley.start("gateway", CORS_ORIGINS=shop_site.origin)
        await parley.ready()
        yield parley


@pytest.fixture
async def front(one_parley: Parley, browser: Browser) -> AsyncIterator[Front]:
    """The shop's people in front of browsers. What goes wrong in any of their pages fails the test."""
    async with aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=40)) as http:
        front = Front(one_parley, browser, http, numbers=next(NUMBERS))
        yield front
        await front.leave()


@pytest.fixture(scope="package")
async def seeded_parley(
    chromium: str,
    rabbitmq_server: SharedRabbit,
    mongo_server: SharedMongo,
    shop_site: ShopSite,
    tmp_path_factory: pytest.TempPathFactory,
) -> AsyncIterator[Parley]:
    """A Parley of its own, which the shop's site may call, with the forty conversations of `make demo SEED=40`, orders 2001 to 2040, seeded once."""
    with own_parley(rabbitmq_server, mongo_server, tmp_path_factory.mktemp("seeded")) as parley:
        parley.start("threads", "notifier")
        parley.start("gateway", CORS_ORIGINS=shop_site.origin)
        await parley.ready()
        async with session() as http:
            api = ParleyApi(http, parley.gateway_url, parley.mint)
            await Seeder(api, parley.vhost.url("shop"), parley.mint).run(seeded_conversations(SEEDED))
        yield parley


@pytest.fixture
async def seeded(seeded_parley: Parley, browser: Browser) -> AsyncIterator[Front]:
    """People in front of the forty conversations. A test that writes takes orders of its own, or moves what others look for."""
    async with aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=40)) as http:
        front = Front(seeded_parley, browser, http, numbers=next(SEEDED_NUMBERS))
        yield front
        await front.leave()


@pytest.fixture
def site(front: Front, shop_site: ShopSite) -> ShopSite:
    shop_site.parley_url, shop_site.visitor_token, shop_site.token_life_s = front.parley.gateway_url, None, None
    return shop_site


SEEDED = 40
NUMBERS = iter(range(1_000, 1_000_000, 1_000))
SEEDED_NUMBERS = iter(range(1_001_000, 2_000_000, 1_000))
