"""The desk's queue with as many conversations as a shop has: every row can be reached, stays under the pointer, and says where one is."""

from typing import Any

import pytest
from playwright.async_api import Page, expect

from tests.browser.front import PHONE, Front

SIZES = [(360, 740), (768, 1024), (1280, 800), (1440, 900), (3840, 2160)]
ROWS = ".thread-row > a"
PAGE_OF_ROWS = 20
# Of a row at the edge a fraction of a pixel may be cut.
WHOLE = 0.98


async def desk_of_staff(front: Front, path: str = "desk", **options: Any) -> Page:
    page = (await front.visit(front.parley.admin(), path, **options)).page
    await expect(page.locator(ROWS)).not_to_have_count(0)
    return page


async def more(page: Page) -> None:
    """Asks for the second page of rows; whoever has just come has the first one."""
    await expect(page.locator(ROWS)).to_have_count(PAGE_OF_ROWS)
    await page.get_by_role("button", name="Show more").click()
    await expect(page.locator(ROWS)).to_have_count(2 * PAGE_OF_ROWS)


@pytest.mark.parametrize(("width", "height"), SIZES)
async def test_the_wheel_reaches_the_thirtieth_row_at_every_size(seeded: Front, width: int, height: int) -> None:
    page = await desk_of_staff(seeded, viewport={"width": width, "height": height})
    await more(page)
    await page.locator(".queue .list").hover(position={"x": 100, "y": 60})
    row = page.locator(ROWS).nth(29)
    for _ in range(40):
        await page.mouse.wheel(0, 400)
    await expect(page.locator(ROWS).last).to_be_in_viewport(ratio=WHOLE)
    await row.scroll_into_view_if_needed()
    await expect(row).to_be_in_viewport(ratio=WHOLE)
    assert await page.evaluate("document.scrollingElement.scrollTop") == 0


async def test_a_finger_reaches_the_last_row_and_show_more_shows_more(seeded: Front) -> None:
    page = await desk_of_staff(seeded, viewport=PHONE, has_touch=True, is_mobile=True)
    touch = await page.context.new_cdp_session(page)

    async def swipe_up() -> None:
        """A finger that goes up the window, ten times."""
        for _ in range(10):
            await touch.send("Input.dispatchTouchEvent", {"type": "touchStart", "touchPoints": [{"x": 180, "y": 680}]})
            for y in range(660, 240, -20):
                await touch.send("Input.dispatchTouchEvent", {"type": "touchMove", "touchPoints": [{"x": 180, "y": y}]})
            await touch.send("Input.dispatchTouchEvent", {"type": "touchEnd", "touchPoints": []})

    await swipe_up()
    button = page.get_by_role("button", name="Show more")
    await expect(button).to_be_in_viewport(ratio=WHOLE)
    await button.tap()
    await expect(page.locator(ROWS)).to_have_count(2 * PAGE_OF_ROWS)
    await expect(page.locator(ROWS).nth(PAGE_OF_ROWS)).to_be_in_viewport()
    await swipe_up()
    await expect(page.locator(ROWS).last).to_be_in_viewport(ratio=WHOLE)


async def test_the_arrow_keys_end_and_home_reach_every_row(seeded: Front) -> None:
    page = await desk_of_staff(seeded)
    await expect(page.locator(ROWS)).to_have_count(PAGE_OF_ROWS)
    rows = page.locator(ROWS)
    await rows.first.focus()
    for _ in range(PAGE_OF_ROWS):
        await page.keyboard.press("ArrowDown")
    await expect(page.get_by_role("button", name="Show more")).to_be_focused()
    await page.keyboard.press("Enter")
    await expect(rows).to_have_count(2 * PAGE_OF_ROWS)
    await expect(rows.nth(PAGE_OF_ROWS)).to_be_focused()
    for _ in range(9):
        await page.keyboard.press("ArrowDown")
    await expect(rows.nth(29)).to_be_focused()
    await expect(rows.nth(29)).to_be_in_viewport(ratio=WHOLE)
    await page.keyboard.press("End")
    await expect(rows.last).to_be_focused()
    await expect(rows.last).to_be_in_viewport(ratio=WHOLE)
    await page.keyboard.press("Home")
    await expect(rows.first).to_be_focused()
    await expect(rows.first).to_be_in_viewport(ratio=WHOLE)


@pytest.mark.parametrize("order", ["2005", "2027", "2040"])
async def test_a_link_to_a_conversation_marks_it_in_the_queue_and_brings_it_into_view(
    seeded: Front, order: str
) -> None:
    page = await desk_of_staff(seeded, f"desk/{order}")
    await expect(page.locator(".thread-row.open")).to_have_count(1)
    await expect(page.locator(f'.thread-row.open > a[data-focus="{order}"]')).to_be_in_viewport(ratio=WHOLE)
    assert await page.locator('.thread-row > a[aria-current="true"]').get_attribute("data-focus") == order


async def test_a_conversation_that_no_page_of_the_list_has_stands_first_in_it(front: Front) -> None:
    old = await front.order(customer="c-pin", seller="s-pin")
    await front.post(front.parley.customer("c-pin"), old, "A while ago.")
    seller = front.parley.seller("s-pin")
    await front.ask("PUT", f"/v1/orders/{old}/read", seller, {"up_to_seq": 1})
    new = await front.order(customer="c-pin-2", seller="s-pin")
    await front.post(front.parley.customer("c-pin-2"), new, "Just now.")

    page = (await front.visit(seller, f"desk/{old}?filter=unread")).page
    await expect(page.locator(ROWS)).to_have_count(2)
    await expect(page.locator(".thread-row").first).to_have_class("thread-row  open")


async def test_back_on_a_phone_is_above_the_conversation_and_leads_to_where_one_was(seeded: Front) -> None:
    page = await desk_of_staff(seeded, viewport=PHONE, has_touch=True, is_mobile=True)
    await more(page)
    row = page.locator(ROWS).nth(29)
    await row.scroll_into_view_if_needed()
    order = await row.get_attribute("data-focus")
    await row.tap()
    await expect(page.locator(".bubble").first).to_be_visible()
    back = page.get_by_role("link", name="Conversations")
    await expect(back).to_be_in_viewport(ratio=WHOLE)
    [box, history] = await page.evaluate(
        "names => names.map((name) => document.querySelector(name).getBoundingClientRect().toJSON())",
        [".conversation-head .back", ".history"],
    )
    assert box["y"] + box["height"] <= history["y"]
    assert box["x"] <= 16
    await back.tap()
    await expect(page.locator(f'{ROWS}[data-focus="{order}"]')).to_be_in_viewport(ratio=WHOLE)


async def furnish(front: Front, seller: str, *, rows: int) -> list[str]:
    """As many conversations of one seller; returns their orders, as they stand in the queue."""
    orders = []
    for number in range(rows):
        customer = f"c-{seller}-{number}"
        orders.append(await front.order(customer=customer, seller=seller, customer_name=f"Customer {number}"))
        await front.post(front.parley.customer(customer), orders[-1], f"Question {number}")
    return orders[::-1]


async def orders_shown(page: Page) -> list[str]:
    shown: list[str] = await page.locator(ROWS).evaluate_all("rows => rows.map((each) => each.dataset.focus)")
    return shown


async def test_rows_stay_under_the_pointer_and_a_button_brings_what_is_new(front: Front) -> None:
    orders = await furnish(front, "s-still", rows=4)
    page = (await front.visit(front.parley.seller("s-still"))).page
    await expect(page.locator(ROWS)).to_have_count(4)
    await page.locator(ROWS).nth(1).hover()

    await front.post(front.parley.customer("c-s-still-0"), orders[3], "And another thing")
    await expect(page.locator(ROWS).nth(3)).to_contain_text("And another thing")
    assert await orders_shown(page) == orders
    bring = page.get_by_role("status").get_by_role("button", name="1 new")
    await bring.click()
    await expect(page.locator(ROWS).first).to_contain_text("And another thing")
    assert await orders_shown(page) == [orders[3], *orders[:3]]
    await expect(bring).to_have_count(0)
    await expect(page.locator(ROWS).first).to_be_focused()
    await expect(page.locator(".thread-row.open")).to_have_count(0)


async def test_rows_stay_while_the_focus_is_in_them_and_move_when_it_leaves(front: Front) -> None:
    orders = await furnish(front, "s-focus", rows=3)
    page = (await front.visit(front.parley.seller("s-focus"))).page
    await expect(page.locator(ROWS)).to_have_count(3)
    await page.locator(ROWS).first.focus()
    await front.post(front.parley.customer("c-s-focus-0"), orders[2], "Me first")
    await expect(page.get_by_role("button", name="1 new")).to_be_visible()
    await page.keyboard.press("ArrowDown")
    await expect(page.locator(ROWS).nth(1)).to_be_focused()
    assert await orders_shown(page) == orders

    await page.get_by_role("searchbox").focus()
    await expect(page.locator(ROWS).first).to_contain_text("Me first")
    await expect(page.get_by_role("button", name="1 new")).to_have_count(0)


async def test_rows_move_at_once_where_nobody_points_at_them(front: Front) -> None:
    orders = await furnish(front, "s-free", rows=3)
    page = (await front.visit(front.parley.seller("s-free"))).page
    await expect(page.locator(ROWS)).to_have_count(3)
    await front.post(front.parley.customer("c-s-free-0"), orders[2], "Me first")
    await expect(page.locator(ROWS).first).to_contain_text("Me first")


async def test_a_row_is_three_lines_high_and_the_desk_has_one_main_heading(seeded: Front) -> None:
    seller = seeded.parley.seller("s-1", login="ben", name="Ben Brook")
    page = (await seeded.visit(seller, "desk/2001", viewport={"width": 1440, "height": 900})).page
    await expect(page.locator(".thread-row.open")).to_be_visible()
    heights: list[float] = await page.locator(".thread-row").evaluate_all(
        "rows => rows.map((each) => each.getBoundingClientRect().height)"
    )
    assert max(heights) <= 92
    assert await page.locator("h1").count() == 1


async def test_the_head_of_the_pages_stands_over_the_desk_on_a_very_wide_window(seeded: Front) -> None:
    page = await desk_of_staff(seeded, "desk/2001", viewport={"width": 3840, "height": 2160})
    edges = """names => names.map((name) => document.querySelector(name).getBoundingClientRect())
      .map(({ left, right }) => [Math.round(left), Math.round(right)])"""
    [brand, queue, tools, order] = await page.evaluate(edges, [".brand", ".queue", ".top-end", ".pane > aside"])
    assert abs(brand[0] - queue[0]) <= 1
    assert abs(tools[1] - order[1]) <= 1
