"""A phone, also with its keyboard open or held sideways: what was said has most of the window, and all else is a touch away."""

from typing import Any

import pytest
from playwright.async_api import ViewportSize, expect

from tests.browser.front import PHONE, Front
from tests.browser.test_accessibility import Scheme, assert_accessible
from tests.browser.test_keyboard_and_phone import require_no_sideways_scroll

KEYBOARD_OPEN: ViewportSize = {"width": 360, "height": 400}
SIDEWAYS: ViewportSize = {"width": 740, "height": 360}
WINDOWS = [KEYBOARD_OPEN, SIDEWAYS, PHONE]
SHARE_OF_HISTORY = 0.55
# Orders of the seed: with an open dispute, without one, and with names that fill a line.
DISPUTED, LONG_NAMES = "2001", "2038"

SHARE = """() => {
  const { top, bottom } = document.querySelector(".history").getBoundingClientRect();
  return (Math.min(bottom, innerHeight) - Math.max(top, 0)) / innerHeight;
}"""

BOXES = "names => names.map((name) => document.querySelector(name).getBoundingClientRect().toJSON())"


def phone(window: ViewportSize, **options: Any) -> dict[str, Any]:
    return {"viewport": window, "has_touch": True, "is_mobile": True, **options}


def customer(front: Front) -> str:
    return front.parley.customer("c-101", "Mara Lindt")


@pytest.mark.parametrize("window", WINDOWS, ids=lambda each: f"{each['width']}x{each['height']}")
@pytest.mark.parametrize("order", [DISPUTED, LONG_NAMES])
@pytest.mark.parametrize("who", ["customer", "staff"])
async def test_history_has_most_of_the_window(
    seeded: Front, window: ViewportSize, order: str, who: str, capsys: pytest.CaptureFixture[str]
) -> None:
    token, path = (
        (customer(seeded), f"orders/{order}") if who == "customer" else (seeded.parley.admin(), f"desk/{order}")
    )
    page = (await seeded.visit(token, path, **phone(window))).page
    await expect(page.locator(".bubble").first).to_be_visible()
    await page.get_by_label("Your message").focus()
    share = await page.evaluate(SHARE)
    with capsys.disabled():
        print(f"\n{who} {order} {window['width']}x{window['height']}: history {share:.0%}", end="")
    assert share >= SHARE_OF_HISTORY
    for shown in (".conversation-head", ".write .button", ".conversation-head .back"):
        await expect(page.locator(shown)).to_be_in_viewport(ratio=1)
    assert await page.evaluate("document.scrollingElement.scrollHeight <= innerHeight")
    await require_no_sideways_scroll(page)


async def test_the_way_back_the_name_and_the_order_share_one_line(seeded: Front) -> None:
    page = (await seeded.visit(customer(seeded), f"orders/{LONG_NAMES}", **phone(KEYBOARD_OPEN))).page
    await expect(page.locator(".bubble").first).to_be_visible()
    head = await page.locator(".conversation-head").bounding_box()
    assert head is not None
    assert head["y"] == 0
    assert head["height"] <= 48
    await page.locator(".history").evaluate("each => each.scrollTo(0, each.scrollHeight)")
    await expect(page.locator(".conversation-head")).to_be_in_viewport(ratio=1)


async def test_the_order_the_dispute_and_what_can_be_done_are_in_a_sheet(seeded: Front) -> None:
    page = (await seeded.visit(customer(seeded), f"orders/{DISPUTED}", **phone(KEYBOARD_OPEN))).page
    opener = page.locator(".conversation-head").get_by_role("button", name="Order and more")
    await opener.tap()
    sheet = page.get_by_role("dialog", name=f"Order {DISPUTED}")
    await expect(sheet.locator(".banner.dispute")).to_contain_text("Opened by Mara Lindt")
    await expect(sheet.get_by_text("The other side has been told, and answers here.")).to_be_visible()
    await expect(sheet.locator(".order-card-content")).to_contain_text("Stoneware mug, moss green")
    await require_no_sideways_scroll(page)
    await page.keyboard.press("Escape")
    await expect(sheet).to_have_count(0)
    await expect(opener).to_be_focused()

    await page.locator(".banner.dispute").get_by_role("button", name="Order and more").tap()
    await sheet.get_by_role("button", name="Close dispute").tap()
    await expect(page.get_by_role("dialog", name="Close the dispute")).to_be_visible()
    await expect(sheet).to_have_count(0)
    await page.keyboard.press("Escape")
    await expect(page.locator(".banner.dispute").get_by_role("button", name="Order and more")).to_be_focused()


async def test_a_wide_window_has_the_order_beside_the_conversation_after_the_sheet_was_open(seeded: Front) -> None:
    page = (await seeded.visit(customer(seeded), f"orders/{DISPUTED}", viewport=PHONE)).page
    await page.locator(".conversation-head").get_by_role("button", name="Order and more").click()
    await expect(page.locator(".sheet .order-card-content")).to_be_visible()
    await page.keyboard.press("Escape")
    await page.set_viewport_size({"width": 1280, "height": 800})
    await expect(page.locator("aside .order-card-content")).to_contain_text("Stoneware mug, moss green")
    await expect(page.locator(".sheet-button:visible")).to_have_count(0)


async def test_the_choice_of_language_is_not_cut_and_the_head_of_a_list_is_two_lines(seeded: Front) -> None:
    for language in ("en-GB", "de-DE", "es-ES", "fr-FR", "it-IT", "nl-NL"):
        page = (await seeded.visit(customer(seeded), "orders", **phone(PHONE, locale=language))).page
        await expect(page.locator(".order-row").first).to_be_visible()
        head = await page.locator(".top").bounding_box()
        assert head is not None
        assert head["height"] <= 104, language
        cut = await page.locator(".language").evaluate("each => each.scrollWidth > each.clientWidth")
        assert not cut, language
        await require_no_sideways_scroll(page)


async def test_a_long_name_leaves_the_tools_in_their_line(seeded: Front) -> None:
    page = (await seeded.visit(customer(seeded), f"orders/{LONG_NAMES}", viewport={"width": 1280, "height": 800})).page
    await expect(page.locator(".bubble").first).to_be_visible()
    await expect(page.get_by_role("button", name="Report a problem")).to_be_visible()
    [title, tool] = await page.evaluate(BOXES, [".conversation-head .who", ".conversation-head .tools .button"])
    assert tool["y"] < title["y"] + title["height"]
    assert tool["x"] >= title["x"] + title["width"]


async def test_the_counter_comes_where_the_limit_is_near(front: Front) -> None:
    order = await front.order(customer="c-count", seller="s-count")
    page = (await front.visit(front.parley.customer("c-count"), f"orders/{order}")).page
    await page.get_by_label("Your message").fill("Hello")
    await expect(page.locator(".write .counter")).to_be_hidden()
    await page.get_by_label("Your message").fill("x" * 9_500)
    await expect(page.locator(".write .counter")).to_have_text("9,500 / 10,000")


async def test_a_customer_is_not_told_which_message_was_imported(seeded: Front) -> None:
    own = (await seeded.visit(seeded.parley.customer("c-102", "Owen Achebe"), "orders/2040")).page
    await expect(own.locator(".bubble")).to_have_count(3)
    await expect(own.get_by_text("Imported")).to_have_count(0)
    staff = (await seeded.visit(seeded.parley.admin(), "desk/2040")).page
    await expect(staff.get_by_text("Imported")).to_have_count(3)


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [360, 768, 1440])
async def test_the_seeded_pages_are_accessible(seeded: Front, scheme: Scheme, width: int) -> None:
    options: dict[str, Any] = {
        "color_scheme": scheme,
        "bypass_csp": True,
        "viewport": {"width": width, "height": 800},
    }
    staff = (await seeded.visit(seeded.parley.admin(), "desk", **options)).page
    await expect(staff.locator(".thread-row")).to_have_count(20)
    await assert_accessible(staff)
    await staff.goto(seeded.address(f"desk/{DISPUTED}"))
    await expect(staff.locator(".bubble").first).to_be_visible()
    await assert_accessible(staff)
    own = (await seeded.visit(customer(seeded), f"orders/{DISPUTED}", **options)).page
    await expect(own.locator(".bubble").first).to_be_visible()
    await assert_accessible(own)
    opener = own.locator(".conversation-head .sheet-button")
    if await opener.is_visible():
        await opener.click()
        await expect(own.locator(".sheet")).to_be_visible()
        await assert_accessible(own)
