"""Mailboxes, and the keys that stand for them."""

import re

import pytest

from services.threads.addresses import AddressKeys, mailbox

KEYS = AddressKeys("an-address-key-of-the-tests-of-32-bytes")


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("Ada@Example.com", "ada@example.com"),
        ("zo\u0308e@example.com", "z\u00f6e@example.com"),
        ("\u00d6@x.de", "\u00f6@x.de"),
    ],
)
def test_two_spellings_of_one_mailbox_are_the_same(one: str, other: str) -> None:
    assert mailbox(one) == mailbox(other)
    assert KEYS.of(one) == KEYS.of(other)


@pytest.mark.parametrize(
    ("one", "other"),
    [("a@example.com", "a@example.org"), ("a.b@example.com", "ab@example.com"), ("a@stra\u00dfe.de", "a@strasse.de")],
)
def test_two_mailboxes_are_two(one: str, other: str) -> None:
    assert mailbox(one) != mailbox(other)
    assert KEYS.of(one) != KEYS.of(other)


def test_a_key_tells_nobody_the_address_and_belongs_to_one_shop_and_one_secret() -> None:
    key = KEYS.of("ada@example.com")

    assert re.fullmatch("[a-z2-7]{26}", key)
    assert key != KEYS.of("ada@example.com", shop_id="lamps")
    assert key != AddressKeys("another-address-key-of-the-tests-of-32").of("ada@example.com")
