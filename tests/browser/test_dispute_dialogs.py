"""Disputes as people meet them: asked first, nothing chosen for them, told what comes next, and never left without the focus."""

from typing import Any

import pytest
from playwright.async_api import Page, expect

from tests.browser.front import Front
from tests.browser.test_accessibility import Scheme, assert_accessible


async def focused_is_in(page: Page, selector: str) -> None:
    """The focus is there, and does not go away again."""
    await page.wait_for_function(
        "selector => document.activeElement?.closest(selector) && document.activeElement !== document.body",
        arg=selector,
    )


async def with_dispute(front: Front, name: str, *, by_staff: bool = False) -> str:
    order = await front.order(customer=f"c-{name}", seller=f"s-{name}")
    token = front.parley.admin() if by_staff else front.parley.customer(f"c-{name}", "Ada Byron")
    status, _ = await front.ask("POST", f"/v1/orders/{order}/dispute", token, {"reason": "damaged", "text": "Broken."})
    assert status == 201
    return order


async def test_to_ask_comes_before_a_dispute(front: Front) -> None:
    order = await front.order(customer="c-ask", seller="s-ask")
    page = (await front.visit(front.parley.customer("c-ask"), f"orders/{order}")).page
    await page.get_by_role("button", name="Report a problem").click()
    first = page.get_by_role("dialog", name="Report a problem")
    await expect(first).to_contain_text("Ask Tea House first? Most problems are solved by a message here.")
    await expect(first).to_contain_text("It stays open until you or the staff close it.")
    await first.get_by_role("button", name="Ask Tea House").click()
    await expect(page.get_by_label("Your message")).to_be_focused()

    await page.get_by_role("button", name="Report a problem").click()
    await first.get_by_role("button", name="Open a dispute").click()
    form = page.get_by_role("dialog", name="Open a dispute")
    await expect(form).to_contain_text("What happens next: the other side is told at once")


async def test_staff_open_a_dispute_without_being_asked_to_ask(front: Front) -> None:
    order = await front.order(customer="c-staff-opens", seller="s-staff-opens")
    page = (await front.visit(front.parley.admin(), f"desk/{order}")).page
    await page.get_by_role("button", name="Report a problem").click()
    await expect(page.get_by_role("dialog", name="Open a dispute")).to_be_visible()


async def test_no_reason_is_chosen_before_and_none_is_said_where_it_is_missing(front: Front) -> None:
    order = await front.order(customer="c-choose", seller="s-choose")
    page = (await front.visit(front.parley.customer("c-choose"), f"orders/{order}")).page
    await page.get_by_role("button", name="Report a problem").click()
    await page.get_by_role("button", name="Open a dispute").click()
    form = page.get_by_role("dialog", name="Open a dispute")
    await expect(form.get_by_role("radio", checked=True)).to_have_count(0)
    await form.get_by_label("What happened?").fill("It rattles.")
    await page.keyboard.press("Control+Enter")
    await expect(form.get_by_text("Please choose one.")).to_be_visible()
    await expect(form.get_by_label("Not received")).to_be_focused()
    await form.get_by_label("Damaged").check()
    await expect(form.get_by_text("Please choose one.")).to_have_count(0)
    await form.get_by_label("What happened?").focus()
    await page.keyboard.press("Control+Enter")
    await expect(page.locator(".step.dispute_opened")).to_contain_text("Damaged")


async def test_the_focus_is_never_lost_to_a_step_of_a_dispute(front: Front) -> None:
    order = await front.order(customer="c-lost", seller="s-lost")
    page = (await front.visit(front.parley.customer("c-lost"), f"orders/{order}")).page
    await page.get_by_role("button", name="Report a problem").click()
    await page.get_by_role("button", name="Open a dispute").click()
    form = page.get_by_role("dialog", name="Open a dispute")
    await form.get_by_label("Damaged").check()
    await form.get_by_label("What happened?").fill("It rattles.")
    await form.get_by_role("button", name="Open dispute").click()
    await expect(page.locator(".step.dispute_opened:not(.pending)")).to_have_count(1)
    await focused_is_in(page, ".conversation-head")

    await page.get_by_role("button", name="Close dispute").click()
    form = page.get_by_role("dialog", name="Close the dispute")
    await form.get_by_label("It is solved").check()
    await form.get_by_role("button", name="Close dispute").click()
    await expect(page.locator(".step.dispute_closed:not(.pending)")).to_have_count(1)
    await focused_is_in(page, ".conversation-head")
    assert await page.evaluate("document.activeElement !== document.body")


async def test_the_focus_stays_in_the_history_when_a_text_was_removed(front: Front) -> None:
    order = await front.order(customer="c-removed", seller="s-removed")
    await front.post(front.parley.customer("c-removed"), order, "4929 1234 5678 9010")
    page = (await front.visit(front.parley.admin(), f"desk/{order}")).page
    await page.get_by_role("button", name="Remove text").click()
    await page.keyboard.press("Control+Enter")
    await expect(page.locator(".bubble.redacted")).to_have_count(1)
    await focused_is_in(page, ".history")


async def test_the_focus_goes_to_the_title_when_somebody_else_closes_the_dispute(front: Front) -> None:
    order = await with_dispute(front, "elsewhere")
    page = (await front.visit(front.parley.customer("c-elsewhere"), f"orders/{order}")).page
    await page.get_by_role("button", name="Close dispute").focus()
    closing = {"outcome": "refunded", "note": ""}
    await front.ask("POST", f"/v1/orders/{order}/dispute/close", front.parley.admin(), closing, Prefer="wait=30")
    await expect(page.locator(".banner.dispute")).to_have_count(0)
    await focused_is_in(page, ".conversation-head")


CUSTOMERS = ["It is solved", "I got a replacement", "I got my money back"]
STAFFS = ["Resolved", "Refunded", "Replaced", "Rejected"]


@pytest.mark.parametrize(
    ("by_staff", "of_customer", "of_staff"),
    [(False, [*CUSTOMERS, "I take it back"], STAFFS), (True, CUSTOMERS, [*STAFFS, "Withdrawn"])],
    ids=["customers", "staffs"],
)
async def test_each_side_closes_with_what_it_can_truly_say(
    front: Front, by_staff: bool, of_customer: list[str], of_staff: list[str]
) -> None:
    name = f"truth-{by_staff}"
    order = await with_dispute(front, name, by_staff=by_staff)
    seen = {}
    for who, token, path in (
        ("customer", front.parley.customer(f"c-{name}"), "orders"),
        ("staff", front.parley.admin(), "desk"),
    ):
        page = (await front.visit(token, f"{path}/{order}")).page
        await page.get_by_role("button", name="Close dispute").click()
        dialog = page.get_by_role("dialog", name="Close the dispute")
        await expect(dialog.get_by_role("radio", checked=True)).to_have_count(0)
        seen[who] = await dialog.locator(".option").all_inner_texts()
    assert seen == {"customer": of_customer, "staff": of_staff}


async def test_a_customer_cannot_reject_through_the_api_and_the_shop_can(front: Front) -> None:
    order = await with_dispute(front, "reject")
    path, closing = f"/v1/orders/{order}/dispute/close", {"outcome": "rejected", "note": ""}
    status, problem = await front.ask("POST", path, front.parley.customer("c-reject"), closing, Prefer="wait=30")
    assert (status, problem["type"]) == (403, "urn:parley:problem:not_allowed")
    assert "close a dispute as rejected, but as resolved, refunded, replaced or withdrawn" in problem["detail"]
    status, dispute = await front.ask("POST", path, front.parley.admin(), closing, Prefer="wait=30")
    assert (status, dispute["outcome"]) == (200, "rejected")


async def test_the_seller_is_told_what_they_can_do_and_is_a_click_from_it(front: Front) -> None:
    order = await with_dispute(front, "seller-does")
    page = (await front.visit(front.parley.seller("s-seller-does"), f"desk/{order}")).page
    banner = page.locator(".banner.dispute")
    await expect(banner).to_contain_text("Answer here what you will do about it")
    await expect(banner).to_contain_text("The customer or the shop closes it.")
    await banner.get_by_role("button", name="Answer").click()
    await expect(page.get_by_label("Your message")).to_be_focused()


@pytest.mark.parametrize("scheme", ["light", "dark"])
async def test_the_dialogs_of_a_dispute_are_accessible(front: Front, scheme: Scheme) -> None:
    order = await front.order(customer=f"c-axe-d-{scheme}", seller="s-axe-d")
    options: dict[str, Any] = {"color_scheme": scheme, "bypass_csp": True}
    page = (await front.visit(front.parley.customer(f"c-axe-d-{scheme}"), f"orders/{order}", **options)).page
    await page.get_by_role("button", name="Report a problem").click()
    await assert_accessible(page)
    await page.get_by_role("button", name="Open a dispute").click()
    await expect(page.get_by_label("Not received")).to_be_focused()
    await page.keyboard.press("Control+Enter")
    await expect(page.get_by_text("Please choose one.")).to_be_visible()
    await assert_accessible(page)
