"""Command ids: the same for a retry, another's to nobody, and asked about by their caller alone."""

import re
import uuid

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.gateway.command_ids import CommandIds, uuid7
from services.gateway.writes import Write
from shared.callers import Caller
from shared.fields import COMMAND_ID_PATTERN
from shared.tokens import SignedIn

IDS = CommandIds("a-secret-of-thirty-two-characters!")
ADA, BOB = "customer:c-7", "customer:c-8"


def test_an_id_has_the_form_that_the_contracts_ask_for() -> None:
    assert re.fullmatch(COMMAND_ID_PATTERN, IDS.new(ADA))
    assert re.fullmatch(COMMAND_ID_PATTERN, IDS.for_key(ADA, "message.post", "1042", "k"))


def test_every_write_without_a_key_has_an_id_of_its_own() -> None:
    assert len({IDS.new(ADA) for _ in range(1000)}) == 1000


def test_the_same_key_makes_the_same_id_at_every_gateway() -> None:
    elsewhere = CommandIds("a-secret-of-thirty-two-characters!")
    assert IDS.for_key(ADA, "message.post", "1042", "k") == elsewhere.for_key(ADA, "message.post", "1042", "k")


@pytest.mark.parametrize(
    "other",
    [
        (BOB, "message.post", "1042", "k"),
        (ADA, "dispute.open", "1042", "k"),
        (ADA, "message.post", "1043", "k"),
        (ADA, "message.post", None, "k"),
        (ADA, "message.post", "1042", "l"),
        (ADA, "message.post1", "042", "k"),
    ],
)
def test_another_caller_operation_order_or_key_makes_another_id(other: tuple[str, str, str | None, str]) -> None:
    assert IDS.for_key(*other) != IDS.for_key(ADA, "message.post", "1042", "k")


def test_an_id_of_ones_own_stands_for_itself_so_a_write_without_a_key_can_be_repeated() -> None:
    first = IDS.new(ADA)
    assert IDS.for_key(ADA, "message.post", "1042", first) == first


def test_an_id_of_another_caller_is_a_key_like_any_other() -> None:
    bobs = IDS.new(BOB)
    assert IDS.for_key(ADA, "message.post", "1042", bobs) != bobs


def test_only_its_caller_may_ask_about_a_command() -> None:
    command_id = IDS.new(ADA)
    assert IDS.belongs(command_id, ADA)
    assert not IDS.belongs(command_id, BOB)
    assert not CommandIds("another-secret-of-32-characters!!").belongs(command_id, ADA)


@given(st.text(max_size=50) | st.from_regex(COMMAND_ID_PATTERN, fullmatch=True))
def test_a_made_up_id_belongs_to_nobody(made_up: str) -> None:
    assert not IDS.belongs(made_up, ADA)


def test_an_id_has_one_spelling_only() -> None:
    """The last character of the first 26 carries two unused bits; another value there is no id of ours."""
    command_id = IDS.new(ADA)
    alphabet = "abcdefghijklmnopqrstuvwxyz234567"
    spelled_otherwise = [command_id[:25] + letter + command_id[26:] for letter in alphabet if letter != command_id[25]]
    assert not any(IDS.belongs(other, ADA) for other in spelled_otherwise)
    assert not IDS.belongs(command_id.upper(), ADA)


def test_a_stamp_is_a_uuid7_and_a_later_one_is_greater() -> None:
    stamps = [uuid7() for _ in range(200)]
    assert all(stamp.version == 7 and stamp.variant == uuid.RFC_4122 for stamp in stamps)
    by_time = [str(stamp)[:18] for stamp in stamps]
    assert by_time == sorted(by_time)


def test_a_key_stands_for_the_id_that_it_has_always_stood_for() -> None:
    """Old and new gateways run side by side: a retry must find what the first try made."""
    ids = CommandIds("a-secret-of-the-tests-of-32-bytes-and-more")
    assert ids.for_key(ADA, "message.post", "1042", "k") == "s6t7x6772n3engx7sudau7kzjmspenucghbvlqxnjr"
    odd = ids.for_key('customer:Ada "é"', "threads.read", None, "k \\ 1")
    assert odd == "7i7olwepzdfu434ybua6xhcl3yir3vgkirilmjlggt"


def _write(seller_id: str | None) -> Write:
    role = "customer" if seller_id is None else "seller"
    caller = Caller(role=role, id="login", name="Lou", seller_id=seller_id)
    return Write(signed_in=SignedIn(caller=caller, expires_at=0), ids=IDS, key="k")


@pytest.mark.parametrize("operation", ["threads.read", "preferences.set", "thread.read"])
def test_a_login_of_several_sellers_has_keys_apart_for_each(operation: str) -> None:
    made = [_write(seller_id).heading(operation)["id"] for seller_id in ("s-1", "s-2", "s-1")]
    assert made[0] == made[2] != made[1]
    assert all(IDS.belongs(each, "seller:login") for each in made)


@pytest.mark.parametrize(
    ("seller_id", "expected"),
    [("s-1", "seller:login"), ("s-2", "seller:login"), (None, "customer:login")],
)
def test_a_post_has_the_id_that_earlier_releases_gave_it(seller_id: str | None, expected: str) -> None:
    """One that was sent through an old gateway, and again through a new one, would else be there twice."""
    made = _write(seller_id).heading("message.post", "1042")["id"]
    assert made == IDS.for_key(expected, "message.post", "1042", "k")
