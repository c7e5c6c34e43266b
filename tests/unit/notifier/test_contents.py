"""What is left to tell when a mail is about to go."""

import pytest

from services.notifier.contents import Knowledge, left_to_tell
from shared.events import ChoicesMade
from tests.unit.notifier.making import event, mail

BURST = mail(event("second", seq=2), event("opened", seq=3, kind="dispute_opened"), event("first", seq=1))


def choices(*, messages: bool = True, disputes: bool = True) -> ChoicesMade:
    return ChoicesMade(person="customer:c-7", stamp="1", messages=messages, disputes=disputes)


def told(known: Knowledge) -> list[str | None]:
    left = left_to_tell(BURST, known)
    assert not isinstance(left, str)
    return [entry.text for entry in left]


def test_all_of_it_in_the_order_of_the_thread() -> None:
    assert told(Knowledge()) == ["first", "second", "opened"]


def test_not_what_was_read() -> None:
    assert told(Knowledge(read_up_to=1)) == ["second", "opened"]


def test_nothing_once_all_of_it_was_read() -> None:
    assert left_to_tell(BURST, Knowledge(read_up_to=3)) == "read"


def test_not_what_was_switched_off() -> None:
    assert told(Knowledge(choices=choices(messages=False))) == ["opened"]
    assert told(Knowledge(choices=choices(disputes=False))) == ["first", "second"]


def test_nothing_to_a_person_who_has_switched_all_of_it_off() -> None:
    assert left_to_tell(BURST, Knowledge(choices=choices(messages=False, disputes=False))) == "switched_off"


def test_nothing_where_the_unread_rest_was_switched_off() -> None:
    assert left_to_tell(BURST, Knowledge(read_up_to=2, choices=choices(disputes=False))) == "switched_off"


@pytest.mark.parametrize("taken_out", [0, 1, 2])
def test_a_text_that_was_taken_out_is_not_told(taken_out: int) -> None:
    entry = BURST.entries[taken_out]

    left = left_to_tell(BURST, Knowledge(redacted=frozenset({entry.id})))

    assert not isinstance(left, str)
    assert [(one.text, one.redacted) for one in left if one.id == entry.id] == [(None, True)]
    assert all(one.text for one in left if one.id != entry.id)
