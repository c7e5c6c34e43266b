"""What is left to tell when a mail is about to go."""

import pytest

from services.notifier.contents import (
    Knowledge,
    Mail,
    Moved,
    Nothing,
    Plan,
    left_to_tell,
    own_choices,
    plan,
    recipient_now,
)
from shared.contracts.contacts import order_version
from shared.events import ChoicesMade, ContactData
from tests.unit.notifier.making import customer, event, mail, order

BURST = mail(event("second", seq=2), event("opened", seq=3, kind="dispute_opened"), event("first", seq=1))


def choices(*, messages: bool = True, disputes: bool = True) -> tuple[ChoicesMade, ...]:
    return (ChoicesMade(person="customer:c-7", stamp="1", messages=messages, disputes=disputes),)


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


@pytest.mark.parametrize("taken_out", ["first", "second"])
def test_a_message_that_was_taken_out_is_not_told(taken_out: str) -> None:
    gone = frozenset(entry.id for entry in BURST.entries if entry.text == taken_out)

    assert told(Knowledge(redacted=gone)) == [text for text in ("first", "second", "opened") if text != taken_out]


def test_a_disputes_step_is_told_also_when_its_text_was_taken_out() -> None:
    opened = frozenset(entry.id for entry in BURST.entries if entry.kind == "dispute_opened")

    left = left_to_tell(BURST, Knowledge(redacted=opened))

    assert isinstance(left, tuple)
    assert [(entry.text, entry.redacted) for entry in left] == [("first", False), ("second", False), (None, True)]


def test_nothing_where_all_that_was_unread_was_taken_out() -> None:
    burst = mail(event("first", seq=1), event("second", seq=2))
    gone = frozenset({burst.entries[1].id})

    assert left_to_tell(burst, Knowledge(read_up_to=1, redacted=gone)) == "redacted"


def contact(version: int, *, email: str | None = "new@example.com", guest: bool = False) -> ContactData:
    return ContactData(
        thread_id="1042",
        role="customer",
        person="customer:c-7",
        version=order_version(version),
        name="Mara M. Moser",
        email=email,
        locale="de",
        guest=guest,
    )


def addressed(version: int, *, guest_token: str | None = None) -> Mail:
    recipient = customer(guest_token=guest_token).model_copy(update={"version": order_version(version)})
    return mail(recipient=recipient)


@pytest.mark.parametrize(("said", "since", "wins"), [(3, 4, True), (9, 10, True), (4, 3, False), (4, 4, False)])
def test_of_two_addresses_the_one_with_the_greater_version_counts(said: int, since: int, wins: bool) -> None:
    recipient = recipient_now(addressed(said), contact(since))

    assert recipient is not None
    expected = ("Mara M. Moser", "new@example.com", "de") if wins else ("Mara Moser", "mara@example.com", "en")
    assert (recipient.name, recipient.email, recipient.locale) == expected


def test_a_snapshot_that_replaced_one_of_its_own_version_is_the_newer_one() -> None:
    assert order_version(3) < order_version(3, 1) < order_version(3, 10) < order_version(4) < order_version(2**53)


def test_an_address_of_the_release_before_has_the_version_of_its_order() -> None:
    recipient = recipient_now(mail(event(about=order(version=5))), contact(5))
    assert recipient is not None
    assert recipient.email == "mara@example.com"

    recipient = recipient_now(mail(event(about=order(version=5))), contact(6))
    assert recipient is not None
    assert recipient.email == "new@example.com"


def test_without_an_address_there_is_nothing_to_send() -> None:
    assert plan(addressed(3), Knowledge(contact=contact(4, email=None))) == Nothing("erased")


def test_whoever_is_no_guest_any_more_gets_no_guests_link() -> None:
    becomes_account = recipient_now(addressed(3, guest_token="t"), contact(4))
    stays_guest = recipient_now(addressed(3, guest_token="t"), contact(4, guest=True))

    assert becomes_account is not None
    assert stays_guest is not None
    assert (becomes_account.guest_token, stays_guest.guest_token) == (None, "t")


def test_what_may_have_arrived_goes_to_no_other_address() -> None:
    doubtful = addressed(3).model_copy(update={"ambiguities": 1, "transmitted_to": "mara@example.com"})

    assert isinstance(plan(doubtful, Knowledge()), Plan)
    assert plan(doubtful, Knowledge(contact=contact(4))) == Moved()


@pytest.mark.parametrize(
    ("own", "of_address", "left"),
    [("1", "2", ["opened"]), ("3", "2", ["first", "second", "opened"]), ("", "1", ["opened"])],
    ids=["the address's is newer", "the person's is newer", "the person never chose"],
)
def test_of_what_was_chosen_by_person_and_by_address_the_newer_decides(
    own: str, of_address: str, left: list[str]
) -> None:
    said = (
        ChoicesMade(person="customer:c-7", stamp="1", messages=True, disputes=True, since={"messages": own}),
        ChoicesMade(person="address|k", stamp="2", messages=False, disputes=True, since={"messages": of_address}),
    )

    assert told(Knowledge(choices=said)) == left


def test_the_language_is_the_persons_own_choice() -> None:
    said = (
        ChoicesMade(person="address|k", stamp="2", messages=True, disputes=True),
        ChoicesMade(person="customer:c-7", stamp="1", messages=True, disputes=True, locale="fr"),
    )

    own = own_choices(Knowledge(choices=said), "customer:c-7")
    assert own is not None
    assert own.locale == "fr"
    assert own_choices(Knowledge(choices=said), "customer:c-8") is None
