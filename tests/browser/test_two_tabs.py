"""Two tabs of one person: no message is lost, no draft destroyed or sent twice, and what was removed is gone in both."""

import asyncio
import json
from typing import Any

import pytest
from playwright.async_api import Page, Route, expect

from tests.browser.front import Front, Visit
from tests.browser.held_back import HoldingProxy
from tests.browser.shop_site import ShopSite
from tests.servers.waiting import eventually
from tests.tabs.sending import Scenario, run

SHORT = (
    Scenario("two tabs, the same instant", 40),
    Scenario("three tabs and the widget, at random, failing posts", 40, tabs=3, widget=True, apart_ms=None, network="failing"),
    Scenario("two tabs, slow posts, one reloaded at once", 40, apart_ms=None, network="slow", leaving="reload"),
)  # fmt: skip


@pytest.mark.parametrize("scenario", SHORT, ids=lambda scenario: scenario.name)
async def test_what_several_tabs_send_at_once_is_stored_once_in_each_tabs_order(
    front: Front, shop_site: ShopSite, scenario: Scenario
) -> None:
    outcome = await run(front, shop_site, scenario, seed=7)
    assert outcome.total == scenario.messages
    assert (outcome.lost, outcome.doubled, outcome.out_of_order, outcome.in_boxes) == ([], [], [], [])


def box(page: Page) -> Any:
    return page.get_by_label("Your message")


async def open_tab(front: Front, visit: Visit, token: str, path: str) -> Page:
    """Another tab of the same browser, signed in, at this page."""
    page = await visit.context.new_page()
    await page.goto(front.address(f"login#token={token}"))
    await page.wait_for_url(lambda url: "/login" not in url)
    await page.goto(front.address(path))
    return page


async def two_tabs(front: Front, name: str) -> tuple[Page, Page, str, str]:
    order = await front.order(customer=f"c-{name}", seller=f"s-{name}")
    token = front.parley.customer(f"c-{name}")
    visit = await front.visit(token, f"orders/{order}")
    await expect(box(visit.page)).to_be_visible()
    second = await open_tab(front, visit, token, f"orders/{order}")
    await expect(box(second)).to_be_visible()
    return visit.page, second, token, order


async def texts(front: Front, token: str, order: str) -> list[str]:
    return [message["text"] for message in await front.history(token, order)]


async def test_a_draft_is_shown_in_another_tab_and_goes_there_when_it_is_sent(front: Front) -> None:
    first, second, token, order = await two_tabs(front, "draft-sent")
    await box(first).fill("My draft text")
    await expect(box(second)).to_have_value("My draft text")

    await box(first).press("Control+Enter")
    await expect(second.locator(".bubble")).to_have_text("My draft text")
    await expect(box(second)).to_have_value("")
    await box(second).press("Control+Enter")
    await expect(second.get_by_text("Please write something first.")).to_be_visible()
    assert await texts(front, token, order) == ["My draft text"]


async def test_a_draft_that_is_sent_in_the_tab_that_only_showed_it_goes_in_the_one_it_was_written_in(
    front: Front,
) -> None:
    first, second, token, order = await two_tabs(front, "draft-shown")
    await box(first).fill("Written in the first")
    await expect(box(second)).to_have_value("Written in the first")

    await box(second).press("Control+Enter")
    await expect(first.locator(".state.stored")).to_have_count(1)
    await expect(box(first)).to_have_value("")
    await first.reload()
    await expect(first.locator(".bubble")).to_have_text("Written in the first")
    await expect(box(first)).to_have_value("")
    assert await texts(front, token, order) == ["Written in the first"]


async def test_another_tabs_typing_sending_and_closing_leave_a_tabs_own_text_alone(front: Front) -> None:
    first, second, token, order = await two_tabs(front, "draft-own")
    await box(first).fill("draft of tab one, long work")
    await expect(box(second)).to_have_value("draft of tab one, long work")
    await box(second).fill("x")
    await box(second).fill("")
    await first.reload()
    await expect(box(first)).to_have_value("draft of tab one, long work")

    await box(second).fill("of tab two")
    await box(second).press("Control+Enter")
    await expect(first.locator(".bubble")).to_have_text("of tab two")
    await expect(box(first)).to_have_value("draft of tab one, long work")
    await box(second).fill("not sent by tab two")
    await first.reload()
    await second.reload()
    await expect(box(first)).to_have_value("draft of tab one, long work")
    await expect(box(second)).to_have_value("not sent by tab two")
    await second.close()
    await expect(box(first)).to_have_value("draft of tab one, long work")
    assert await texts(front, token, order) == ["of tab two"]


async def test_the_draft_of_a_closed_tab_goes_on_in_the_next_and_does_not_come_back_when_it_was_changed_and_sent(
    front: Front,
) -> None:
    first, second, _, _ = await two_tabs(front, "draft-left")
    await box(first).fill("half a sentence")
    await expect(box(second)).to_have_value("half a sentence")
    await first.close()
    await eventually(lambda: _is_alone(second), what="the closed tab's end")

    await box(second).fill("half a sentence, and the rest")
    await box(second).press("Control+Enter")
    await expect(second.locator(".state.stored")).to_have_count(1)
    await second.reload()
    await expect(second.locator(".bubble")).to_have_text("half a sentence, and the rest")
    await expect(box(second)).to_have_value("")


async def _is_alone(page: Page) -> bool:
    held = (
        "navigator.locks.query().then(({ held }) => held.filter((each) => each.name.startsWith('parley:tab:')).length)"
    )
    return bool(await page.evaluate(held) == 1)


async def test_a_duplicated_tab_is_a_tab_of_its_own(front: Front) -> None:
    first, _, _, _ = await two_tabs(front, "draft-copy")
    await box(first).fill("of the first")
    async with first.expect_popup() as opening:
        await first.evaluate("void open(location.href)")
    copy = await opening.value
    await expect(box(copy)).to_have_value("of the first")

    await box(copy).fill("of the copy")
    await first.reload()
    await copy.reload()
    await expect(box(first)).to_have_value("of the first")
    await expect(box(copy)).to_have_value("of the copy")


async def test_what_earlier_pages_kept_is_taken_over_once(front: Front) -> None:
    order = await front.order(customer="c-before", seller="s-before")
    token = front.parley.customer("c-before")
    visit = await front.visit(token)
    items = [
        {
            "key": f"{number:032x}",
            "kind": "post",
            "path": f"/v1/orders/{order}/messages",
            "body": {"text": f"unsent {number}"},
            "seen": 0,
            "state": "waiting",
            "at": "2026-11-28T10:00:00Z",
        }
        for number in range(3)
    ]
    kept = {f"outbox:{order}": {"items": items, "last": None}, f"draft:{order}": "an old draft"}
    await visit.page.evaluate(
        "(kept) => { for (const [name, value] of Object.entries(kept))"
        " localStorage.setItem(`parley:customer:c-before:${name}`, JSON.stringify(value)); }",
        kept,
    )
    await visit.page.goto(front.address(f"orders/{order}"))
    await expect(box(visit.page)).to_have_value("an old draft")
    await expect(visit.page.locator(".state.stored")).to_have_count(3)
    left = await visit.page.evaluate("Object.keys(localStorage).filter((key) => key.startsWith('parley:customer'))")
    assert left == []
    assert await texts(front, token, order) == ["unsent 0", "unsent 1", "unsent 2"]


async def redact(front: Front, order: str, message_id: str) -> None:
    status, _ = await front.ask(
        "POST", f"/v1/orders/{order}/messages/{message_id}/redact", front.parley.admin(), {"reason": "a card number"}
    )
    assert status == 200


async def test_a_text_that_is_removed_before_the_first_live_event_is_gone_when_events_come(front: Front) -> None:
    order = await front.order(customer="c-gap", seller="s-gap")
    token = front.parley.customer("c-gap")
    message = await front.post(front.parley.seller("s-gap"), order, "gapsecret")
    listening = (await front.visit(front.parley.admin(), f"desk/{order}")).page
    await expect(listening.locator(".top .connection")).to_have_text("Connected")
    visit = await front.visit(token)
    held: list[Route] = []
    is_removed = asyncio.Event()

    async def hold(route: Route) -> None:
        held.append(route)
        await is_removed.wait()
        await route.continue_()

    await visit.context.route("**/v1/events", hold)
    page = visit.page
    await page.goto(front.address(f"orders/{order}"))
    await expect(page.locator(".bubble")).to_have_text("gapsecret")
    await eventually(lambda: held, what="the live connection")

    await redact(front, order, message["id"])
    await expect(listening.locator(".bubble")).to_have_text("This text was removed by the shop.")
    is_removed.set()
    await expect(page.locator(".top .connection")).to_have_text("Connected")
    await expect(page.locator(".bubble")).to_have_text("This text was removed by the shop.")


async def test_a_text_that_is_removed_while_no_events_come_goes_in_rows_beyond_the_first_page_too(front: Front) -> None:
    seller_id = f"s-rows-{front.new_number()}"
    first, *others = [front.snapshot(customer="c-rows", seller=seller_id) for _ in range(25)]
    await front.publish([first, *others])
    message = await front.post(front.parley.customer("c-rows"), first["order_id"], "rowsecret")
    for each in others:
        await front.post(front.parley.customer("c-rows"), each["order_id"], "harmless")
    listening = (await front.visit(front.parley.admin(), f"desk/{first['order_id']}")).page
    await expect(listening.locator(".top .connection")).to_have_text("Connected")
    visit = await front.visit(front.parley.seller(seller_id), "desk")
    page = visit.page
    is_removed = asyncio.Event()

    async def hold(route: Route) -> None:
        await is_removed.wait()
        await route.continue_()

    await page.route("**/v1/events", hold)
    await page.reload()
    await page.get_by_role("button", name="Show more").click()
    await expect(page.locator(".thread-row")).to_have_count(25)
    await expect(page.locator(".thread-row-excerpt").last).to_contain_text("rowsecret")

    await redact(front, first["order_id"], message["id"])
    await expect(listening.locator(".bubble")).to_have_text("This text was removed by the shop.")
    is_removed.set()
    await expect(page.locator(".top .connection")).to_have_text("Connected")
    await expect(page.get_by_text("rowsecret")).to_have_count(0)
    await expect(page.locator(".thread-row")).to_have_count(25)


async def test_an_answer_that_is_older_than_a_removal_does_not_bring_the_text_back(front: Front) -> None:
    order = await front.order(customer="c-stale", seller="s-stale")
    token = front.parley.customer("c-stale")
    message = await front.post(front.parley.seller("s-stale"), order, "stalesecret")
    visit = await front.visit(token)
    page = visit.page
    await expect(page.locator(".top .connection")).to_have_text("Connected")
    held: list[Route] = []
    is_heard = asyncio.Event()

    async def hold(route: Route) -> None:
        answer = await route.fetch()
        held.append(route)
        await is_heard.wait()
        await route.fulfill(response=answer)

    await visit.context.route("**/messages?*", hold)
    await (
        page.get_by_role("link", name="Contact seller")
        .or_(page.get_by_role("link", name="1 new message"))
        .first.click()
    )
    await eventually(lambda: held, what="the history's first answer")
    await redact(front, order, message["id"])
    await expect(page.locator(".top .connection")).to_have_text("Connected")
    await eventually(lambda: _heard(page), what="the removal's event")
    is_heard.set()
    await expect(page.locator(".bubble")).to_have_text("This text was removed by the shop.")


async def _heard(page: Page) -> bool:
    """The badge is asked for again after each event."""
    return bool(
        await page.evaluate(
            "performance.getEntriesByType('resource').filter((each) => each.name.endsWith('/v1/me')).length >= 2"
        )
    )


async def test_behind_a_proxy_that_holds_live_events_back_the_page_polls_and_says_so_and_goes_back(
    front: Front,
) -> None:
    order = await front.order(customer="c-proxy", seller="s-proxy")
    token, seller = front.parley.customer("c-proxy"), front.parley.seller("s-proxy")
    async with HoldingProxy(front.parley.gateway_url) as proxy:
        visit = await front.visit()
        page = visit.page
        await page.clock.install()
        await page.goto(f"{proxy.origin}/pages/login#token={token}")
        await page.wait_for_url(lambda url: "/login" not in url)
        await page.goto(f"{proxy.origin}/pages/orders/{order}")
        await expect(box(page)).to_be_visible()
        await page.clock.fast_forward(10_000)
        await expect(page.locator(".subtitle .connection")).to_have_text("Updates every 10 s")
        await box(page).fill("goes through")
        await box(page).press("Control+Enter")
        await expect(page.locator(".state.stored")).to_have_count(1)

        message = await front.post(seller, order, "is seen all the same")
        await page.clock.fast_forward(10_000)
        await expect(page.locator(".other-side .bubble")).to_have_text("is seen all the same")
        await redact(front, order, message["id"])
        await page.clock.fast_forward(10_000)
        await expect(page.locator(".other-side .bubble")).to_have_text("This text was removed by the shop.")
        await expect(page.get_by_text("No connection")).to_have_count(0)

        proxy.holds = False
        await page.clock.fast_forward(60_000)
        await expect(page.locator(".top .connection")).to_have_text("Connected", timeout=20_000)
        await front.post(seller, order, "live again")
        await expect(page.locator(".other-side .bubble").last).to_have_text("live again")


async def test_mark_unread_of_selected_rows_takes_the_newest_entry_of_the_others(front: Front) -> None:
    seller_id = f"s-unread-{front.new_number()}"
    order = await front.order(customer="c-unread", seller=seller_id)
    seller = front.parley.seller(seller_id)
    await front.post(front.parley.customer("c-unread"), order, "a question")
    await front.post(seller, order, "an answer")
    await front.ask("PUT", f"/v1/orders/{order}/read", seller, {"up_to_seq": 2})
    page = (await front.visit(seller)).page

    await page.get_by_label(f"Select order {order}").check()
    await page.get_by_role("button", name="Mark unread").click()
    await expect(page.locator(".thread-row .badge")).to_have_text("1 new")
    _, thread = await front.ask("GET", f"/v1/orders/{order}", seller)
    assert thread["thread"]["unread"] == 1


async def test_the_outbox_says_that_the_sign_in_has_ended_and_not_that_there_is_no_connection(front: Front) -> None:
    order = await front.order(customer="c-ended", seller="s-ended")
    page = (await front.visit(front.parley.customer("c-ended"), f"orders/{order}")).page
    await expect(box(page)).to_be_visible()

    async def refuse(route: Route) -> None:
        said = {"type": "urn:parley:problem:unauthenticated", "title": "", "status": 401, "detail": "expired"}
        if route.request.method != "POST":
            return await route.continue_()
        return await route.fulfill(status=401, content_type="application/problem+json", body=json.dumps(said))

    await page.route("**/v1/orders/*/messages", refuse)
    await box(page).fill("after the end")
    await box(page).press("Control+Enter")
    await expect(page.get_by_text("Your sign-in has ended.")).to_be_visible()
    await expect(page.get_by_text("No connection")).to_have_count(0)
    await page.unroute_all()
    await page.get_by_role("button", name="Try now").click()
    await expect(page.locator(".state.stored")).to_have_count(1)


async def test_a_tab_whose_sign_in_has_ended_does_not_sign_the_others_out(front: Front) -> None:
    order = await front.order(customer="c-one-out", seller="s-one-out")
    token = front.parley.customer("c-one-out")
    visit = await front.visit(token)
    first = visit.page
    asked: list[Route] = []

    async def hold(route: Route) -> None:
        asked.append(route)

    await first.route("**/v1/events", hold)
    await first.goto(front.address(f"orders/{order}"))
    await eventually(lambda: asked, what="the first tab's live connection")
    second = await open_tab(front, visit, token, f"orders/{order}")
    await expect(second.locator(".top .connection")).to_have_text("Connecting…")

    said = {"type": "urn:parley:problem:unauthenticated", "title": "", "status": 401, "detail": "expired"}
    await asked[-1].fulfill(status=401, content_type="application/problem+json", body=json.dumps(said))
    await expect(second.locator(".top .connection")).to_have_text("Connected", timeout=20_000)
    await expect(box(second)).to_be_visible()
    await expect(box(first)).to_have_count(0)


async def test_a_tab_that_is_suspended_while_it_sends_holds_up_no_other(front: Front) -> None:
    order = await front.order(customer="c-suspended", seller="s-suspended")
    token = front.parley.customer("c-suspended")
    visit = await front.visit(token, f"orders/{order}")
    first = visit.page
    await expect(box(first)).to_be_visible()
    asked: list[Route] = []

    async def hold(route: Route) -> None:
        if route.request.method == "POST":
            asked.append(route)
        else:
            await route.continue_()

    await first.route("**/v1/orders/*/messages", hold)
    await box(first).fill("of the one that sleeps")
    await box(first).press("Control+Enter")
    await eventually(lambda: asked, what="the first tab's try")
    session = await visit.context.new_cdp_session(first)
    await session.send("Page.setWebLifecycleState", {"state": "frozen"})

    second = await visit.context.new_page()
    await second.clock.install()
    await second.goto(front.address(f"login#token={token}"))
    await second.wait_for_url(lambda url: "/login" not in url)
    await second.goto(front.address(f"orders/{order}"))
    await box(second).fill("of the one that is awake")
    await box(second).press("Control+Enter")
    await expect(second.locator(".pending")).to_have_count(2)
    await second.clock.fast_forward(60_000)
    await expect(second.locator(".pending")).to_have_count(0)
    assert await texts(front, token, order) == ["of the one that sleeps", "of the one that is awake"]
    await session.send("Page.setWebLifecycleState", {"state": "active"})
    await first.unroute_all(behavior="ignoreErrors")
    await expect(first.locator(".pending")).to_have_count(0, timeout=40_000)
    assert await texts(front, token, order) == ["of the one that sleeps", "of the one that is awake"]


BLOCK = """(name) => new Promise((resolve) => {
  indexedDB.open(name).onsuccess = ({ target }) => {
    const items = target.result.transaction(["items", "lasts", "drafts"], "readwrite").objectStore("items");
    const goOn = () => (items.count().onsuccess = () => (resolve(), globalThis.isFree || goOn()));
    goOn();
  };
})"""
"""Another tab's transaction, that goes on until it is told to end."""


async def test_a_message_whose_page_is_left_before_the_database_has_it_is_sent_by_the_next_page(front: Front) -> None:
    order = await front.order(customer="c-leaves", seller="s-leaves")
    token = front.parley.customer("c-leaves")
    visit = await front.visit(token, f"orders/{order}")
    page = visit.page
    await expect(box(page)).to_be_visible()
    other = await open_tab(front, visit, token, "orders")
    await expect(other.locator(".order-row")).to_have_count(1)
    await other.evaluate(BLOCK, "parley:customer:c-leaves")

    await box(page).fill("on the way out")
    await page.evaluate(
        "document.querySelector('form.write').requestSubmit(); globalThis.isLeft = true; location.reload()"
    )
    await page.wait_for_function("!globalThis.isLeft")
    await other.evaluate("globalThis.isFree = true")
    await expect(page.locator(".state.stored")).to_have_count(1, timeout=20_000)
    await expect(box(page)).to_have_value("")
    assert await texts(front, token, order) == ["on the way out"]
    assert await page.evaluate("Object.keys(localStorage).filter((key) => key.includes(':adding:'))") == []
