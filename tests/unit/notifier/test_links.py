"""Addresses in mails are links: the right ones, whole, and nothing but them."""

import html
import re

import pytest

from services.notifier.links import linked
from tests.hostile import hostile_texts


def hrefs(text: str) -> list[str]:
    return [html.unescape(each) for each in re.findall(r'href="([^"]*)"', linked(text))]


def shown(text: str) -> str:
    return html.unescape(re.sub(r"<[^>]*>", "", linked(text)))


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("(https://tracking.example/RM441288301GB).", ["https://tracking.example/RM441288301GB"]),
        ("http://shop.example/a_(b)?q=1&r=%20#top,", ["http://shop.example/a_(b)?q=1&r=%20#top"]),
        ("„https://de.example/ü“", ["https://de.example/ü"]),
        ("HTTPS://UP.example/A!", ["HTTPS://UP.example/A"]),
        ("https://a.example\thttps://b.example", ["https://a.example", "https://b.example"]),
        ('https://a.example/"onclick=alert(1)', ["https://a.example/"]),
        ("<b>https://a.example/</b>", ["https://a.example/"]),
        ("https://bank.example@evil.example/", []),
        ("https://user:word@evil.example/", []),
        ("javascript:alert(1) data:text/html,x ftp://a.example mailto:a@b.example //a.example www.a.example", []),
        ("https:// http:///x https://[::1", []),
        ("https://a.example/" + "x" * 3_000, []),
    ],
)
def test_an_address_is_a_link(text: str, expected: list[str]) -> None:
    assert hrefs(text) == expected
    assert shown(text) == text


def test_whatever_was_written_is_shown_as_it_was_and_nothing_else_becomes_markup() -> None:
    for text in hostile_texts():
        assert shown(text) == text
        assert all(tag.startswith("<a class=") or tag == "</a>" for tag in re.findall(r"<[^>]*>", linked(text)))
        assert all(re.match(r"https?://[^@]*$", href, re.IGNORECASE) for href in hrefs(text))
