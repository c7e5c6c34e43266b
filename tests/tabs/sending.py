"""Several tabs of one person that send about one order at nearly the same moment, and what came of it."""

import asyncio
import itertools
import random
from collections import Counter
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any, Final, Literal
from urllib.parse import quote

from playwright.async_api import BrowserContext, Page, Route, expect
from playwright.async_api import Error as PlaywrightError

from tests.browser.front import Front
from tests.browser.shop_site import ShopSite
from tests.servers import pace
from tests.servers.waiting import eventually

SETTLED_WITHIN_S: Final = 90.0
BEGINS_IN_MS: Final = 300

# Sends each text at its moment (ms from now on this machine's clock), as a person does: text into the box, then the form. What comes
# after the last one (a reload, another page) comes in the same task, with nothing between.
SEND = """
async ({ texts, at, leave }) => {
  for (const [index, text] of texts.entries()) {
    await new Promise((resolve) => setTimeout(resolve, Math.max(0, at[index] - Date.now())));
    const root = document.querySelector("parley-thread")?.shadowRoot ?? document;
    const area = root.querySelector("form.write textarea");
    area.value = text;
    area.dispatchEvent(new Event("input", { bubbles: true }));
    area.form.requestSubmit();
  }
  if (!leave) return;
  globalThis.isLeft = true;
  location.reload();
}
"""
BOXES = """() => [...(document.querySelector("parley-thread")?.shadowRoot ?? document).querySelectorAll("form.write textarea")]
  .map((area) => area.value)"""

Network = Literal["quick", "slow", "failing"]
Leaving = Literal["never", "reload", "close"]


@dataclass(frozen=True)
class Scenario:
    """`apart_ms`: tab 2 sends so long after tab 1, tab 3 after tab 2; None: each at random. `leaving`: what a tab does after each tenth."""

    name: str
    messages: int
    tabs: int = 2
    widget: bool = False
    apart_ms: int | None = 0
    every_ms: int = 250
    network: Network = "quick"
    leaving: Leaving = "never"

    @property
    def senders(self) -> int:
        return self.tabs + self.widget


@dataclass
class Outcome:
    """What was sent by each tab, in its order, and the history's texts."""

    scenario: Scenario
    sent: dict[str, list[str]]
    stored: list[str]
    in_boxes: list[str] = field(default_factory=list)

    @property
    def total(self) -> int:
        return sum(map(len, self.sent.values()))

    @property
    def lost(self) -> list[str]:
        there = set(self.stored)
        return [text for texts in self.sent.values() for text in texts if text not in there]

    @property
    def doubled(self) -> list[str]:
        return [text for text, count in Counter(self.stored).items() if count > 1]

    @property
    def out_of_order(self) -> list[str]:
        """Those that stand before one that their tab had sent earlier."""
        place = {text: index for index, text in enumerate(self.stored)}
        found = []
        for texts in self.sent.values():
            there = [text for text in texts if text in place]
            found += [later for earlier, later in itertools.pairwise(there) if place[later] < place[earlier]]
        return found

    @property
    def is_good(self) -> bool:
        return not (self.lost or self.doubled or self.out_of_order or self.in_boxes)

    def line(self) -> str:
        figures = (
            f"{self.total:5} sent {len(self.stored):5} stored {len(self.lost):4} lost {len(self.doubled):4} doubled"
        )
        return f"{self.scenario.name:58} {figures} {len(self.out_of_order):4} out of order {len(self.in_boxes):3} left in a box"


class Tabs:
    """One person's browser, with several tabs (and perhaps the widget) at one order."""

    def __init__(self, front: Front, site: ShopSite, scenario: Scenario, *, seed: int) -> None:
        self._front, self._site, self._scenario = front, site, scenario
        self._random = random.Random(seed)  # noqa: S311 - a load's moments, not a secret
        self._pages: dict[str, Page] = {}

    async def run(self) -> Outcome:
        number = self._front.new_number()
        customer = f"c-tabs-{number}"
        order = await self._front.order(customer=customer, seller=f"s-tabs-{number}")
        token = self._front.parley.customer(customer)
        visit = await self._front.visit(token, f"orders/{order}")
        await visit.context.route("**/v1/orders/*/messages", self._on_post)
        self._site.parley_url, self._site.visitor_token, self._site.order_id = (
            self._front.parley.gateway_url,
            token,
            order,
        )
        self._pages["tab 1"] = visit.page
        for each in range(1, self._scenario.senders):
            name = "widget" if self._scenario.widget and each == self._scenario.tabs else f"tab {each + 1}"
            self._pages[name] = await self._open(visit.context, name, token, order)
        await asyncio.gather(*(self._is_ready(page) for page in self._pages.values()))
        sent = await self._send_all(visit.context, token, order)
        return await self._settled(sent, token, order)

    async def _open(self, context: BrowserContext, name: str, token: str, order: str) -> Page:
        page = await context.new_page()
        if name == "widget":
            await page.goto(f"{self._site.origin}/orders")
            return page
        await page.goto(f"{self._front.parley.gateway_url}/pages/login#token={quote(token)}")
        await page.wait_for_url(lambda url: "/login" not in url)
        await page.goto(self._front.address(f"orders/{order}"))
        return page

    async def _is_ready(self, page: Page) -> None:
        await expect(page.get_by_label("Your message")).to_be_visible()

    async def _send_all(self, context: BrowserContext, token: str, order: str) -> dict[str, list[str]]:
        """Rounds of ten from each tab, all at once; between them, tabs may be left."""
        each = self._scenario.messages // self._scenario.senders
        sent: dict[str, list[str]] = {name: [] for name in self._pages}
        for first in range(0, each, 10):
            names = {name: [f"{name}, {first + n}" for n in range(min(10, each - first))] for name in self._pages}
            begin = await next(iter(self._pages.values())).evaluate("Date.now()") + BEGINS_IN_MS
            await asyncio.gather(
                *(self._send(name, texts, begin, place) for place, (name, texts) in enumerate(names.items()))
            )
            for name, texts in names.items():
                sent[name] += texts
            await self._leave(context, token, order)
        return sent

    async def _send(self, name: str, texts: Sequence[str], begin: float, place: int) -> None:
        scenario = self._scenario
        at = [
            begin
            + index * scenario.every_ms
            + (self._random.uniform(0, scenario.every_ms) if scenario.apart_ms is None else place * scenario.apart_ms)
            for index in range(len(texts))
        ]
        leave = scenario.leaving == "reload" and place == 0
        with suppress(*([PlaywrightError] if leave else [])):
            await self._pages[name].evaluate(SEND, {"texts": list(texts), "at": at, "leave": leave})

    async def _leave(self, context: BrowserContext, token: str, order: str) -> None:
        """The first tab is left right after its last message, and another takes its place."""
        if self._scenario.leaving == "never":
            return
        name = "tab 1"
        if self._scenario.leaving == "close":
            await self._pages[name].close()
            self._pages[name] = await self._open(context, name, token, order)
        else:
            await self._pages[name].wait_for_function("!globalThis.isLeft")
        await self._is_ready(self._pages[name])

    async def _on_post(self, route: Route) -> None:
        if route.request.method != "POST" or self._scenario.network == "quick":
            return await route.continue_()
        await pace.lasting(self._random.uniform(0.05, 0.4))
        if self._scenario.network == "slow":
            return await route.continue_()
        match self._random.choice(["lost on the way", "answer lost", "busy", "good", "good", "good"]):
            case "lost on the way":
                return await route.abort()
            case "answer lost":
                await route.fetch()
                return await route.abort()
            case "busy":
                return await route.fulfill(status=503, headers={"Retry-After": "1"}, body="{}")
            case _:
                return await route.continue_()

    async def _settled(self, sent: dict[str, list[str]], token: str, order: str) -> Outcome:
        """When every page says that nothing is on its way any more."""
        with suppress(AssertionError):
            await eventually(self._nothing_waits, timeout_s=SETTLED_WITHIN_S, every_s=0.2, what="an empty outbox")
        boxes = [text for page in self._pages.values() for text in await page.evaluate(BOXES) if text]
        return Outcome(self._scenario, sent, [each["text"] for each in await self._history(token, order)], boxes)

    async def _nothing_waits(self) -> bool:
        for page in self._pages.values():
            await page.evaluate("dispatchEvent(new Event('online'))")
        counts = await asyncio.gather(*(page.locator(".pending").count() for page in self._pages.values()))
        return not any(counts)

    async def _history(self, token: str, order: str) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = []
        path: str | None = f"/v1/orders/{order}/messages?after_seq=0&limit=200"
        while path is not None:
            status, page = await self._front.ask("GET", path, token)
            assert status == 200, page
            found += page["items"]
            path = page["next"]
        return found


async def run(front: Front, site: ShopSite, scenario: Scenario, *, seed: int) -> Outcome:
    """Sends as the scenario says and returns when every tab says that nothing is on its way any more."""
    return await Tabs(front, site, scenario, seed=seed).run()
