"""axe-core finds nothing serious on any page, in light and in dark."""

from pathlib import Path
from typing import Any, Literal

import pytest
from playwright.async_api import Page, expect

from tests.browser.front import PHONE, Front
from tests.browser.shop_site import ShopSite

AXE = Path(__file__).parent / "vendor" / "axe.min.js"
RUN = """async () => (await axe.run()).violations.map(({ id, impact, nodes }) => [
  impact, id, ...nodes.map((each) => `${each.target.join(" ")}: ${each.failureSummary}`)])"""

Scheme = Literal["light", "dark"]


async def assert_accessible(page: Page) -> None:
    """Whatever axe finds fails the test, also what is only moderate: so far there is nothing."""
    await page.evaluate(AXE.read_text())
    assert await page.evaluate(RUN) == []


@pytest.mark.parametrize("scheme", ["light", "dark"])
async def test_every_page_is_accessible(front: Front, scheme: Scheme) -> None:
    customer, seller = f"c-axe-{scheme}", f"s-axe-{scheme}"
    order = await front.order(customer=customer, seller=seller, status="delivered")
    await front.order(customer=customer, seller=seller, status="placed")
    token, seller_token = front.parley.customer(customer, "Ada Byron"), front.parley.seller(seller, name="Tea House")
    await front.post(token, order, "Is it on its way?")
    await front.ask("POST", f"/v1/orders/{order}/dispute", token, {"reason": "damaged", "text": "Broken."})
    await front.post(seller_token, order, "We send a new one.")
    await front.post(front.admin_with_address(), order, "And we have an eye on it.")
    options: dict[str, Any] = {"color_scheme": scheme, "bypass_csp": True}

    own = (await front.visit(token, "orders", **options)).page
    await expect(own.locator(".order-row")).to_have_count(2)
    await assert_accessible(own)
    await own.get_by_role("link", name="Messages").first.click()
    await expect(own.locator(".thread-row")).to_have_count(1)
    await assert_accessible(own)
    await own.locator(".thread-row > a").click()
    await expect(own.locator(".bubble")).to_have_count(3)
    await own.route("**/v1/orders/*/messages", lambda route: route.abort())
    await own.get_by_label("Your message").fill("Held back")
    await own.keyboard.press("Control+Enter")
    await expect(own.locator(".state.held")).to_have_count(1)
    await assert_accessible(own)
    await own.get_by_role("button", name="Close dispute").click()
    await assert_accessible(own)
    await own.keyboard.press("Escape")
    await own.get_by_role("button", name="E-mail settings").click()
    await expect(own.get_by_role("dialog")).to_be_visible()
    await assert_accessible(own)
    await own.keyboard.press("Escape")
    await own.get_by_role("button", name="Sign out").click()
    await assert_accessible(own)
    await own.goto(front.address("login"))
    await expect(own.get_by_label("Token")).to_be_visible()
    await assert_accessible(own)

    desk = (await front.visit(front.admin_with_address(), f"desk/{order}", **options)).page
    await expect(desk.locator(".bubble")).to_have_count(3)
    await desk.get_by_label(f"Select order {order}").check()
    await assert_accessible(desk)
    await desk.get_by_role("button", name="Remove text").first.click()
    await assert_accessible(desk)


@pytest.mark.parametrize("scheme", ["light", "dark"])
async def test_the_phone_and_the_widget_are_accessible(front: Front, shop_site: ShopSite, scheme: Scheme) -> None:
    order = await front.order(customer=f"c-axe-2{scheme}", seller="s-axe-2")
    token = front.parley.customer(f"c-axe-2{scheme}")
    await front.post(token, order, "Is it on its way?")
    options: dict[str, Any] = {"color_scheme": scheme, "bypass_csp": True}

    phone = (await front.visit(token, f"orders/{order}", viewport=PHONE, **options)).page
    await expect(phone.locator(".bubble")).to_be_visible()
    await assert_accessible(phone)
    shop_site.parley_url, shop_site.order_id, shop_site.visitor_token = front.parley.gateway_url, order, token
    shop = (await front.visit(**options)).page
    await shop.goto(f"{shop_site.origin}/orders")
    await expect(shop.locator(".bubble")).to_be_visible()
    await assert_accessible(shop)


@pytest.mark.parametrize("scheme", ["light", "dark"])
async def test_searches_ticks_sums_and_what_has_ended_are_accessible(front: Front, scheme: Scheme) -> None:
    customer, seller = f"c-axe-truth-{scheme}", f"s-axe-truth-{scheme}"
    order = await front.order(customer=customer, seller=seller, status="held_by_us", total="80.00")
    token, seller_token = front.parley.customer(customer, "Ada Byron"), front.parley.seller(seller, name="Anna")
    await front.post(token, order, "Is it on its way?")
    await front.post(seller_token, order, "The tracking number follows.")
    await front.ask("PUT", f"/v1/orders/{order}/read", seller_token, {"up_to_seq": 1})
    await front.ask("POST", f"/v1/orders/{order}/dispute", token, {"reason": "other", "text": "No tracking number."})
    options: dict[str, Any] = {"color_scheme": scheme, "bypass_csp": True}
    own = (await front.visit(token, f"orders/{order}", **options)).page
    await expect(own.locator(".state.seen")).to_have_count(1)
    await expect(own.locator(".total-note")).to_be_visible()
    await assert_accessible(own)
    for path, who in (("messages?q=tracking", token), ("orders?q=tracking", token), ("desk?q=tracking", seller_token)):
        page = (await front.visit(who, path, **options)).page
        await expect(page.locator("mark").first).to_have_text("tracking")
        await assert_accessible(page)
    admin = (await front.visit(front.admin_with_address(), f"desk/{order}", **options)).page
    await expect(admin.locator(".title .party")).to_have_count(2)
    await expect(admin.locator(".disputes")).to_be_visible()
    await assert_accessible(admin)
    for path, heading in (("orders/1", "You are not signed in"), ("guest/1#x.y.z", "This link does not work any more")):
        away = (await front.visit(None, path, **options)).page
        await expect(away.get_by_role("heading", name=heading)).to_be_visible()
        await assert_accessible(away)


@pytest.mark.parametrize("scheme", ["light", "dark"])
async def test_what_is_said_of_failures_is_accessible(front: Front, scheme: Scheme) -> None:
    customer = f"c-axe-failing-{scheme}"
    order = await front.order(customer=customer, seller="s-axe-failing")
    token = front.parley.customer(customer)
    for number in range(60):
        await front.post(token, order, f"message {number}")
    visit = await front.visit(token, color_scheme=scheme, viewport=PHONE)
    await visit.context.add_init_script(
        "for (const name of ['add', 'put']) IDBObjectStore.prototype[name] = () => {"
        " throw new DOMException('The quota has been exceeded.', 'QuotaExceededError'); };"
    )
    page = visit.page
    await page.goto(front.address(f"orders/{order}"))
    await expect(page.locator(".bubble").last).to_be_visible()
    await page.route("**/messages?before_seq*", lambda route: route.abort())
    await page.route("**/messages", lambda route: route.abort())
    await page.get_by_label("Your message").fill("Not sent")
    await page.keyboard.press("Control+Enter")
    await page.locator(".history").evaluate("(each) => (each.scrollTop = 0)")
    await expect(page.locator(".banner")).to_have_count(2)
    await expect(page.locator(".unkept")).to_be_visible()
    await assert_accessible(page)
