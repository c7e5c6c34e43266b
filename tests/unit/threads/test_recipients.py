"""Who is mailed about an entry."""

import itertools
from dataclasses import replace
from datetime import UTC, datetime

import pytest

from services.threads.recipients import (
    Addressee,
    Choices,
    Watcher,
    addressees,
    one_a_mailbox,
    parties_by_mail,
    wanted,
)
from services.threads.thread import Entry, Made, Thread, decide
from shared.contracts.choices import scopes
from tests.made import ADMIN, CUSTOMER, SELLER, close_dispute, open_dispute, post, snapshot
from tests.unit.threads.test_thread import WITHOUT

NOW = datetime(2026, 11, 23, 9, 0, tzinfo=UTC)
WATCHER = Watcher(
    order_id="1042", person="admin:a-1", name="Staff", email="staff@example.com", locale="en", version="0"
)
ADMINISTRATORS = Addressee("shop", "shop", "Administrators", "admins@example.com", "en", "0")


def _scopes(each: Addressee, order_id: str) -> tuple[str, ...]:
    """On the customer's side the address counts too; it stands for itself here."""
    return scopes(each.person, each.email if each.inbox == "customer" else None, order_id)


def _entries(*commands: object) -> list[Entry]:
    thread: Thread = WITHOUT
    entries = []
    for command in commands:
        decision = decide(command, thread, digest="d", now=NOW)  # type: ignore[arg-type]  # any entry command
        assert isinstance(decision, Made)
        thread = decision.thread
        entries.append(decision.entry)
    return entries


def _persons(entry: Entry) -> list[str]:
    people = addressees(entry, parties_by_mail(snapshot(), "0"), watchers=[WATCHER], administrators=ADMINISTRATORS)
    return [each.person for each in people]


def test_the_other_party_and_the_watchers_are_mailed() -> None:
    [by_customer, by_seller] = _entries(post("question"), post("answer", by=SELLER))
    assert _persons(by_customer) == ["seller:s-1", "admin:a-1"]
    assert _persons(by_seller) == ["customer:c-7", "admin:a-1"]


def test_a_watcher_is_not_mailed_their_own_words() -> None:
    [by_admin] = _entries(post("from the shop", by=ADMIN))
    assert _persons(by_admin) == ["customer:c-7", "seller:s-1"]


def test_administrators_are_mailed_from_the_opening_of_a_dispute_to_its_end() -> None:
    entries = _entries(
        post("before"), open_dispute(), post("meanwhile", by=SELLER), close_dispute(), post("afterwards", by=CUSTOMER)
    )
    assert ["shop" in _persons(entry) for entry in entries] == [False, True, True, True, False]


def test_where_the_shop_itself_sells_its_mailbox_gets_all_that_the_customer_writes_and_nothing_of_its_own_side() -> (
    None
):
    entries = _entries(post("question"), post("answer", by=ADMIN), open_dispute(), close_dispute(by=ADMIN))
    told = [
        addressees(
            entry,
            parties_by_mail(snapshot(seller=None), "0"),
            sold_by="shop",
            watchers=[WATCHER],
            administrators=ADMINISTRATORS,
        )
        for entry in entries
    ]
    assert [[each.person for each in people] for people in told] == [
        ["shop", "admin:a-1"],
        ["customer:c-7"],
        ["shop", "admin:a-1"],
        ["customer:c-7"],
    ]


def test_a_person_without_an_address_is_not_mailed() -> None:
    order = snapshot()
    assert order.seller is not None
    silent = order.model_copy(update={"seller": order.seller.model_copy(update={"email": None})})
    [entry] = _entries(post("question"))
    assert addressees(entry, parties_by_mail(silent, "0"), watchers=[], administrators=None) == []


def test_a_guest_is_known_by_their_order() -> None:
    order = snapshot()
    guests = order.model_copy(update={"customer": order.customer.model_copy(update={"guest": True})})
    [entry] = _entries(post("answer", by=SELLER))
    [guest] = addressees(entry, parties_by_mail(guests, "0"), watchers=[], administrators=None)
    assert (guest.person, guest.guest) == ("guest:1042", True)


def test_what_is_switched_off_is_not_mailed_and_the_language_is_the_persons_own() -> None:
    [text, opened] = _entries(post("question"), open_dispute())
    choices = {"seller:s-1": Choices(messages=False, locale="de")}
    people = addressees(text, parties_by_mail(snapshot(), "0"), watchers=[], administrators=None)
    assert wanted(people, text, choices, _scopes) == []
    [seller] = wanted(
        addressees(opened, parties_by_mail(snapshot(), "0"), watchers=[], administrators=None), opened, choices, _scopes
    )
    assert seller.locale == "de"


def test_people_are_addressed_in_the_order_customer_seller_shop_watcher() -> None:
    [_, by_seller, by_customer] = _entries(open_dispute(), post("sorry", by=SELLER), post("well"))
    assert _persons(by_seller) == ["customer:c-7", "shop", "admin:a-1"]
    assert _persons(by_customer) == ["seller:s-1", "shop", "admin:a-1"]


def test_one_mailbox_is_mailed_once_as_the_first_of_those_who_have_it() -> None:
    places = [Addressee(person, "shop", person, f"{person}@example.com", "en", "0") for person in "abcd"]

    for first, second in itertools.combinations(range(4), 2):
        same = [replace(each, email="One@Example.com") if at == second else each for at, each in enumerate(places)]
        same[first] = replace(same[first], email="one@example.com")
        mailed = one_a_mailbox(same)
        assert [each.person for each in mailed] == [each.person for at, each in enumerate(places) if at != second]
    assert one_a_mailbox(places) == places


def test_whoever_wants_no_mails_in_one_place_gets_them_in_the_other() -> None:
    """A person who bought in their own shop and switched that off still watches."""
    [text] = _entries(post("answer", by=SELLER))
    [customer] = addressees(text, parties_by_mail(snapshot(), "0"), watchers=[], administrators=None)
    watcher = Addressee("admin:a-2", "shop", "Colleague", customer.email, "en", "0")

    mailed = one_a_mailbox(wanted([customer, watcher], text, {customer.person: Choices(messages=False)}, _scopes))

    assert [each.person for each in mailed] == ["admin:a-2"]


@pytest.mark.parametrize(
    ("own", "of_address", "mailed"),
    [
        (None, (False, "2"), False),
        ((True, "1"), (False, "2"), False),
        ((True, "3"), (False, "2"), True),
        ((False, "3"), (True, "4"), True),
        ((False, "3"), None, False),
        ((True, ""), (False, "1"), False),
    ],
)
def test_of_what_was_chosen_by_person_and_by_address_the_newer_decides(
    own: tuple[bool, str] | None, of_address: tuple[bool, str] | None, mailed: bool
) -> None:
    [_, text] = _entries(post("question"), post("answer", by=SELLER))
    people = addressees(text, parties_by_mail(snapshot(), "0"), watchers=[], administrators=None)
    said = {"customer:c-7": own, "address|ada@example.com": of_address, "address|seller@example.com": (False, "9")}
    choices = {
        scope: Choices(messages=each[0], since={"messages": each[1]})
        for scope, each in said.items()
        if each is not None
    }

    assert bool(wanted(people, text, choices, _scopes)) is mailed
