"""What a failing network or a server that is away does to what people write: nothing is lost, and nothing is there twice."""

import asyncio
import json
from pathlib import Path

from playwright.async_api import Page, Route, expect

from tests.browser.front import Front
from tests.servers.waiting import eventually


async def write(page: Page, text: str) -> None:
    await page.get_by_label("Your message").fill(text)
    await page.keyboard.press("Control+Enter")


async def test_what_is_written_while_the_gateway_is_killed_is_sent_once_when_it_is_back(front: Front) -> None:
    order = await front.order(customer="c-kill", seller="s-kill")
    token = front.parley.customer("c-kill")
    page = (await front.visit(token, f"orders/{order}")).page
    await write(page, "first")
    await expect(page.locator(".state.stored")).to_have_count(1)

    gateway = front.parley.services["gateway"]
    gateway.kill()
    await expect(page.locator(".top .connection")).to_have_text("No connection")
    await write(page, "second")
    await write(page, "third")
    await expect(page.locator(".state.held")).to_have_count(2)
    await page.get_by_label("Your message").fill("a draft that is not sent")
    await expect(page.get_by_text("You can go on writing")).to_be_visible()

    gateway.start()
    await gateway.ready()
    await expect(page.locator(".state.stored")).to_have_count(3, timeout=40_000)
    await expect(page.locator(".top .connection")).to_have_text("Connected", timeout=40_000)
    await page.reload()
    await expect(page.locator(".bubble")).to_have_text(["first", "second", "third"])
    await expect(page.get_by_label("Your message")).to_have_value("a draft that is not sent")
    assert [message["text"] for message in await front.history(token, order)] == ["first", "second", "third"]


async def test_a_reload_while_nothing_answers_loses_nothing(front: Front) -> None:
    order = await front.order(customer="c-reload", seller="s-reload")
    token = front.parley.customer("c-reload")
    page = (await front.visit(token, f"orders/{order}")).page
    await expect(page.get_by_label("Your message")).to_be_visible()

    await page.route(
        "**/v1/orders/*/messages", lambda route: route.abort() if route.request.method == "POST" else route.continue_()
    )
    await write(page, "kept over the reload")
    await expect(page.locator(".state.held")).to_have_count(1)
    await page.reload()
    await expect(page.locator(".pending .bubble")).to_have_text("kept over the reload")
    await page.unroute_all()
    await page.get_by_role("button", name="Try now").click()
    await expect(page.locator(".state.stored")).to_have_count(1)
    assert [message["text"] for message in await front.history(token, order)] == ["kept over the reload"]


async def test_an_answer_that_is_lost_is_asked_for_again_under_the_same_key(front: Front) -> None:
    order = await front.order(customer="c-lost", seller="s-lost")
    token = front.parley.customer("c-lost")
    page = (await front.visit(token, f"orders/{order}")).page
    await expect(page.get_by_label("Your message")).to_be_visible()
    keys: list[str] = []

    async def lose_the_first_answer(route: Route) -> None:
        if route.request.method != "POST":
            return await route.continue_()
        keys.append(route.request.headers["idempotency-key"])
        answer = await route.fetch()
        return await (route.abort() if len(keys) == 1 else route.fulfill(response=answer))

    await page.route("**/v1/orders/*/messages", lose_the_first_answer)
    await write(page, "only once")
    await expect(page.locator(".state.stored")).to_have_count(1)
    await expect(page.locator(".pending")).to_have_count(0)
    await eventually(lambda: len(keys) >= 2, what="the second try")
    assert len(set(keys)) == 1
    assert [message["text"] for message in await front.history(token, order)] == ["only once"]
    # An event may say that it is stored before the second answer does.
    await page.unroute_all(behavior="wait")


async def test_what_is_accepted_while_threads_is_away_becomes_stored_when_it_is_back(front: Front) -> None:
    order = await front.order(customer="c-away", seller="s-away")
    token = front.parley.customer("c-away")
    page = (await front.visit(token, f"orders/{order}")).page
    await expect(page.get_by_label("Your message")).to_be_visible()

    threads = front.parley.services["threads"]
    threads.pause()
    try:
        await write(page, "one")
        await expect(page.locator(".state.accepted")).to_have_count(1, timeout=10_000)
        await write(page, "two")
        await expect(page.locator(".state.accepted")).to_have_count(2, timeout=10_000)
    finally:
        threads.resume()
    await expect(page.locator(".state.stored")).to_have_count(2, timeout=30_000)
    assert [message["text"] for message in await front.history(token, order)] == ["one", "two"]


async def test_a_refused_message_says_why_and_can_be_sent_again_or_put_back(front: Front) -> None:
    order = await front.order(customer="c-refuse", seller="s-refuse")
    token = front.parley.customer("c-refuse")
    page = (await front.visit(token, f"orders/{order}")).page
    await expect(page.get_by_label("Your message")).to_be_visible()

    async def refuse(route: Route) -> None:
        said = {
            "type": "urn:parley:problem:invalid_request",
            "title": "",
            "status": 422,
            "detail": "text: must be kinder",
        }
        if route.request.method != "POST":
            return await route.continue_()
        return await route.fulfill(status=422, content_type="application/problem+json", body=json.dumps(said))

    await page.route("**/v1/orders/*/messages", refuse)
    await write(page, "rude")
    await write(page, "ruder")
    await expect(page.locator(".state.refused")).to_have_count(2)
    await expect(page.locator(".refusal").first).to_contain_text("must be kinder")

    await page.unroute_all()
    await page.get_by_role("button", name="Try again").first.click()
    await expect(page.locator(".state.stored")).to_have_count(1)
    await page.get_by_role("button", name="Edit").click()
    await expect(page.get_by_label("Your message")).to_have_value("ruder")
    await expect(page.locator(".pending")).to_have_count(0)
    assert [message["text"] for message in await front.history(token, order)] == ["rude"]


async def test_a_text_that_is_too_long_is_not_sent(front: Front) -> None:
    order = await front.order(customer="c-long", seller="s-long")
    page = (await front.visit(front.parley.customer("c-long"), f"orders/{order}")).page

    box = page.get_by_label("Your message")
    await box.fill("😀" * 10_000)
    await expect(page.get_by_text("10,000 / 10,000")).to_be_visible()
    await box.press("End")
    await box.press_sequentially("é")
    await expect(page.get_by_text("1 character too many.")).to_be_visible()
    await page.keyboard.press("Control+Enter")
    await expect(page.locator(".pending")).to_have_count(0)
    await box.press("Backspace")
    await page.keyboard.press("Control+Enter")
    await expect(page.locator(".state.stored")).to_have_count(1)


async def test_two_tabs_share_one_live_connection_and_the_second_takes_over(front: Front) -> None:
    order = await front.order(customer="c-tabs", seller="s-tabs")
    token, seller = front.parley.customer("c-tabs"), front.parley.seller("s-tabs")
    visit = await front.visit(token, f"orders/{order}")
    await expect(visit.page.locator(".top .connection")).to_have_text("Connected")
    second = await visit.context.new_page()
    asked: list[str] = []
    second.on("request", lambda request: asked.append(request.url))
    stored = await visit.page.evaluate("sessionStorage.getItem('parley:token')")
    await second.goto(front.address(f"login#token={stored}"))
    await second.wait_for_url(lambda url: "/login" not in url)
    await second.goto(front.address(f"orders/{order}"))
    await expect(second.locator(".top .connection")).to_have_text("Connected")
    assert not [url for url in asked if url.endswith("/v1/events")]

    await front.post(seller, order, "to both")
    for page in (visit.page, second):
        await expect(page.locator(".bubble")).to_have_text("to both")
    await visit.page.close()
    await asyncio.gather(front.post(seller, order, "to the second"), expect(second.locator(".bubble")).to_have_count(2))
    assert [url for url in asked if url.endswith("/v1/events")]


async def test_a_suspended_tab_hands_the_live_connection_over(front: Front) -> None:
    order = await front.order(customer="c-frozen", seller="s-frozen")
    token = front.parley.customer("c-frozen")
    visit = await front.visit(token, f"orders/{order}")
    await expect(visit.page.locator(".top .connection")).to_have_text("Connected")
    session = await visit.context.new_cdp_session(visit.page)
    second = await visit.context.new_page()
    await session.send("Page.setWebLifecycleState", {"state": "frozen"})
    await second.goto(front.address(f"login#token={token}"))
    await second.wait_for_url(lambda url: "/login" not in url)
    await second.goto(front.address(f"orders/{order}"))
    await expect(second.locator(".top .connection")).to_have_text("Connected", timeout=10_000)

    await front.post(front.parley.seller("s-frozen"), order, "to the one that is awake")
    await expect(second.locator(".bubble")).to_have_text("to the one that is awake")
    await session.send("Page.setWebLifecycleState", {"state": "active"})
    await expect(visit.page.locator(".bubble")).to_have_text("to the one that is awake")


async def test_nothing_is_kept_in_other_places_than_the_persons_own(front: Front, tmp_path: Path) -> None:
    """Drafts and unsent messages are kept by person; the next person at the same browser neither sees nor sends them."""
    order = await front.order(customer="c-first", seller="s-shared")
    visit = await front.visit(front.parley.customer("c-first"), f"orders/{order}")
    await visit.page.get_by_label("Your message").fill("for nobody else")
    state = tmp_path / "state.json"
    await visit.context.storage_state(path=state, indexed_db=True)
    other = await front.visit(front.parley.seller("s-shared"), f"desk/{order}", storage_state=state)
    await expect(other.page.get_by_label("Your message")).to_have_value("")
    back = await front.visit(front.parley.customer("c-first"), f"orders/{order}", storage_state=state)
    await expect(back.page.get_by_label("Your message")).to_have_value("for nobody else")
