"""The widget on a shop's own page, of another origin, under the policy that docs/widget.md recommends."""

from typing import Any

from playwright.async_api import Page, expect

from tests.browser.front import Front
from tests.browser.shop_site import ShopSite


async def open_shop(front: Front, site: ShopSite, order: str, **options: Any) -> Page:
    site.order_id = order
    page = (await front.visit(None, **options)).page
    await page.goto(f"{site.origin}/orders")
    return page


async def test_a_customer_writes_in_the_shops_own_page(front: Front, site: ShopSite) -> None:
    order = await front.order(customer="c-widget", seller="s-widget")
    site.visitor_token = front.parley.customer("c-widget")
    page = await open_shop(front, site, order)
    seller = (await front.visit(front.parley.seller("s-widget", name="Tea House"))).page

    await expect(page.get_by_role("heading", name="Tea House")).to_be_visible()
    await page.get_by_label("Your message").fill("From the shop's own page")
    await page.keyboard.press("Control+Enter")
    await expect(page.locator(".state.stored")).to_have_count(1)
    await seller.locator(".thread-row > a").click()
    await seller.get_by_label("Your message").fill("Seen")
    await seller.keyboard.press("Control+Enter")
    await expect(page.locator(".other-side .bubble")).to_have_text("Seen")
    assert await page.locator("parley-thread .button.primary").evaluate(
        "each => getComputedStyle(each).backgroundColor"
    ) != ("rgb(255, 105, 180)")


async def test_a_token_is_fetched_again_before_it_expires(front: Front, site: ShopSite) -> None:
    order = await front.order(customer="c-renews", seller="s-renews")
    site.visitor_token, site.token_life_s = front.parley.customer("c-renews"), 0
    given = site.tokens_given
    page = await open_shop(front, site, order)
    await expect(page.get_by_role("heading", name="Tea House")).to_be_visible()
    await page.get_by_label("Your message").fill("Still me")
    await page.keyboard.press("Control+Enter")
    await expect(page.locator(".state.stored")).to_have_count(1)
    assert site.tokens_given > given + 2


async def test_a_visitor_whom_the_shop_does_not_know_sees_no_conversation(front: Front, site: ShopSite) -> None:
    order = await front.order(customer="c-unknown", seller="s-unknown")
    page = await open_shop(front, site, order)

    await expect(page.get_by_text("You are not signed in")).to_be_visible()
    site.visitor_token = front.parley.customer("c-unknown")
    await page.get_by_role("button", name="Try again").click()
    await expect(page.get_by_role("heading", name="Tea House")).to_be_visible()


async def test_its_attributes_may_change_while_it_is_shown(front: Front, site: ShopSite) -> None:
    order = await front.order(customer="c-attributes", seller="s-attributes")
    other = await front.order(customer="c-attributes", seller="s-attributes-2", seller_name="Lamp House")
    site.visitor_token = front.parley.customer("c-attributes")
    page = await open_shop(front, site, order)
    await expect(page.get_by_role("heading", name="Tea House")).to_be_visible()

    widget = page.locator("parley-thread")
    await widget.evaluate("(each, order) => each.setAttribute('order', order)", other)
    await expect(page.get_by_role("heading", name="Lamp House")).to_be_visible()
    await widget.evaluate("each => each.setAttribute('lang', 'es')")
    await expect(page.get_by_label("Su mensaje")).to_be_visible()
    await widget.evaluate("each => each.remove()")
    await expect(page.get_by_label("Su mensaje")).to_have_count(0)


async def test_a_page_of_an_origin_that_is_not_allowed_gets_nothing(front: Front, site: ShopSite) -> None:
    order = await front.order(customer="c-foreign", seller="s-foreign")
    site.visitor_token, site.order_id = front.parley.customer("c-foreign"), order
    visit = await front.visit(None)
    await visit.page.goto(f"http://127.0.0.1:{site.port}/orders")

    await expect(visit.page.get_by_role("heading", name="Your order")).to_be_visible()
    await expect.soft(visit.page.locator("parley-thread")).to_be_attached()
    await visit.page.wait_for_load_state("networkidle")
    assert await visit.page.evaluate("customElements.get('parley-thread')") is None
    assert any("CORS" in each for each in visit.troubles)
    visit.troubles.clear()
