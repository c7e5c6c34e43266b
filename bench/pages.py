"""What the pages cost a visitor, on the running local stack: `python -m bench.pages` beside `make run`.

Opens a conversation in Chromium, with an empty cache and again with a full one, and once more as a slow phone far away would, and prints
what was sent, in how many requests, and how long it took until the first message was on the screen. Ends with status 1 where an aim is missed.
"""

import argparse
import asyncio
import os
import shutil
import statistics
import sys
from dataclasses import dataclass, field
from typing import Any, Final

import aiohttp
from playwright.async_api import Browser, BrowserContext, CDPSession, Page, async_playwright

from deploy.local.demo_api import ParleyApi
from deploy.local.demo_target import DemoTarget
from deploy.local.errors import StackError
from deploy.local.shop import ShopOrder, demo_orders

AIM_BYTES: Final = 60_000
AIM_REQUESTS: Final = 12
AIM_MS: Final = 300.0
AIM_SLOW_MS: Final = 1_000.0
# "Slow 4G", and a processor four times slower than this one.
SLOW_4G: Final = {"offline": False, "latency": 150, "downloadThroughput": 1.6e6 / 8, "uploadThroughput": 750e3 / 8}
SLOWER_TIMES: Final = 4
RUNS: Final = 7
ARGUMENTS: Final = (
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
)
PHONE: Final = {"width": 360, "height": 740}
DESKTOP: Final = {"width": 1280, "height": 800}

# The moment at which the frame with the first message is handed to the screen, in ms since the navigation began.
FIRST_MESSAGE = """
globalThis.firstMessage = new Promise((resolve) => {
  const watch = new MutationObserver(() => {
    const bubble = document.querySelector(".bubble");
    if (!bubble || bubble.getBoundingClientRect().height === 0) return;
    watch.disconnect();
    requestAnimationFrame(() => setTimeout(() => resolve(performance.now())));
  });
  watch.observe(document, { childList: true, subtree: true });
});
"""


@dataclass
class Sent:
    """What came over the network for one page: files of ours, and the API's answers."""

    addresses: dict[str, str] = field(default_factory=dict)
    sizes: dict[str, int] = field(default_factory=dict)
    from_cache: set[str] = field(default_factory=set)

    def listen(self, session: CDPSession) -> None:
        session.on("Network.requestWillBeSent", self._begun)
        session.on("Network.requestServedFromCache", lambda event: self.from_cache.add(event["requestId"]))
        session.on("Network.responseReceived", self._answered)
        session.on("Network.loadingFinished", self._ended)

    def _begun(self, event: dict[str, Any]) -> None:
        self.addresses[event["requestId"]] = event["request"]["url"]

    def _answered(self, event: dict[str, Any]) -> None:
        if event["response"].get("fromDiskCache"):
            self.from_cache.add(event["requestId"])

    def _ended(self, event: dict[str, Any]) -> None:
        """The size is that on the wire, compressed and with its headers."""
        self.sizes[event["requestId"]] = int(event["encodedDataLength"])

    def figures(self, *, api: bool) -> tuple[int, int]:
        """Requests that went over the network, and their bytes."""
        asked = {
            number
            for number, url in self.addresses.items()
            if ("/v1/" in url) == api and url.startswith("http") and number not in self.from_cache
        }
        return len(asked), sum(self.sizes.get(number, 0) for number in asked)


@dataclass(frozen=True)
class Opened:
    """One opening of a conversation."""

    files: tuple[int, int]
    answers: tuple[int, int]
    first_message_ms: float

    @property
    def requests(self) -> int:
        return self.files[0] + self.answers[0]

    @property
    def size(self) -> int:
        return self.files[1] + self.answers[1]


async def open_conversation(context: BrowserContext, url: str, *, slow: bool = False) -> Opened:
    page = await context.new_page()
    session = await context.new_cdp_session(page)
    await session.send("Network.enable")
    if slow:
        await session.send("Network.emulateNetworkConditions", SLOW_4G)
        await session.send("Emulation.setCPUThrottlingRate", {"rate": SLOWER_TIMES})
    sent = Sent()
    sent.listen(session)
    await page.goto(url)
    took_ms = await _first_message_ms(page)
    await page.locator(".connection.live").first.wait_for(state="attached")
    await page.close()
    return Opened(sent.figures(api=False), sent.figures(api=True), took_ms)


async def _first_message_ms(page: Page) -> float:
    return float(await page.evaluate("firstMessage"))


async def measure(
    browser: Browser, target: DemoTarget, order: ShopOrder, token: str, viewport: Any
) -> list[list[Opened]]:
    """The openings with an empty cache (a browser context of its own each), and those after it with a full one."""
    url, cold, warm = f"{target.gateway_url}/pages/orders/{order.order_id}", list[Opened](), list[Opened]()
    for _ in range(RUNS):
        context = await new_context(browser, token, viewport)
        cold.append(await open_conversation(context, url))
        warm.append(await open_conversation(context, url))
        await context.close()
    return [cold, warm]


async def measure_slow(browser: Browser, target: DemoTarget, order: ShopOrder, token: str) -> list[Opened]:
    """Openings by a slow phone far away, each with an empty cache."""
    openings = []
    for _ in range(RUNS):
        context = await new_context(browser, token, PHONE)
        openings.append(
            await open_conversation(context, f"{target.gateway_url}/pages/orders/{order.order_id}", slow=True)
        )
        await context.close()
    return openings


async def new_context(browser: Browser, token: str, viewport: Any) -> BrowserContext:
    context = await browser.new_context(viewport=viewport)
    await context.add_init_script(FIRST_MESSAGE)
    await context.add_init_script(f"sessionStorage.setItem('parley:token', '{token}')")
    return context


def report(name: str, openings: list[Opened]) -> float:
    """Prints a line, and gives the median time."""
    times = [each.first_message_ms for each in openings]
    files, answers = openings[-1].files, openings[-1].answers
    median_ms = statistics.median(times)
    print(
        f"{name:<24} files {files[0]:>3} in {files[1] / 1000:>6.1f} kB   API {answers[0]:>2} in {answers[1] / 1000:>5.1f} kB   "
        f"first message {median_ms:>5.0f} ms (least {min(times):.0f}, most {max(times):.0f})"
    )
    return median_ms


async def prepare(target: DemoTarget, order: ShopOrder) -> str:
    """The order's conversation has messages. Returns its customer's token."""
    async with aiohttp.ClientSession() as http:
        api = ParleyApi(http, target.gateway_url, target.mint)
        token = api.customer_of(order)
        if len(await api.history(token, order.order_id)) < 10:
            for number in range(5):
                await api.post_message(token, order.order_id, f"Question {number + 1}: when will it arrive?")
                await api.post_message(api.answers(order), order.order_id, f"Answer {number + 1}: on Thursday.")
        return token


async def main_async(target: DemoTarget, chromium: str) -> bool:
    order = next(each for each in demo_orders() if not each.is_guest)
    token = await prepare(target, order)
    good = True
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(executable_path=chromium, args=ARGUMENTS)
        load = f"load {os.getloadavg()[0]:.1f} on {os.cpu_count()} cores"
        print(f"a conversation on {target.gateway_url}, median of {RUNS}, Chromium {browser.version}, {load}")
        for name, viewport in (("desktop", DESKTOP), ("phone", PHONE)):
            cold, warm = await measure(browser, target, order, token, viewport)
            good = report(f"{name}, empty cache", cold) <= AIM_MS and good
            report(f"{name}, full cache", warm)
            good = good and all(each.requests <= AIM_REQUESTS and each.size <= AIM_BYTES for each in cold)
        slow = await measure_slow(browser, target, order, token)
        good = report(f"phone on slow 4G, CPU / {SLOWER_TIMES}", slow) <= AIM_SLOW_MS and good
        await browser.close()
    print(
        f"aims with an empty cache: at most {AIM_REQUESTS} requests and {AIM_BYTES / 1000:.0f} kB, the API's included, first message within "
        f"{AIM_MS:.0f} ms, and {AIM_SLOW_MS:.0f} ms on slow 4G: {'met' if good else 'MISSED'}"
    )
    return good


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--chromium", default=os.environ.get("CHROMIUM") or shutil.which("chromium"))
    asked = parser.parse_args()
    if asked.chromium is None:
        parser.error("Chromium is not installed: apt-get install chromium")
    try:
        return 0 if asyncio.run(main_async(DemoTarget.read(os.environ), asked.chromium)) else 1
    except StackError as error:
        print(f"bench.pages: {error}", file=sys.stderr)
        return 1


if __name__ == "__main__":
    sys.exit(main())
