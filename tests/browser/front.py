"""A shop with people in front of browsers: a whole Parley, orders in it, and pages that are watched for everything that may go wrong."""

import asyncio
import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import quote

import aiohttp
from playwright.async_api import Browser, BrowserContext, ConsoleMessage, Dialog, Page, ViewportSize

from deploy.local.shop import ShopOrder, publish_orders
from tests.servers.parley import Parley
from tests.servers.waiting import eventually

Json = dict[str, Any]
DESKTOP: ViewportSize = {"width": 1280, "height": 800}
PHONE: ViewportSize = {"width": 360, "height": 740}

REPORT_VIOLATIONS = """
document.addEventListener("securitypolicyviolation", (event) => {
  console.error(`policy violated: ${event.violatedDirective} by ${event.blockedURI} ${event.sample}`);
});
"""
# What Chromium itself says of a request that found nobody, or of an error status that the page deals with.
EXPECTED = ("Failed to load resource: net::", "Failed to load resource: the server responded with a status of")


@dataclass
class Visit:
    """One person's browser: its page, and what went wrong in it."""

    context: BrowserContext
    page: Page
    troubles: list[str] = field(default_factory=list)
    requests: list[str] = field(default_factory=list)

    def watch(self) -> None:
        self.page.on("console", self._on_console)
        self.page.on("pageerror", lambda error: self.troubles.append(f"page error: {error}"))
        self.page.on("dialog", self._on_dialog)
        self.page.on("request", lambda request: self.requests.append(request.url))

    def _on_console(self, message: ConsoleMessage) -> None:
        if message.type in ("error", "warning") and not message.text.startswith(EXPECTED):
            self.troubles.append(f"{message.type}: {message.text}")

    async def _on_dialog(self, dialog: Dialog) -> None:
        self.troubles.append(f"dialog: {dialog.message}")
        await dialog.dismiss()

    def require_no_trouble(self) -> None:
        """Nothing went wrong, and no token has stood in an address."""
        assert not self.troubles, self.troubles
        with_token = [url for url in self.requests if "eyJ" in url.partition("#")[0]]
        assert not with_token, with_token


class Front:
    """A running Parley and a browser. Each test uses orders and people of its own; `numbers` is where its order numbers begin."""

    def __init__(self, parley: Parley, browser: Browser, http: aiohttp.ClientSession, *, numbers: int) -> None:
        self.parley, self.browser = parley, browser
        self._http = http
        self._visits: list[Visit] = []
        self._number = numbers

    def new_number(self) -> str:
        """An order's number, or part of a person's id, that nobody else has."""
        self._number += 1
        return str(self._number)

    async def order(self, *, customer: str, seller: str | None, **changes: Any) -> str:
        """An order between these two (ids), or without a seller one of the shop's own, known to Parley. Returns its number."""
        number = str(changes.pop("order_id", None) or self.new_number())
        await self.publish([snapshot(number, customer=customer, seller=seller, **changes)])
        return number

    def snapshot(self, *, customer: str, seller: str, **changes: Any) -> Json:
        """A snapshot of an order of the next number, to be published."""
        return snapshot(self.new_number(), customer=customer, seller=seller, **changes)

    async def publish(self, snapshots: Sequence[Json]) -> None:
        await publish_orders(self.parley.vhost.url("shop"), [ShopOrder.read(each) for each in snapshots])
        for each in snapshots:
            await self._until_known(each)

    async def _until_known(self, snapshot: Json) -> None:
        async def look() -> bool:
            path = f"/v1/orders/{snapshot['order_id']}"
            status, order = await self.ask("GET", path, self.parley.admin())
            return status == 200 and order["order"]["version"] >= snapshot["version"]

        await eventually(look, what=f"order {snapshot['order_id']}")

    async def ask(
        self, method: str, path: str, token: str, body: Json | None = None, **headers: str
    ) -> tuple[int, Json]:
        """Status and JSON of an API call."""
        given = {"Authorization": f"Bearer {token}", **headers}
        url = self.parley.gateway_url + path
        async with self._http.request(method, url, json=body, headers=given) as answer:
            return answer.status, json.loads(await answer.read() or b"{}")

    async def post(self, token: str, order_id: str, text: str) -> Json:
        status, message = await self.ask("POST", f"/v1/orders/{order_id}/messages", token, {"text": text})
        assert status == 201, message
        return message

    async def history(self, token: str, order_id: str) -> list[Json]:
        status, page = await self.ask("GET", f"/v1/orders/{order_id}/messages?limit=200", token)
        assert status == 200, page
        items: list[Json] = page["items"]
        return items

    async def visit(self, token: str | None = None, path: str = "", **options: Any) -> Visit:
        """A browser context of its own, signed in with this token as a link would do it, at this page."""
        options.setdefault("viewport", DESKTOP)
        options.setdefault("locale", "en-GB")
        options.setdefault("timezone_id", "Europe/Berlin")
        context = await self.browser.new_context(**options)
        context.set_default_timeout(15_000)
        await context.add_init_script(REPORT_VIOLATIONS)
        visit = Visit(context, await context.new_page())
        visit.watch()
        self._visits.append(visit)
        if token is not None:
            await visit.page.goto(f"{self.parley.gateway_url}/pages/login#token={quote(token)}")
            await visit.page.wait_for_url(lambda url: "/login" not in url)
        if token is None or path:
            await visit.page.goto(self.address(path))
        return visit

    def address(self, path: str) -> str:
        return f"{self.parley.gateway_url}/pages/{path}"

    def admin_with_address(self) -> str:
        """An administrator's token with the e-mail address that watching needs."""
        return self.parley.mint.mint("admin", "a-1", name="Shop staff", email="staff@shop.example")

    async def leave(self, *, check: Callable[[Visit], None] = Visit.require_no_trouble) -> None:
        """Closes every browser; raises AssertionError for what went wrong in one."""
        visits, self._visits = self._visits, []
        await asyncio.gather(*(visit.context.close() for visit in visits))
        for visit in visits:
            check(visit)


def snapshot(order_id: str, *, customer: str, seller: str | None, **changes: Any) -> Json:
    """An order snapshot as a shop publishes it. Without a seller, it sells the order itself."""
    name, seller_name = changes.pop("customer_name", "Ada Byron"), changes.pop("seller_name", "Tea House")
    return {
        "order_id": order_id,
        "version": 1,
        "status": "shipped",
        "placed_at": "2026-11-02T08:14:00Z",
        "url": f"https://shop.example/orders/{order_id}",
        "customer": {"id": customer, "name": name, "email": f"{customer}@example.com", "locale": "en", "guest": False}
        | changes.pop("customer_more", {}),
        **({} if seller is None else {"seller": _seller(seller, seller_name)}),
        "items": [
            {"sku": "TEA-1", "name": "Green tea, 250 g", "quantity": 2, "price": "11.50"},
            {"sku": "POT-1", "name": "Teapot, cast iron", "quantity": 1, "price": "49.00"},
        ],
        "total": "72.00",
        "currency": "EUR",
        **changes,
    }


def _seller(seller: str, name: str) -> Json:
    return {"id": seller, "name": name, "email": f"{seller}@example.com", "locale": "en"}
