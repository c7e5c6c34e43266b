"""Nothing fails in silence: every action that failed is said where one looks, and a browser that lacks something still works or says so."""

import json
import re
from pathlib import Path
from typing import Any

import pytest
from playwright.async_api import Route, async_playwright, expect

from tests.browser.conftest import ARGUMENTS
from tests.browser.front import Front
from tests.browser.shop_site import ShopSite

UNAVAILABLE = {"type": "urn:parley:problem:unavailable", "title": "", "status": 503, "detail": "away"}


def failing(method: str) -> Any:
    """A route's handler that answers this method with a problem, and lets all else pass."""

    async def fail(route: Route) -> None:
        if route.request.method != method:
            return await route.continue_()
        return await route.fulfill(status=503, content_type="application/problem+json", body=json.dumps(UNAVAILABLE))

    return fail


async def test_a_removal_that_failed_keeps_its_dialog_open_and_says_why(front: Front) -> None:
    order = await front.order(customer="c-removes", seller="s-removes")
    await front.post(front.parley.customer("c-removes"), order, "4111 1111 1111 1111")
    page = (await front.visit(front.parley.admin(), f"desk/{order}")).page
    await page.route("**/redact", failing("POST"))

    await page.get_by_role("button", name="Remove text of").click()
    dialog = page.get_by_role("dialog")
    await dialog.get_by_role("button", name="Remove text").click()
    await expect(dialog.get_by_role("alert").last).to_have_text("Not available for the moment.")
    await expect(page.locator(".bubble")).to_have_text("4111 1111 1111 1111")

    await page.unroute_all()
    await dialog.get_by_role("button", name="Remove text").click()
    await expect(dialog).to_have_count(0)
    await expect(page.locator(".bubble")).to_have_text("This text was removed by the shop.")


async def test_a_removal_that_is_only_accepted_says_so(front: Front) -> None:
    order = await front.order(customer="c-accepts", seller="s-accepts")
    await front.post(front.parley.customer("c-accepts"), order, "to be removed")
    page = (await front.visit(front.parley.admin(), f"desk/{order}")).page

    async def accept(route: Route) -> None:
        await route.fulfill(
            status=202, content_type="application/json", body='{"command_id": "x", "state": "accepted"}'
        )

    await page.route("**/redact", accept)
    await page.get_by_role("button", name="Remove text of").click()
    await page.get_by_role("dialog").get_by_role("button", name="Remove text").click()
    await expect(page.locator(".banner")).to_contain_text("Accepted; it will be done in a moment.")


async def test_settings_that_could_not_be_saved_stay_open_and_say_why(front: Front) -> None:
    await front.order(customer="c-settings", seller="s-settings")
    page = (await front.visit(front.parley.customer("c-settings"))).page
    await page.route("**/v1/me/preferences", failing("PUT"))

    await page.get_by_role("button", name="E-mail settings").click()
    await page.get_by_label("New messages").uncheck()
    await page.get_by_role("button", name="Save").click()
    await expect(page.get_by_role("dialog").get_by_role("alert").last).to_have_text("Not available for the moment.")
    await expect(page.get_by_label("New messages")).not_to_be_checked()
    await page.unroute_all()
    await page.get_by_role("button", name="Save").click()
    await expect(page.get_by_text("Saved.")).to_be_visible()


async def test_earlier_messages_that_do_not_come_are_said(front: Front) -> None:
    order = await front.order(customer="c-older", seller="s-older")
    token = front.parley.customer("c-older")
    for number in range(60):
        await front.post(token, order, f"message {number}")
    page = (await front.visit(token, f"orders/{order}")).page
    await expect(page.locator(".bubble").last).to_have_text("message 59")
    await page.route("**/messages?before_seq*", failing("GET"))

    await page.locator(".history").evaluate("(each) => (each.scrollTop = 0)")
    await expect(page.locator(".banner")).to_have_text("That could not be loaded. Not available for the moment.Close")
    await page.unroute_all()
    await page.get_by_role("button", name="Earlier messages").click()
    await expect(page.locator(".bubble").first).to_have_text("message 0")
    await expect(page.locator(".banner")).to_have_count(0)


async def test_a_list_that_is_not_brought_up_to_date_says_so_above_what_it_shows(front: Front) -> None:
    order = await front.order(customer="c-list", seller="s-list")
    token = front.parley.customer("c-list")
    page = (await front.visit(token, "messages")).page
    await front.post(token, order, "the first")
    await expect(page.locator(".thread-row")).to_have_count(1)
    await page.route("**/v1/threads*", failing("GET"))
    await front.post(front.parley.seller("s-list"), order, "the second")
    await expect(page.locator(".stale")).to_contain_text("That could not be loaded. Not available for the moment.")
    await page.unroute_all()
    await page.locator(".stale").get_by_role("button", name="Try again").click()
    await expect(page.locator(".thread-row-excerpt")).to_contain_text("the second")
    await expect(page.locator(".stale")).to_be_hidden()


async def test_a_list_without_a_connection_says_that(front: Front) -> None:
    await front.order(customer="c-offline", seller="s-offline")
    page = (await front.visit(front.parley.customer("c-offline"))).page
    await expect(page.locator(".order-row")).to_have_count(1)
    await page.route("**/v1/**", lambda route: route.abort())
    await page.get_by_role("link", name="Unread").click()
    await expect(page.locator(".list")).to_contain_text("There is no connection.")
    await expect(page.get_by_text("Something went wrong")).to_have_count(0)


async def test_watching_and_marking_that_failed_are_said(front: Front) -> None:
    order = await front.order(customer="c-watch", seller="s-watch")
    await front.post(front.parley.customer("c-watch"), order, "a question")
    page = (await front.visit(front.admin_with_address(), f"desk/{order}")).page
    await page.route("**/watch", failing("PUT"))
    await page.get_by_role("button", name="Watch", exact=True).click()
    await expect(page.locator(".said")).to_contain_text("Not available for the moment.")

    await page.locator(".said").get_by_role("button", name="Close").click()
    await page.route("**/v1/threads/read", failing("POST"))
    await page.get_by_label(f"Select order {order}").check()
    await page.get_by_role("button", name="Mark unread").first.click()
    await expect(page.locator(".said")).to_contain_text("Not available for the moment.")


async def test_a_language_that_does_not_come_is_said_and_the_old_one_stays(front: Front) -> None:
    await front.order(customer="c-words", seller="s-words")
    page = (await front.visit(front.parley.customer("c-words"))).page
    await expect(page.locator(".order-row")).to_have_count(1)
    await page.route("**/words/*.js", lambda route: route.abort())
    await page.get_by_label("Language").select_option("de")
    await expect(page.locator(".said")).to_contain_text("That could not be loaded.")
    await expect(page.get_by_label("Language")).to_have_value("en")


async def test_pages_whose_words_do_not_come_say_so(front: Front) -> None:
    visit = await front.visit(front.parley.customer("c-scripts"))
    await visit.page.route("**/words/en.js", lambda route: route.abort())
    await visit.page.reload()
    await expect(visit.page.get_by_text("This page could not be loaded.")).to_be_visible()
    await visit.page.unroute_all()
    await visit.page.get_by_role("button", name="Try again").click()
    await expect(visit.page.get_by_role("heading", name="Orders")).to_be_visible()
    assert all("Failed to fetch dynamically imported module" in trouble for trouble in visit.troubles)
    visit.troubles.clear()


LANGUAGES: tuple[list[str], ...] = (
    ["en-US@posix"],
    ["C"],
    ["en-US.UTF-8"],
    ["en_GB.UTF-8", "de"],
    [],
    ["x"],
    ["tlh-"],
    ["en-GB-oxendict-x-"],
)


@pytest.mark.parametrize("languages", LANGUAGES, ids=lambda languages: ",".join(languages) or "none")
async def test_a_browser_with_a_strange_language_shows_the_conversation(front: Front, languages: list[str]) -> None:
    order = await front.order(customer="c-tongue", seller="s-tongue", order_id=f"tongue-{LANGUAGES.index(languages)}")
    token = front.parley.customer("c-tongue")
    await front.post(token, order, "Hello")
    visit = await front.visit(token)
    await visit.context.add_init_script(
        f"Object.defineProperty(navigator, 'languages', {{ get: () => {json.dumps(languages)} }})"
    )
    await visit.page.goto(front.address(f"orders/{order}"))
    await expect(visit.page.locator(".bubble")).to_have_text("Hello")
    await expect(visit.page.get_by_label("Your message")).to_be_visible()
    await visit.page.goto(front.address("orders"))
    await expect(visit.page.locator(".order-row").first).to_contain_text("72.00")


WITHOUT = {
    "nothing but English": """
      for (const kind of ["DateTimeFormat", "NumberFormat", "PluralRules", "RelativeTimeFormat"]) {
        const known = Intl[kind];
        Intl[kind] = new Proxy(known, {
          construct(_, [locale, options]) {
            if (locale !== "en") throw new RangeError(`Incorrect locale information provided: ${locale}`);
            return new known(locale, options);
          },
        });
      }""",
    "relative times and plurals": "delete Intl.RelativeTimeFormat; delete Intl.PluralRules;",
}


@pytest.mark.parametrize("missing", WITHOUT.values(), ids=WITHOUT.keys())
async def test_a_browser_without_parts_of_intl_shows_the_conversation(front: Front, missing: str) -> None:
    customer = f"c-intl-{front.new_number()}"
    order = await front.order(customer=customer, seller="s-intl")
    token = front.parley.customer(customer)
    await front.post(token, order, "Hello")
    visit = await front.visit(token, locale="de-AT")
    await visit.context.add_init_script(missing)
    await visit.page.goto(front.address(f"orders/{order}"))
    await expect(visit.page.locator(".bubble")).to_have_text("Hello")
    await visit.page.goto(front.address("orders"))
    await expect(visit.page.locator(".order-row")).to_contain_text("72")


REFUSED = """
const refuse = () => { throw new DOMException("Access is denied for this document.", "SecurityError"); };
for (const name of ["localStorage", "sessionStorage", "indexedDB"])
  Object.defineProperty(globalThis, name, { get: refuse, configurable: true });
LockManager.prototype.request = LockManager.prototype.query = async () => refuse();
globalThis.BroadcastChannel = class { constructor() { refuse(); } };
"""
"""What a browser does whose owner holds back all storage."""


async def test_the_widget_works_where_all_storage_is_refused_and_says_what_is_missing(
    front: Front, shop_site: ShopSite
) -> None:
    order = await front.order(customer="c-refused", seller="s-refused")
    token = front.parley.customer("c-refused")
    shop_site.parley_url, shop_site.visitor_token, shop_site.order_id = front.parley.gateway_url, token, order
    shop_site.token_life_s = None
    visit = await front.visit()
    await visit.context.add_init_script(REFUSED)
    page = visit.page
    await page.goto(f"{shop_site.origin}/orders")
    await expect(page.get_by_text("This browser keeps nothing for this page")).to_be_visible()
    await page.get_by_label("Your message").fill("All the same")
    await page.keyboard.press("Control+Enter")
    await expect(page.locator(".state.stored")).to_have_count(1)
    await front.post(front.parley.seller("s-refused"), order, "Live, too")
    await expect(page.locator(".other-side .bubble")).to_have_text("Live, too")


async def test_a_widget_whose_sign_in_has_ended_says_so_and_goes_on_when_the_shop_knows_its_visitor_again(
    front: Front, shop_site: ShopSite
) -> None:
    order = await front.order(customer="c-widget-out", seller="s-widget-out")
    shop_site.parley_url, shop_site.order_id = front.parley.gateway_url, order
    shop_site.visitor_token, shop_site.token_life_s = front.parley.customer("c-widget-out"), None
    page = (await front.visit()).page
    said = {"type": "urn:parley:problem:unauthenticated", "title": "", "status": 401, "detail": "expired"}

    async def refuse(route: Route) -> None:
        await route.fulfill(status=401, content_type="application/problem+json", body=json.dumps(said))

    await page.route("**/v1/events", refuse)
    await page.goto(f"{shop_site.origin}/orders")
    await expect(page.get_by_text("Your sign-in has ended.")).to_be_visible()
    await expect(page.locator(".connection")).to_have_text("Signed out")
    await page.unroute_all()
    await page.get_by_role("button", name="Try now").click()
    await expect(page.locator(".connection")).to_have_text("Connected")
    await expect(page.get_by_text("Your sign-in has ended.")).to_have_count(0)


async def test_a_full_storage_sends_all_the_same_and_says_what_is_missing(front: Front) -> None:
    order = await front.order(customer="c-full", seller="s-full")
    visit = await front.visit(front.parley.customer("c-full"))
    await visit.context.add_init_script(
        "for (const name of ['add', 'put']) IDBObjectStore.prototype[name] = () => {"
        " throw new DOMException('The quota has been exceeded.', 'QuotaExceededError'); };"
    )
    page = visit.page
    await page.goto(front.address(f"orders/{order}"))
    await page.get_by_label("Your message").fill("Into a full browser")
    await page.keyboard.press("Control+Enter")
    await expect(page.locator(".state.stored")).to_have_count(1)
    await expect(page.get_by_text("This browser keeps nothing for this page")).to_be_visible()


async def test_a_guests_link_works_where_a_browser_blocks_cookies_for_real_and_survives_a_reload(
    front: Front, chromium: str, tmp_path: Path
) -> None:
    order = await front.order(customer="g-blocked", seller="s-blocked", customer_more={"guest": True})
    known = len(front.parley.smtp.mails)
    await front.post(front.parley.seller("s-blocked"), order, "Where shall we leave the parcel?")
    mails = await front.parley.smtp.wait_for(known + 1)
    mail = next(each for each in mails if each.recipients == ("g-blocked@example.com",))
    body = mail.message.get_body(("plain",))
    assert body is not None
    link = re.search(rf"{front.parley.gateway_url}/pages/\S+", body.get_content())
    assert link is not None
    (tmp_path / "Default").mkdir()
    (tmp_path / "Default" / "Preferences").write_text(
        json.dumps({"profile": {"default_content_setting_values": {"cookies": 2}}})
    )
    async with async_playwright() as playwright:
        context = await playwright.chromium.launch_persistent_context(
            tmp_path, executable_path=chromium, args=ARGUMENTS, locale="en-GB"
        )
        page = await context.new_page()
        await page.goto(link[0])
        assert (
            await page.evaluate("(() => { try { return localStorage.length >= 0; } catch { return false; } })()")
            is False
        )
        await expect(page.get_by_text("This browser keeps nothing for this page")).to_be_visible()
        await page.get_by_label("Your message").fill("From a strict browser")
        await page.keyboard.press("Control+Enter")
        await expect(page.locator(".state.stored")).to_have_count(1)
        await page.reload()
        await expect(page.locator(".bubble")).to_have_text(
            ["Where shall we leave the parcel?", "From a strict browser"]
        )
        await context.close()
