"""The page behind a mail's link, as somebody with a browser meets it."""

import re
from typing import Any, Literal

import pytest
from playwright.async_api import expect

from tests.api.people import People
from tests.browser.front import PHONE, Front
from tests.browser.test_accessibility import assert_accessible

Scheme = Literal["light", "dark"]


@pytest.mark.parametrize("scheme", ["light", "dark"])
async def test_a_person_ends_one_orders_mails_takes_it_back_and_ends_all(front: Front, scheme: Scheme) -> None:
    customer = f"c-unsubscribe-{scheme}"
    order = await front.order(customer=customer, seller="s-unsubscribe")
    token = front.parley.customer(customer)
    mailed = People().unsubscribe(f"customer:{customer}")
    address = f"{front.parley.gateway_url}/v1/unsubscribe?token={mailed}&order={order}&lang=de"
    options: dict[str, Any] = {"color_scheme": scheme, "viewport": PHONE, "bypass_csp": True}
    context = await front.browser.new_context(**options)
    page = await context.new_page()

    async def said() -> dict[str, bool]:
        _, found = await front.ask("GET", f"/v1/orders/{order}/preferences", token)
        mails: dict[str, bool] = found["mails"]
        return mails

    await page.goto(address)
    await expect(page.get_by_role("heading", name="Welche E-Mails")).to_be_visible()
    await assert_accessible(page)
    await page.get_by_role("button", name=f"zu Bestellung {order}").click()
    await expect(page.get_by_role("heading", name=f"keine E-Mails zu Bestellung {order} mehr")).to_be_visible()
    await assert_accessible(page)
    assert await said() == {"messages": False, "disputes": False}
    _, everywhere = await front.ask("GET", "/v1/me/preferences", token)
    assert everywhere["mails"] == {"messages": True, "disputes": True}

    await page.get_by_role("button", name="Rückgängig").click()
    await expect(page.get_by_role("heading", name="wie zuvor")).to_be_visible()
    assert await said() == {"messages": True, "disputes": True}

    await page.goto(address)
    await page.get_by_role("button", name="keiner Bestellung").click()
    await expect(page.get_by_role("heading", name="zu Ihren Bestellungen mehr")).to_be_visible()
    assert await said() == {"messages": False, "disputes": False}
    await context.close()


@pytest.mark.parametrize("scheme", ["light", "dark"])
async def test_a_broken_link_is_a_page_in_the_readers_language(front: Front, scheme: Scheme) -> None:
    options: dict[str, Any] = {"color_scheme": scheme, "viewport": PHONE, "locale": "it-IT", "bypass_csp": True}
    page = (await front.visit(path="login", **options)).page
    await page.goto(f"{front.parley.gateway_url}/v1/unsubscribe?token=cut-off")
    await expect(page.get_by_role("heading", name="Questo link non è più valido")).to_be_visible()
    await assert_accessible(page)
    assert re.search("urn:parley", await page.content()) is None


@pytest.mark.parametrize("scheme", ["light", "dark"])
async def test_the_documentation_is_accessible_and_fits_a_phone(front: Front, scheme: Scheme) -> None:
    page = (await front.visit(path="login", color_scheme=scheme, viewport=PHONE, bypass_csp=True)).page
    await page.goto(f"{front.parley.gateway_url}/docs")
    await expect(page.get_by_role("heading", name="Write into a thread")).to_be_visible()
    assert await page.evaluate("document.documentElement.scrollWidth <= innerWidth")
    await assert_accessible(page)
