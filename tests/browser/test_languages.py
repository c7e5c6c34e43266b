"""The pages in their readers' languages: words, formats that are the mails' too, right to left, and choices that the settings do not list."""

from datetime import UTC, datetime
from decimal import Decimal
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from playwright.async_api import Page, Route, expect

from services.gateway.page_files import DIRECTORY
from services.notifier import formats
from tests.browser.front import PHONE, Front

NO_MESSAGES = {
    "en-GB": "No messages yet.",
    "de-DE": "Noch keine Nachrichten.",
    "es-ES": "Aún no hay mensajes.",
    "fr-FR": "Aucun message pour le moment.",
    "it-IT": "Ancora nessun messaggio.",
    "nl-NL": "Nog geen berichten.",
}
AMOUNTS = (
    ("20.40", "EUR"), ("1234.50", "EUR"), ("12345.60", "GBP"), ("-5.00", "GBP"), ("0.005", "EUR"),
    ("79", "AED"), ("12.3", "KWD"), ("1234.5", "JPY"), ("1000", "USD"),
)  # fmt: skip
AT = datetime(2026, 11, 3, 8, 7, tzinfo=UTC)
SHOWN = """async ([amounts, at]) => {
  const { load, preferred } = await import("/source/language.js");
  const lang = await load(preferred());
  return [amounts.map(([amount, currency]) => lang.money(amount, currency)), lang.moment(at)];
}"""
# Where each line of an element's text begins and ends, by its first and last character.
ENDS = """(element) => {
  const text = document.createTreeWalker(element, NodeFilter.SHOW_TEXT).nextNode();
  const at = (index) => {
    const range = document.createRange();
    range.setStart(text, index);
    range.setEnd(text, index + 1);
    return range.getBoundingClientRect().x;
  };
  return [at(0), at(text.data.length - 1)];
}"""


async def from_source(route: Route) -> None:
    """A module by itself: the pages come as one script."""
    await route.fulfill(path=DIRECTORY / route.request.url.partition("/source/")[2], content_type="text/javascript")


@pytest.mark.parametrize("locale", sorted(NO_MESSAGES))
async def test_each_reader_has_their_own_words(front: Front, locale: str) -> None:
    customer = f"c-words-{locale.lower()}"
    order = await front.order(customer=customer, seller="s-words")
    page = (await front.visit(front.parley.customer(customer), f"orders/{order}", locale=locale)).page
    await expect(page.get_by_text(NO_MESSAGES[locale])).to_be_visible()
    assert await page.evaluate("[document.documentElement.lang, document.documentElement.dir]") == [locale[:2], "ltr"]


@pytest.mark.parametrize("locale", ["en-GB", "en-US", "de-DE", "de-AT", "es-ES", "fr-FR", "it-IT", "nl-NL"])
async def test_money_and_moments_are_the_same_as_in_a_mail(front: Front, locale: str) -> None:
    page = (await front.visit(path="login", locale=locale)).page
    await page.route("**/source/**", from_source)
    money, moment = await page.evaluate(SHOWN, [AMOUNTS, AT.isoformat()])
    babel = formats.locale_of(locale, "EUR")
    assert money == [formats.money(Decimal(amount), currency, babel) for amount, currency in AMOUNTS]
    # Browsers put a common blank before AM and PM, whatever their data say, because too many scripts look for it.
    assert formats.moment(AT, babel, ZoneInfo("Europe/Berlin")).replace("\u202f", " ").startswith(moment)


@pytest.mark.parametrize("locale", sorted(NO_MESSAGES))
async def test_on_a_phone_the_head_is_as_high_in_every_language(front: Front, locale: str) -> None:
    """What is chosen is whole (it read "Deutsc"), and nothing is pushed into a row of its own."""
    customer = f"c-head-{locale.lower()}"
    order = await front.order(customer=customer, seller="s-head")
    page = (await front.visit(front.parley.customer(customer), f"orders/{order}", locale=locale, viewport=PHONE)).page
    await expect(page.get_by_text(NO_MESSAGES[locale])).to_be_visible()
    assert await page.locator("header.top").evaluate("(header) => header.offsetHeight") <= 100
    assert await page.evaluate("document.documentElement.scrollWidth <= innerWidth")


async def is_laid_out_from_the_right(page: Page) -> None:
    assert await page.evaluate("[document.documentElement.lang, document.documentElement.dir]") == ["en", "rtl"]
    assert await page.evaluate("document.documentElement.scrollWidth <= innerWidth")


@pytest.mark.parametrize("locale", ["ar-EG", "he-IL", "fa-IR"])
async def test_a_reader_of_a_right_to_left_language_has_that_layout_and_whole_sentences(
    front: Front, locale: str
) -> None:
    customer = f"c-rtl-{locale.lower()}"
    order = await front.order(customer=customer, seller="s-rtl", customer_name="نورة العتيبي")
    token = front.parley.customer(customer, "نورة العتيبي")
    await front.post(token, order, "أين طلبي؟")
    await front.post(front.parley.seller("s-rtl", name="Tea House"), order, "It left us today.")

    for viewport in (None, PHONE):
        options: dict[str, Any] = {} if viewport is None else {"viewport": viewport}
        page = (await front.visit(token, f"orders/{order}", locale=locale, **options)).page
        own, other = page.locator(".bubble", has_text="أين"), page.locator(".bubble", has_text="It left")
        await expect(other).to_be_visible()
        await is_laid_out_from_the_right(page)
        mine, theirs = await own.bounding_box(), await other.bounding_box()
        assert mine is not None
        assert theirs is not None
        assert mine["x"] < theirs["x"]
        begins, ends = await other.evaluate(ENDS)
        assert begins < ends
        begins, ends = await own.evaluate(ENDS)
        assert begins > ends


async def test_an_english_sentence_ends_with_its_full_stop_also_right_to_left(front: Front) -> None:
    order = await front.order(customer="c-stop", seller="s-stop")
    page = (await front.visit(front.parley.customer("c-stop"), f"orders/{order}", locale="ar-EG")).page
    sentence = page.get_by_text("No messages yet.")
    await expect(sentence).to_be_visible()
    begins, ends = await sentence.evaluate(ENDS)
    assert begins < ends


async def test_whoever_chooses_a_language_has_its_direction_too(front: Front) -> None:
    page = (await front.visit(front.parley.customer("c-chosen"), "orders", locale="ar-EG")).page
    await expect(page.get_by_text("No orders yet.")).to_be_visible()
    await page.get_by_label("Language").select_option("de")
    await expect(page.get_by_text("Noch keine Bestellungen.")).to_be_visible()
    assert await page.evaluate("[document.documentElement.lang, document.documentElement.dir]") == ["de", "ltr"]


@pytest.mark.parametrize(
    ("locale", "shown"), [("fr", "Français"), ("de-AT", "Österreichisches Deutsch"), ("sv", "svenska")]
)
async def test_saving_the_settings_keeps_what_they_do_not_list_and_says_only_what_was_changed(
    front: Front, locale: str, shown: str
) -> None:
    customer = f"c-kept-{locale.lower()}"
    order = await front.order(customer=customer, seller="s-kept")
    token = front.parley.customer(customer)
    await front.ask("PUT", f"/v1/orders/{order}/preferences", token, {"mails": {"messages": False}})
    chosen = {"locale": locale, "time_zone": "Asia/Tokyo"}
    status, _ = await front.ask("PUT", "/v1/me/preferences", token, chosen, Prefer="wait=30")
    assert status == 200

    page = (await front.visit(token, "orders")).page
    await page.get_by_role("button", name="E-mail settings").click()
    language = page.get_by_label("Language of the e-mails")
    await expect(language).to_have_value(locale)
    assert await language.evaluate("(select) => select.selectedOptions[0].textContent") == shown
    await expect(page.get_by_label("Time zone of the e-mails")).to_have_value("Asia/Tokyo")
    await page.get_by_label("Disputes: opened, closed").uncheck()
    await page.get_by_role("button", name="Save").click()
    await expect(page.get_by_text("Saved.")).to_be_visible()

    _, kept = await front.ask("GET", "/v1/me/preferences", token)
    assert kept == {"mails": {"messages": True, "disputes": False}, **chosen}
    _, of_order = await front.ask("GET", f"/v1/orders/{order}/preferences", token)
    assert of_order["mails"] == {"messages": False, "disputes": False}
