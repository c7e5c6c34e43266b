"""What each side sees of a stored document, and what is new for whom."""

from datetime import UTC, datetime
from typing import Any

import pytest

from services.threads import views
from services.threads.views import Mark
from shared.callers import Caller
from shared.commands import MailChoices
from shared.queries import PartyView, Preferences

NOW = datetime(2026, 3, 1, 9, 0, tzinfo=UTC)
CUSTOMER = Caller(role="customer", id="c-1", name="Carla")
ANNA = Caller(role="seller", id="anna", name="Anna", seller_id="s-1")
BERT = Caller(role="seller", id="bert", name="Bert", seller_id="s-1")
ADMIN = Caller(role="admin", id="root", name="Root")
ID = "a" * 42


def order(**changes: Any) -> dict[str, Any]:
    return {
        "status": "shipped",
        "placed_at": NOW,
        "url": "https://shop.example/1042",
        "customer": {"id": "c-1", "name": "Carla", "guest": False},
        "seller": {"id": "s-1", "name": "Lamps Ltd"},
        "first_item": "Lamp",
        "item_count": 2,
        "total": "39.80",
        "currency": "EUR",
        **changes,
    }


def thread(*, persons: dict[str, int], imported: int = 0, **changes: Any) -> dict[str, Any]:
    """A thread whose entries were made by these persons, after those that were imported."""
    seq = imported + sum(persons.values())
    return {
        "_id": "1042",
        "order": order(),
        "seq": seq,
        "after": {
            "persons": [{"person": person, "count": count} for person, count in persons.items()],
            "imported": imported,
            "dispute": None,
            "waiting_since": None,
        },
        "last": {
            "seq": seq,
            "kind": "text",
            "author": {"side": "seller", "person": "seller:anna", "name": "Anna"},
            "excerpt": "Hi",
            "at": NOW,
        },
        "unread": {"customer": 2, "seller": 3, "shop": 5},
        **changes,
    }


def entry(**changes: Any) -> dict[str, Any]:
    return {
        "_id": ID,
        "order_id": "1042",
        "seq": 3,
        "kind": "text",
        "author": {"side": "seller", "person": "seller:anna", "name": "Anna"},
        "text": "Hi",
        "redacted": False,
        "imported": False,
        "accepted_at": datetime(2025, 1, 1, tzinfo=UTC),
        "committed_at": NOW,
        **changes,
    }


@pytest.mark.parametrize(
    ("person", "mark", "expected"),
    [
        ("customer", Mark(), 3),
        ("customer", Mark(seq=5, own=2), 0),
        ("customer", Mark(seq=2, own=1), 2),
        ("seller:anna", Mark(), 3),
        ("seller:bert", Mark(), 4),
        ("admin:root", Mark(), 5),
    ],
)
def test_new_for_a_person_is_what_others_wrote_above_their_own_mark(person: str, mark: Mark, expected: int) -> None:
    stored = thread(persons={"customer": 2, "seller:anna": 2, "seller:bert": 1})

    assert views.new_for(person, stored, mark) == expected


def test_what_was_imported_is_new_for_nobody() -> None:
    stored = thread(persons={"customer": 1}, imported=40)

    assert views.new_for("seller:anna", stored, Mark()) == 1
    assert not views.message(
        entry(imported=True, author={"side": "customer", "person": "customer", "name": "C"}), "seller:anna", Mark()
    ).new


def test_an_imported_message_shows_its_own_time_and_any_other_the_time_it_was_committed() -> None:
    assert views.message(entry(imported=True), "customer", Mark()).at == datetime(2025, 1, 1, tzinfo=UTC)
    assert views.message(entry(), "customer", Mark()).at == NOW


def test_an_own_message_is_mine_and_never_new_but_a_colleagues_is() -> None:
    own = views.message(entry(), ANNA.person, Mark())
    colleagues = views.message(entry(), BERT.person, Mark())
    read = views.message(entry(), BERT.person, Mark(seq=3, own=0))

    assert (own.mine, own.new) == (True, False)
    assert (colleagues.mine, colleagues.new) == (False, True)
    assert (read.mine, read.new) == (False, False)


def test_a_row_counts_for_the_inbox_and_for_the_person() -> None:
    stored = thread(persons={"customer": 2, "seller:anna": 2, "seller:bert": 1})

    row = views.thread_row(stored, BERT, "seller", Mark(seq=2, own=0), shop="Shop")

    assert (row.thread.unread, row.thread.new_for_me) == (3, 2)
    assert row.thread.active_at == NOW
    assert row.messages == "/v1/orders/1042/messages"


def test_an_order_that_nobody_has_written_about_is_an_empty_thread() -> None:
    stored = {"_id": "1042", "order": order(), "unread": {"customer": 0, "seller": 0, "shop": 0}}

    row = views.thread_row(stored, CUSTOMER, "customer", Mark(), shop="Shop")

    assert (row.thread.last_seq, row.thread.unread, row.thread.new_for_me) == (0, 0, 0)
    assert (row.thread.last, row.thread.dispute, row.thread.waiting_since) == (None, None, None)


@pytest.mark.parametrize(("caller", "shown"), [(CUSTOMER, "c-1"), (ANNA, None), (ADMIN, "c-1")])
def test_a_seller_sees_the_customers_name_but_not_their_id(caller: Caller, shown: str | None) -> None:
    assert caller.side is not None

    summary = views.order_summary(thread(persons={}), caller.side, shop="Shop")

    assert (summary.customer.id, summary.customer.name) == (shown, "Carla")


@pytest.mark.parametrize("caller", [CUSTOMER, ANNA, ADMIN])
def test_no_address_and_no_login_of_anybody_is_shown(caller: Caller) -> None:
    snapshot = {
        **order(),
        "order_id": "1042",
        "version": 3,
        "customer": {"id": "c-1", "name": "Carla", "email": "carla@mail.example", "locale": "de", "guest": False},
        "seller": {"id": "s-1", "name": "Lamps Ltd", "email": "lamps@mail.example", "locale": "en"},
        "items": [{"sku": "x", "name": "Lamp", "quantity": 1, "price": "19.90"}],
    }
    assert caller.side is not None

    view = views.order_view(
        thread(persons={"seller:anna": 1}), snapshot, caller, caller.side, Mark(), watching=None, shop="Shop"
    )

    assert "@" not in view.model_dump_json()
    assert "seller:anna" not in view.model_dump_json()


@pytest.mark.parametrize("caller", [CUSTOMER, ADMIN])
def test_where_the_shop_itself_sells_it_is_called_by_its_name(caller: Caller) -> None:
    stored = thread(persons={}, order={**order(), "seller": {"id": "~shop", "name": ""}})
    for seller in (None, {"id": "~shop", "name": "What it was called before"}):
        snapshot = {**order(), "order_id": "1042", "version": 3, "customer": order()["customer"], "seller": seller}
        assert caller.side is not None
        details = views.order_details(stored, {**snapshot, "items": []}, caller.side, shop="Lamp House")
        assert (details.seller, details.sold_by) == (PartyView(id="~shop", name="Lamp House"), "shop")
    summary = views.order_summary(stored, "customer", shop="Lamp House")
    assert (summary.seller, summary.sold_by) == (PartyView(id="~shop", name="Lamp House"), "shop")


def test_a_disputes_view_has_the_etag_that_if_match_takes_and_shows_no_logins() -> None:
    author = {"side": "customer", "person": "customer", "name": "Carla"}
    stored = {"id": ID, "state": "open", "reason": "damaged", "opened_by": author, "opened_at": NOW, "opened_seq": 1}

    view = views.dispute_view(stored)

    assert view is not None
    assert view.etag == f'"{ID}.open"'
    assert view.opened_by.model_dump() == {"side": "customer", "name": "Carla"}


def test_an_order_number_stands_in_paths_as_it_is_or_quoted() -> None:
    assert views.messages_path("A:1~b.c_d-e") == "/v1/orders/A:1~b.c_d-e/messages"


def test_without_a_choice_all_mails_come_in_the_orders_language() -> None:
    assert views.preferences(None) == Preferences(mails=MailChoices(), locale=None, time_zone=None)
