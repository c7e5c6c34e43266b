"""Texts and names that break software are shown as text: no script runs, and the browser has no violation of the policy to report."""

import asyncio
from collections.abc import Iterator
from typing import Any

import pytest
from playwright.async_api import expect
from pydantic import TypeAdapter, ValidationError

from shared.fields import GIVEN, NewText, ShownName
from tests.browser.front import Front
from tests.hostile import hostile_texts
from tests.servers.waiting import eventually

AT_ONCE = 20


def fitting(kind: Any) -> Iterator[str]:
    """Those that the API takes as this kind of text."""
    adapter: TypeAdapter[str] = TypeAdapter(kind)
    for each in hostile_texts():
        try:
            adapter.validate_python(each, context=GIVEN)
            each.encode()
        except (ValidationError, UnicodeEncodeError):
            continue
        yield each


async def test_every_naughty_text_is_shown_as_it_was_written(front: Front) -> None:
    texts = list(fitting(NewText))
    order = await front.order(customer="c-naughty", seller="s-naughty")
    token = front.parley.customer("c-naughty")
    gate = asyncio.Semaphore(AT_ONCE)

    async def post(text: str) -> None:
        async with gate:
            path = f"/v1/orders/{order}/messages"
            status, said = await front.ask("POST", path, token, {"text": text}, Prefer="respond-async")
            assert status == 202, (text, said)

    await asyncio.gather(*(post(text) for text in texts))

    async def all_are_there() -> bool:
        _, view = await front.ask("GET", f"/v1/orders/{order}", token)
        return bool(view["thread"]["last_seq"] == len(texts))

    await eventually(all_are_there, timeout_s=60, what="all texts")
    page = (await front.visit(front.parley.seller("s-naughty"), f"desk/{order}")).page
    await expect(page.locator(".bubble").first).to_be_visible()
    older = page.get_by_role("button", name="Earlier messages")
    while await older.is_visible():
        shown = await page.locator(".bubble").count()
        await older.dispatch_event("click")
        await expect(page.locator(".bubble").nth(shown)).to_be_attached()
    found = await page.locator(".bubble").evaluate_all("bubbles => bubbles.map((each) => each.textContent)")
    assert sorted(found) == sorted(texts)
    assert await page.evaluate("document.documentElement.scrollWidth <= document.documentElement.clientWidth")


@pytest.mark.parametrize("path", ["orders", "messages"])
async def test_every_naughty_name_is_shown_as_it_is(front: Front, path: str) -> None:
    names = list(fitting(ShownName))[:60]
    person = f"c-names-{path}"
    snapshots = [
        front.snapshot(
            customer=person, seller=f"s-{path}-{number}", seller_name=name, customer_name=name, items=_items(name)
        )
        for number, name in enumerate(names)
    ]
    await front.publish(snapshots)
    token = front.parley.customer(person, names[0])
    if path == "messages":
        await asyncio.gather(*(front.post(token, each["order_id"], each["seller"]["name"]) for each in snapshots))
    page = (await front.visit(token, path)).page
    rows = page.locator(".rows > li")
    await expect(rows.first).to_be_visible()
    while await page.get_by_role("button", name="Show more").is_visible():
        shown = await rows.count()
        await page.get_by_role("button", name="Show more").click()
        await expect(rows.nth(shown)).to_be_visible()
    named = "bdi" if path == "orders" else "bdi.name"
    found = await rows.locator(named).evaluate_all("names => names.map((each) => each.textContent)")
    assert sorted(found) == sorted(names)
    assert await page.evaluate("document.documentElement.scrollWidth <= document.documentElement.clientWidth")


def _items(name: str) -> list[dict[str, object]]:
    return [{"sku": "1", "name": name[:100] or "?", "quantity": 1, "price": "1.00"}] * 2


async def test_hostile_names_and_reasons_in_a_dispute_are_text(front: Front) -> None:
    hostile = "<img src=x onerror=alert(1)>"
    order = await front.order(
        customer="c-hostile", seller="s-hostile", customer_name=hostile, seller_name=hostile, status=hostile
    )
    token = front.parley.customer("c-hostile", hostile)
    await front.ask("POST", f"/v1/orders/{order}/dispute", token, {"reason": "other", "text": hostile})
    page = (await front.visit(front.admin_with_address(), f"desk/{order}?q=%3Cscript%3Ealert(1)%3C/script%3E")).page

    await expect(page.locator(".banner.dispute")).to_contain_text(f"Opened by {hostile}")
    await expect(page.locator(".step-text")).to_have_text(hostile)
    await expect(page.locator(".conversation-head .party")).to_have_text([f"{hostile} Customer", f"{hostile} Seller"])
    assert await page.locator("img, script:not([src])").count() == 0
