"""A mail is never so long that a mail program cuts it: it cuts itself, says so, and links to the rest."""

import re

import pytest

from services.notifier.contents import Mail
from services.notifier.languages import LANGUAGES
from services.notifier.shortening import MAX_ENTRIES_SHOWN
from shared.orders import Item
from tests.unit.notifier.making import customer, event, mail, order
from tests.unit.notifier.test_rendering import RENDERER, part, read

# Gmail shows no more of a message than this.
CLIPPED_AT_BYTES = 102_000
MAX_BYTES = 95_000

FAMILY = "👩\u200d👩\u200d👧\u200d👦"
TEXTS = {
    "ordinary words": "It is on its way to you. " * 400,
    "emoji": "😀" * 10_000,
    "families": FAMILY * 1_400,
    "empty lines": "a\n" * 5_000,
    "indented lines": "\tx\n" * 3_300,
    "what HTML escapes": "\"<&>='" * 1_600,
    "Chinese": "商品已破损" * 2_000,
    "one letter": "x" * 10_000,
    "web addresses": "http://a.example/ " * 550,
}


def size(told: Mail, locale: str = "en") -> int:
    return len(RENDERER.render(told, told.entries, locale=locale).content)


@pytest.mark.parametrize("text", TEXTS.values(), ids=list(TEXTS))
@pytest.mark.parametrize("count", [1, 3, 12, 20, 200])
def test_no_mail_is_long_enough_to_be_clipped(text: str, count: int) -> None:
    assert size(mail(*(event(text, seq=seq) for seq in range(1, count + 1)))) < MAX_BYTES


@pytest.mark.parametrize("locale", sorted(LANGUAGES))
def test_neither_is_one_with_the_longest_of_everything(locale: str) -> None:
    items = [Item(sku="1", name="😀" * 500, quantity=999_999_999, price="-999999999999.9999")] * 40
    about = order("A" * 64, items=items, total="-999999999999.9999", url="https://shop.example/" + "x" * 1_900)
    told = [
        event("😀" * 10_000, seq=seq, about=about, author="😀" * 200, kind="dispute_opened") for seq in range(1, 40)
    ]
    recipient = customer(name="😀" * 200, guest_token="g" * 900).model_copy(update={"unsubscribe_token": "t" * 900})
    assert size(mail(*told, recipient=recipient), locale) < MAX_BYTES < CLIPPED_AT_BYTES


def test_an_ordinary_mail_is_whole_and_says_nothing_of_a_rest() -> None:
    text = part(read(mail(*(event(f"Message {seq}. " + "word " * 100, seq=seq) for seq in range(1, 6)))), "plain")
    assert text.count("word") == 500
    assert LANGUAGES["en"].read_rest not in text


def test_what_is_cut_says_so_and_links_to_the_rest_in_both_texts() -> None:
    message = read(mail(event("wörd " * 2_000 + "END", seq=1), event("The second.", seq=2)))
    for kind in ("plain", "html"):
        content = part(message, kind)
        assert "END" not in content
        assert "wörd …" in content
        assert content.index("The second.") < content.index("Read the rest in the conversation")


def test_a_short_message_is_whole_beside_a_long_one() -> None:
    text = part(read(mail(event("😀" * 10_000, seq=1), event("The second, whole.", seq=2))), "plain")
    assert "The second, whole." in text


def test_entries_that_have_no_room_are_counted() -> None:
    told = mail(*(event(f"number {seq}.", seq=seq) for seq in range(1, MAX_ENTRIES_SHOWN + 4)))
    text = part(read(told), "plain")
    assert f"number {MAX_ENTRIES_SHOWN}." in text
    assert f"number {MAX_ENTRIES_SHOWN + 1}." not in text
    assert "… and 3 more entries." in text
    assert "There are 23 new entries" in text


def test_no_web_address_is_cut_in_two() -> None:
    address = "https://shop.example/" + "ä" * 9_000
    for text in (f"See {address} please", address):
        html = part(read(mail(event(text))), "html")
        assert re.findall(r'href="https://shop.example/[^"]*(?:ä|%C3)', html) == []
        assert "…" in html


def test_no_character_is_cut_in_two() -> None:
    text = part(read(mail(event(FAMILY * 1_400))), "plain")
    (line,) = [line for line in text.split("\n") if "👩" in line]
    shown = line.strip().removesuffix(" …")
    assert shown == FAMILY * (len(shown) // len(FAMILY))
