"""Everything by keyboard alone, and everything on a phone 360 pixels wide."""

import re
from typing import Any

import pytest
from playwright.async_api import Page, expect

from tests.browser.front import PHONE, Front


async def tab_to(page: Page, role: str, name: str) -> None:
    """Presses Tab until the control has the focus, and sees that the focus can be seen wherever it is."""
    for _ in range(60):
        await page.keyboard.press("Tab")
        outline = await page.evaluate("getComputedStyle(document.activeElement).outlineStyle")
        assert outline != "none", await page.evaluate("document.activeElement.outerHTML")
        wanted = page.get_by_role(role, name=name)  # type: ignore[arg-type]  # the roles are a long literal type
        if await wanted.evaluate_all("found => found.includes(document.activeElement)"):
            return
    raise AssertionError(f"no {role} {name} comes by Tab")


async def test_the_whole_way_by_keyboard(front: Front) -> None:
    order = await front.order(customer="c-keys", seller="s-keys")
    page = (await front.visit(front.parley.customer("c-keys"))).page
    await expect(page.locator(".order-row")).to_be_visible()

    await page.keyboard.press("Tab")
    await expect(page.get_by_role("link", name="Skip to content")).to_be_focused()
    await page.keyboard.press("Enter")
    await expect(page.get_by_role("main")).to_be_focused()
    await tab_to(page, "link", f"Contact seller, Order {order}")
    await page.keyboard.press("Enter")
    await expect(page.get_by_role("heading", name="Tea House")).to_be_focused()
    await tab_to(page, "textbox", "Your message")
    await page.keyboard.type("By keyboard.")
    await page.keyboard.press("Control+Enter")
    await expect(page.locator(".state.stored")).to_have_count(1)
    await expect(page.get_by_label("Your message")).to_be_focused()

    await page.get_by_role("heading", name="Tea House").focus()
    await tab_to(page, "button", "Report a problem")
    await page.keyboard.press("Enter")
    await expect(page.get_by_role("button", name="Ask Tea House")).to_be_focused()
    await page.keyboard.press("Escape")
    await expect(page.get_by_role("button", name="Report a problem")).to_be_focused()
    await page.keyboard.press("Enter")
    await page.keyboard.press("Shift+Tab")
    await page.keyboard.press("Enter")
    await expect(page.get_by_label("Not received")).to_be_focused()
    await page.keyboard.press("ArrowDown")
    await page.keyboard.press("Tab")
    await page.keyboard.type("Not what was described.")
    await page.keyboard.press("Tab")
    await page.keyboard.press("Tab")
    await page.keyboard.press("Enter")
    await expect(page.locator(".step.dispute_opened")).to_contain_text("Not as described")


async def test_a_dialog_that_was_left_keeps_what_was_typed(front: Front) -> None:
    order = await front.order(customer="c-dialog", seller="s-dialog")
    page = (await front.visit(front.parley.customer("c-dialog"), f"orders/{order}")).page
    await page.get_by_role("button", name="Report a problem").click()
    await page.get_by_role("button", name="Open a dispute").click()
    await page.get_by_role("button", name="Open dispute").click()
    await expect(page.get_by_text("Please write something first.")).to_be_visible()
    await page.get_by_label("What happened?").fill("It rattles.")
    await page.keyboard.press("Escape")
    await page.reload()
    await page.get_by_role("button", name="Report a problem").click()
    await page.get_by_role("button", name="Open a dispute").click()
    await expect(page.get_by_label("What happened?")).to_have_value("It rattles.")


async def test_new_messages_are_said_to_screen_readers(front: Front) -> None:
    order = await front.order(customer="c-hears", seller="s-hears")
    page = (await front.visit(front.parley.customer("c-hears"), f"orders/{order}")).page
    await expect(page.get_by_text("Connected")).to_be_visible()
    await front.post(front.parley.seller("s-hears", name="Tea House"), order, "It is here.")
    await expect(page.locator(".conversation > [role=status]")).to_have_text("Tea House writes: It is here.")


async def test_the_desk_by_keyboard(front: Front) -> None:
    for number in "ab":
        order = await front.order(customer=f"c-arrow-{number}", seller="s-arrow", customer_name=f"C{number}")
        await front.post(front.parley.customer(f"c-arrow-{number}", f"C{number}"), order, f"Hello from {number}")
    page = (await front.visit(front.parley.seller("s-arrow"))).page
    await page.get_by_role("link", name="Cb").focus()
    await page.keyboard.press("ArrowDown")
    await page.keyboard.press("Enter")
    await expect(page.get_by_role("heading", name="Ca")).to_be_focused()
    await expect(page.locator(".bubble")).to_have_text("Hello from a")
    await page.go_back()
    await expect(page.get_by_text("Choose a conversation.")).to_be_visible()


LONG = "Donaudampfschifffahrtselektrizitätenhauptbetriebswerkbauunterbeamtengesellschaft"


@pytest.mark.parametrize("language", ["en-GB", "de-DE", "es-ES"])
async def test_nothing_is_wider_than_a_phone(front: Front, language: str) -> None:
    customer, seller = f"c-phone-{language}", f"s-phone-{language}"
    order = await front.order(
        customer=customer,
        seller=seller,
        seller_name=LONG,
        customer_name=LONG,
        items=[{"sku": "1", "name": LONG, "quantity": 1000, "price": "1234567.89"}] * 2,
        total="2469135780.00",
    )
    token = front.parley.customer(customer, LONG)
    await front.post(token, order, f"{LONG} {'w' * 300}")
    await front.ask("POST", f"/v1/orders/{order}/dispute", token, {"reason": "damaged", "text": LONG * 3})
    await front.post(front.parley.seller(seller, name=LONG), order, "https://shop.example/" + "x" * 200)
    phone: dict[str, Any] = {"viewport": PHONE, "has_touch": True, "is_mobile": True, "locale": language}
    own = (await front.visit(token, **phone)).page
    for path, shown in (("orders", ".order-row"), ("messages", ".thread-row"), (f"orders/{order}", ".bubble")):
        await own.goto(front.address(path))
        await expect(own.locator(shown).first).to_be_visible()
        await require_no_sideways_scroll(own)
    await own.locator(".conversation-head .sheet-button").tap()
    await expect(own.locator(".sheet .order-card-content")).to_be_visible()
    await require_no_sideways_scroll(own)
    await own.keyboard.press("Escape")
    await expect(own.locator(".write .button")).to_be_in_viewport(ratio=1)

    desk = (await front.visit(front.parley.seller(seller, name=LONG), **phone)).page
    await expect(desk.locator(".thread-row")).to_be_visible()
    await require_no_sideways_scroll(desk)
    await desk.locator(".thread-row > a").tap()
    await expect(desk.locator(".bubble").first).to_be_visible()
    await expect(desk.locator(".queue")).to_be_hidden()
    await require_no_sideways_scroll(desk)
    await expect(desk.locator(".write .button")).to_be_in_viewport(ratio=1)
    await desk.locator(".back").tap()
    await expect(desk.locator(".queue")).to_be_visible()


async def require_no_sideways_scroll(page: Page) -> None:
    """Neither the page nor anything in it can be scrolled sideways, or is cut off at the edge, but for lines that end in an ellipsis."""
    wide = await page.evaluate(
        """() => {
          const isCutShort = (each) => each !== null && (getComputedStyle(each).textOverflow === "ellipsis" || isCutShort(each.parentElement));
          return [document.scrollingElement, ...document.querySelectorAll("body *")]
          .filter((each) => each.getClientRects().length > 0 && !each.closest(".sr"))
          .filter((each) => !isCutShort(each.parentElement))
          .filter((each) => each.getBoundingClientRect().right > innerWidth + 1
            || (each.scrollWidth > each.clientWidth + 1 && ["auto", "scroll"].includes(getComputedStyle(each).overflowX)))
          .map((each) => `${each.tagName} ${each.className}`);
        }"""
    )
    assert wide == [], re.sub(r"\s+", " ", str(wide))
