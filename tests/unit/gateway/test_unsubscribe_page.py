"""The page behind a mail's link, in the mails' languages, whatever the shop is called."""

import re
from dataclasses import fields

import pytest

from services.gateway.unsubscribe_page import POLICY, STYLE, Link, UnsubscribePages
from services.gateway.unsubscribe_words import WORDS, Words, language_for
from shared.settings import MAIL_LANGUAGES

LINK = Link('t.o&k"en', "1042", "de")


def test_it_speaks_the_languages_of_the_mails() -> None:
    assert sorted(WORDS) == sorted(MAIL_LANGUAGES)


@pytest.mark.parametrize("language", sorted(WORDS))
def test_every_language_says_everything_with_the_same_places(language: str) -> None:
    for each in fields(Words):
        said, english = getattr(WORDS[language], each.name), getattr(WORDS["en"], each.name)
        assert said
        assert re.findall(r"{(\w+)}", said) == re.findall(r"{(\w+)}", english), each.name


@pytest.mark.parametrize(
    ("link", "accepted", "language"),
    [
        ("de", "fr", "de"),
        ("de-AT", "", "de"),
        (None, "fr-CH, fr;q=0.9, en;q=0.8", "fr"),
        ("xx", "ja,it;q=0.5", "it"),
        (None, "*", "en"),
        (None, "", "en"),
    ],
)
def test_the_page_has_the_mails_language_else_the_browsers(link: str | None, accepted: str, language: str) -> None:
    assert language_for(link, accepted) == language


@pytest.mark.parametrize("shop", ["Lamps & <b>Light</b>", '"><script>alert(1)</script>', "{token}"])
def test_nothing_that_is_put_in_becomes_markup(shop: str) -> None:
    pages = UnsubscribePages(shop)
    for page in (pages.ask(LINK), pages.ended(LINK, order_id="1042", stamp="s"), pages.refused("nl", status=404)):
        assert "<script" not in page
        assert "<b>" not in page
        assert 'token=t.o&k"' not in page


def test_all_is_offered_alone_where_the_link_names_no_order() -> None:
    page = UnsubscribePages("Lamps").ask(Link("t", None, "en"))
    assert re.findall(r'value="(\w+)"', page) == ["person"]
    assert re.findall(r'value="(\w+)"', UnsubscribePages("Lamps").ask(LINK)) == ["thread", "person"]


def test_what_could_not_be_done_now_does_not_say_that_the_link_has_ended() -> None:
    pages = UnsubscribePages("Lamps")
    assert WORDS["en"].try_later in pages.refused("en", status=503)
    assert WORDS["en"].try_later in pages.refused("en", status=429)
    assert WORDS["en"].newest_mail in pages.refused("en", status=422)


def test_the_policy_allows_its_own_style_and_form_alone() -> None:
    assert "script-src" not in POLICY
    assert "default-src 'none'" in POLICY
    assert "form-action 'self'" in POLICY
    assert f"<style>{STYLE}</style>" in UnsubscribePages("Lamps").ask(LINK)
