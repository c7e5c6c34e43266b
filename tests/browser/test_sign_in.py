"""The way in: from the page that asks for it to the sign-in and back, what has expired, and a guest's link that has ended."""

import html
import json
import re
import time
from urllib.parse import parse_qs, quote, urlsplit

import jwt
import pytest
from playwright.async_api import Page, Route, expect

from shared.tokens import mint_guest_link
from tests.browser.front import Front, Visit
from tests.browser.shop_site import ShopSite
from tests.browser.test_files import Served
from tests.servers.waiting import eventually

TOKEN_URL = "/my-shop/token"
SIGNED_OUT = "You are not signed in"


async def test_the_deep_link_survives_the_sign_in(front: Front) -> None:
    order = await front.order(customer="c-deep", seller="s-deep")
    token = front.parley.customer("c-deep")
    await front.post(front.parley.seller("s-deep"), order, "It is ready.")
    page = (await front.visit(None, f"orders/{order}?from=mail")).page
    await expect(page.get_by_role("heading", name=SIGNED_OUT)).to_be_visible()
    await page.get_by_role("link", name="Sign in").click()
    await page.get_by_label("Token").fill("no token")
    await page.get_by_role("button", name="Sign in").click()
    await expect(page.get_by_text("That is no token.")).to_be_visible()
    await page.get_by_label("Token").fill(token)
    await page.get_by_role("button", name="Sign in").click()
    await expect(page.locator(".bubble")).to_have_text("It is ready.")
    assert page.url == front.address(f"orders/{order}?from=mail")


HOSTILE = (
    "https://evil.example/pages/",
    "//evil.example/pages/",
    "/\\evil.example/pages/",
    "\\/evil.example/pages/",
    "/\t/evil.example/pages/",
    "/pages/../v1/me",
    "/pages/%2e%2e/docs",
    "/pagesevil/",
    "/docs",
    "javascript:alert(1)",
    "data:text/html,<script>alert(1)</script>",
    "pages/orders",
    "/pages/login",
    "http://[",
    "",
)


async def test_the_way_back_leads_nowhere_outside_of_the_pages(front: Front) -> None:
    token = front.parley.customer("c-hostile")
    for asked in HOSTILE:
        visit = await front.visit(None, f"login?return={quote(asked, safe='')}#token={quote(token)}")
        await expect(visit.page.get_by_role("heading", name="Orders")).to_be_visible()
        assert visit.page.url == front.address(""), asked
        assert all(urlsplit(url).hostname != "evil.example" for url in visit.requests), asked
        await visit.context.close()


class Shop:
    """A shop that puts Parley's pages under its own host: its token address, its sign-in, and the pages as the gateway serves them to it."""

    def __init__(self, front: Front, site: ShopSite) -> None:
        self.front, self.token = front, ""
        self.login_url = f"{site.origin}/login?next={{return_url}}"
        self.came_from: list[str] = []
        self._pages = Served(login_url=self.login_url, token_url=TOKEN_URL)

    async def visit(self, path: str) -> Visit:
        visit = await self.front.visit()
        await visit.page.close()
        await self.open_tab(visit)
        await visit.page.goto(self.front.address(path))
        return visit

    async def open_tab(self, visit: Visit) -> None:
        visit.page = await visit.context.new_page()
        visit.watch()
        await visit.page.route(re.compile(r"/pages/(orders|desk|messages)"), self._page)
        await visit.page.route(f"**{TOKEN_URL}", self._give_token)
        await visit.page.route(re.compile(r"/login\?next="), self._sign_in)

    async def _page(self, route: Route) -> None:
        answer = await self._pages.ask(urlsplit(route.request.url).path, "GET", {"accept-encoding": "gzip"})
        headers = {name: value for name, value in answer.headers.items() if name != "content-encoding"}
        await route.fulfill(status=answer.status_code, headers=headers, body=answer.text)

    async def _give_token(self, route: Route) -> None:
        body = json.dumps({"token": self.token})
        await route.fulfill(status=200 if self.token else 401, body=body, content_type="application/json")

    async def _sign_in(self, route: Route) -> None:
        (back,) = parse_qs(urlsplit(route.request.url).query)["next"]
        self.came_from.append(back)
        self.token = self.front.parley.customer("c-shop")
        page = f'<!doctype html><title>Sign in</title><a href="{html.escape(back)}">Go on</a>'
        await route.fulfill(status=200, body=page, content_type="text/html")


async def test_a_shops_sign_in_gets_the_way_back(front: Front, shop_site: ShopSite) -> None:
    order = await front.order(customer="c-shop", seller="s-shop")
    await front.post(front.parley.seller("s-shop"), order, "It is ready.")
    shop = Shop(front, shop_site)
    page = (await shop.visit(f"orders/{order}?q=a%26b")).page
    await expect(page.get_by_role("heading", name=SIGNED_OUT)).to_be_visible()
    await page.get_by_role("link", name="Sign in").click()
    await page.get_by_role("link", name="Go on").click()
    await expect(page.locator(".bubble")).to_have_text("It is ready.")
    assert shop.came_from == [front.address(f"orders/{order}?q=a%26b")]


def expired(front: Front) -> str:
    """A customer's token whose time is over."""
    claims = jwt.decode(front.parley.customer("c-shop"), options={"verify_signature": False})
    now = int(time.time())
    claims |= {"iat": now - 3_600, "exp": now - 600}
    return jwt.encode(claims, front.parley.mint._credentials.token_secret, algorithm="HS256")


async def come_back(page: Page) -> None:
    await page.evaluate("dispatchEvent(new Event('focus'))")


async def test_a_sign_in_that_has_ended_says_so_and_goes_on_when_the_shop_gives_a_token_again(
    front: Front, shop_site: ShopSite
) -> None:
    order = await front.order(customer="c-shop", seller="s-shop")
    await front.post(front.parley.seller("s-shop"), order, "It is ready.")
    shop = Shop(front, shop_site)
    shop.token = expired(front)
    page = (await shop.visit(f"orders/{order}")).page
    await expect(page.get_by_role("heading", name="Your sign-in has ended")).to_be_visible()
    await expect(page.get_by_role("link", name="Sign in")).to_be_visible()
    shop.token = ""
    await come_back(page)
    await expect(page.get_by_role("heading", name="Your sign-in has ended")).to_be_visible()
    shop.token = front.parley.customer("c-shop")
    await come_back(page)
    await expect(page.locator(".bubble")).to_have_text("It is ready.")


async def test_a_guests_link_that_has_ended_says_so(front: Front) -> None:
    more = {"seller": "s-ended", "customer_name": "Gil Guest"}
    order = await front.order(customer="g-ended", customer_more={"guest": True}, **more)
    link = mint_guest_link(
        order, "g-ended", "Gil Guest", secret=front.parley.mint._credentials.link_secret, now=time.time()
    )
    page = (await front.visit(None, f"guest/{order}#{link}")).page
    await expect(page.get_by_text("No messages yet.")).to_be_visible()

    await front.order(customer="g-ended", order_id=order, version=2, customer_more={"guest": False}, **more)

    async def ended() -> bool:
        status, problem = await front.ask("POST", "/v1/guest-sessions", "", {"token": link})
        return (status, problem.get("type")) == (410, "urn:parley:problem:link_ended")

    await eventually(ended, what="the link's end")  # while threads does not answer, nobody is refused
    await page.reload()
    await expect(page.get_by_text("This link has ended")).to_be_visible()
    fresh = (await front.visit(None, f"guest/{order}#{link}")).page
    await expect(fresh.get_by_role("heading", name="This link has ended")).to_be_visible()
    await expect(fresh.get_by_role("link", name="Sign in")).to_be_visible()


@pytest.mark.parametrize("link", ["x.y.z", "cut-off"])
async def test_a_guests_link_that_is_no_good_says_where_to_find_another(front: Front, link: str) -> None:
    page = (await front.visit(None, f"guest/1042#{link}")).page
    await expect(page.get_by_role("heading", name="This link does not work any more")).to_be_visible()
    await expect(page.get_by_text("Take the one in the newest e-mail")).to_be_visible()
