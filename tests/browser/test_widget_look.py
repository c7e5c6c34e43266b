"""The widget in pages of every look: its theme, a shop's own colours, narrow columns, nobody signed in, and what it tells the page."""

from typing import Any

import pytest
from playwright.async_api import Page, expect

from tests.browser.front import Front, Visit
from tests.browser.shop_site import ShopSite
from tests.browser.test_widget import open_shop
from tests.servers.waiting import eventually

LISTEN = """() => {
  globalThis.told = [];
  for (const kind of ["parley:message", "parley:unread", "parley:error"])
    document.addEventListener(kind, (event) => told.push([kind, event.detail]));
}"""
# How light a colour is, from 0 to 1, whatever form the browser gives it in.
LIGHTNESS = """each => {
  const canvas = document.createElement("canvas").getContext("2d");
  canvas.fillStyle = getComputedStyle(each).backgroundColor;
  canvas.fillRect(0, 0, 1, 1);
  const [red, green, blue] = canvas.getImageData(0, 0, 1, 1).data;
  return (red + green + blue) / 765;
}"""


async def shown(front: Front, site: ShopSite, name: str, **options: Any) -> tuple[Page, str]:
    """A shop's page with the widget in it, and the order that it shows."""
    order = await front.order(customer=f"c-{name}", seller=f"s-{name}")
    site.visitor_token = front.parley.customer(f"c-{name}")
    await front.post(front.parley.seller(f"s-{name}"), order, "It is on its way.")
    page = await open_shop(front, site, order, **options)
    await expect(page.locator(".bubble")).to_have_text("It is on its way.")
    return page, order


@pytest.mark.parametrize(
    ("page_scheme", "theme", "expected"),
    [
        ("normal", None, "light"),
        ("only light", None, "light"),
        ("light dark", None, "dark"),
        ("light dark", "light", "light"),
        ("only light", "dark", "dark"),
        ("only light", "auto", "dark"),
    ],
)
async def test_a_visitor_in_the_dark_sees_it_as_the_page_is_unless_its_theme_says_otherwise(
    front: Front, site: ShopSite, page_scheme: str, theme: str | None, expected: str
) -> None:
    page, _ = await shown(front, site, "scheme", color_scheme="dark")

    await page.evaluate("scheme => { document.documentElement.style.colorScheme = scheme; }", page_scheme)
    if theme is not None:
        await page.locator("parley-thread").evaluate("(each, theme) => each.setAttribute('theme', theme)", theme)

    lightness = await page.locator("parley-thread .widget").evaluate(LIGHTNESS)
    assert (lightness > 0.5) == (expected == "light")


async def test_a_shop_gives_it_its_colours_and_its_letters(front: Front, site: ShopSite) -> None:
    page, _ = await shown(front, site, "branded")

    await page.evaluate(
        """() => {
          const { style } = document.querySelector("main");
          style.setProperty("--parley-raised", "rgb(1, 2, 3)");
          style.setProperty("--parley-font", "Georgia, serif");
          style.setProperty("--raised", "rgb(250, 0, 0)");
        }"""
    )

    bubble = page.locator(".other-side .bubble")
    assert await bubble.evaluate("each => getComputedStyle(each).backgroundColor") == "rgb(1, 2, 3)"
    assert await bubble.evaluate("each => getComputedStyle(each).fontFamily") == "Georgia, serif"


@pytest.mark.parametrize("width", [220, 260, 300, 340])
async def test_it_can_be_used_in_a_narrow_column(front: Front, site: ShopSite, width: int) -> None:
    page, _ = await shown(front, site, "narrow")
    await page.locator("parley-thread").evaluate("(each, px) => { each.style.inlineSize = `${px}px`; }", width)

    send = page.get_by_role("button", name="Send")
    lines = await send.evaluate(
        "each => each.getBoundingClientRect().height / parseFloat(getComputedStyle(each).lineHeight)"
    )
    assert lines < 2.5, "its word stands in one line, and its padding takes another"
    assert await page.locator("parley-thread .widget").evaluate("each => each.scrollWidth <= each.clientWidth")
    for part in (send, page.get_by_label("Your message"), page.locator(".bubble")):
        box, frame = await part.bounding_box(), await page.locator("parley-thread").bounding_box()
        assert box is not None
        assert frame is not None
        assert box["x"] >= frame["x"]
        assert box["x"] + box["width"] <= frame["x"] + frame["width"]
    await page.get_by_label("Your message").fill("From a narrow column")
    await send.click()
    await expect(page.locator(".own-side .state.stored")).to_have_count(1)


async def test_what_the_shop_puts_into_its_slot_is_shown_where_nobody_is_signed_in(
    front: Front, site: ShopSite
) -> None:
    order = await front.order(customer="c-slot", seller="s-slot")
    page = await open_shop(front, site, order, color_scheme="dark")
    await expect(page.get_by_text("You are not signed in")).to_be_visible()
    await page.evaluate("() => { document.documentElement.style.colorScheme = 'only light'; }")
    assert await page.locator("parley-thread .widget").evaluate(LIGHTNESS) > 0.9, "a surface of its own"

    await page.locator("parley-thread").evaluate(
        """each => {
          const link = Object.assign(document.createElement("a"), { href: "/login", textContent: "Sign in to the shop", slot: "signed-out" });
          each.append(link);
        }"""
    )

    await expect(page.get_by_role("link", name="Sign in to the shop")).to_be_visible()
    await expect(page.get_by_text("You are not signed in")).to_be_hidden()


async def told_by(page: Page, kind: str) -> list[dict[str, Any]]:
    return [detail for each, detail in await page.evaluate("told") if each == f"parley:{kind}"]


async def listening(front: Front, site: ShopSite, order: str) -> Visit:
    """The shop's page, with what the widget has told it kept in `told`."""
    site.order_id = order
    visit = await front.visit(None)
    await visit.page.add_init_script(f"({LISTEN})()")
    await visit.page.goto(f"{site.origin}/orders")
    return visit


async def test_it_tells_the_page_what_happens(front: Front, site: ShopSite) -> None:
    order = await front.order(customer="c-told", seller="s-told")
    seller, site.visitor_token = front.parley.seller("s-told"), front.parley.customer("c-told")
    await front.post(seller, order, "First")
    page = (await listening(front, site, order)).page
    await expect(page.locator(".bubble")).to_have_text("First")

    async def counts() -> list[int]:
        return [detail["unread"] for detail in await told_by(page, "unread")]

    async def says(expected: list[int]) -> bool:
        return await counts() == expected

    await eventually(lambda: says([1, 0]), what="the first message read")
    posted = await front.post(seller, order, "Second")
    await eventually(lambda: says([1, 0, 1, 0]), what="the second message read")

    expected = {"order_id": order, "id": posted["id"], "seq": 2, "kind": "text", "side": "seller", "mine": False}
    assert await told_by(page, "message") == [expected]
    assert await told_by(page, "error") == []


@pytest.mark.parametrize(("known", "code"), [(False, "signed_out"), (True, "not_found")])
async def test_it_tells_the_page_why_it_shows_nothing(front: Front, site: ShopSite, known: bool, code: str) -> None:
    order = await front.order(customer="c-fails", seller="s-fails")
    site.visitor_token = front.parley.customer("c-somebody-else") if known else None
    visit = await listening(front, site, order)

    [failure] = await eventually(lambda: told_by(visit.page, "error"), what="an error")

    assert (failure["order_id"], failure["code"]) == (order, code)
    visit.troubles.clear()  # the browser's own words about the 404
