"""What shows nothing is refused where it comes in, and still read where it was stored or queued before."""

import itertools
import json
import subprocess
import sys

import pytest
from pydantic import ValidationError

from deploy.local.settings import REPOSITORY
from services.gateway.requests import ImportedAuthor, NewDispute, NewMessage, OrdersQuery
from shared import examples
from shared.commands import COMMAND
from shared.envelope import read
from shared.errors import CannotProcess
from shared.fields import GIVEN, NOTHING_SEEN
from shared.orders import ORDER_EVENT, OrderSnapshot
from shared.visible import INVISIBLE, shows
from tests.made import post

UNSEEN = {
    "zero width space": "\u200b",
    "Hangul filler": "\u3164",
    "halfwidth Hangul filler": "\uffa0",
    "Braille blank": "\u2800",
    "soft hyphen": "\u00ad",
    "right-to-left override": "\u202e",
    "variation selector": "\ufe0f",
    "bell and escape": "\u0007\u001b",
    "no-break spaces": "\u00a0\u2007\u202f",
    "tags": "\U000e0041\U000e007f",
    "null notehead": "\U0001d159",
    "several": " \u200d\u2060\ufeff\u034f\u061c\n",
}
SEEN = ["a", "👍", "🏳️‍🌈", "\u200bä", "\u0301", "ක්‍ෂ", "—", "\ue000", "\ufffd", "0"]
IN_ONE_LINE = {name: text for name, text in UNSEEN.items() if name not in ("bell and escape", "several")}


@pytest.mark.parametrize("text", UNSEEN.values(), ids=UNSEEN)
def test_a_message_of_which_nothing_can_be_seen_is_refused(text: str) -> None:
    for refuse in (
        lambda: NewMessage(text=text),
        lambda: NewDispute(reason="other", text=text),
        lambda: OrdersQuery(q=text),
    ):
        with pytest.raises(ValidationError, match="must contain"):
            refuse()


@pytest.mark.parametrize("text", SEEN)
def test_whatever_can_be_seen_is_taken(text: str) -> None:
    assert NewMessage(text=text).text == text
    assert ImportedAuthor(side="customer", id="c-7", name=text).name == text


@pytest.mark.parametrize("name", IN_ONE_LINE.values(), ids=IN_ONE_LINE)
def test_a_name_of_which_nothing_can_be_seen_is_refused_where_it_is_given(name: str) -> None:
    with pytest.raises(ValidationError, match=NOTHING_SEEN):
        ImportedAuthor.model_validate({"side": "customer", "id": "c-7", "name": name}, context=GIVEN)
    for field in ("customer", "seller"):
        event = examples.ORDER_EVENTS[0].model_dump(mode="json")
        event["data"][field]["name"] = name
        # What is stored is read as it is.
        assert OrderSnapshot.model_validate(event["data"]).model_dump(mode="json")[field]["name"] == name
        with pytest.raises(CannotProcess, match=f"invalid: data.{field}.name: {NOTHING_SEEN}"):
            read(ORDER_EVENT, json.dumps(event).encode(), context=GIVEN)


def test_a_command_that_waits_since_an_earlier_release_is_read() -> None:
    command = post("\u200b")
    assert read(COMMAND, command.model_dump_json().encode()) == command


def test_the_table_is_in_order_and_without_overlaps() -> None:
    assert all(first <= last for first, last in INVISIBLE)
    assert all(last + 1 < first for (_, last), (first, _) in itertools.pairwise(INVISIBLE))
    assert all(not shows(chr(edge)) for ends in INVISIBLE for edge in ends)


def test_the_pages_have_the_same_table() -> None:
    made = subprocess.run(
        [sys.executable, "-m", "deploy.invisible"], cwd=REPOSITORY, capture_output=True, text=True, check=True
    ).stdout
    committed = (REPOSITORY / "services" / "gateway" / "pages" / "invisible.js").read_text()
    assert committed == made, "services/gateway/pages/invisible.js is out of date: make docs"
