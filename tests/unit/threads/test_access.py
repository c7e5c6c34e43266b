"""The table of DESIGN section 5, cell by cell."""

from typing import get_args

import pytest

from services.threads import access
from services.threads.access import Parties
from shared.callers import SHOP_SELLER_ID, Caller
from shared.errors import ProblemError
from shared.fields import DisputeOutcome, Side
from shared.queries import Action

ORDER = Parties(order_id="1042", customer_id="c-1", seller_id="s-1", guest=False)
SHOPS_ORDER = Parties(order_id="1042", customer_id="c-1", seller_id=SHOP_SELLER_ID, guest=False)
GUEST_ORDER = Parties(order_id="1043", customer_id="g-1", seller_id="s-1", guest=True)

CUSTOMER = Caller(role="customer", id="c-1", name="Carla")
OTHER_CUSTOMER = Caller(role="customer", id="c-2", name="Cem")
SELLER = Caller(role="seller", id="anna", name="Anna", seller_id="s-1")
SAME_SELLERS_OTHER_LOGIN = Caller(role="seller", id="bert", name="Bert", seller_id="s-1")
OTHER_SELLER = Caller(role="seller", id="anna", name="Anna", seller_id="s-2")
SELLER_WHO_SAYS_TO_BE_THE_SHOP = Caller(role="seller", id="anna", name="Anna", seller_id=SHOP_SELLER_ID)
SELLER_WITHOUT_ID = Caller(role="seller", id="s-1", name="Anna")
ADMIN = Caller(role="admin", id="root", name="Root")
SERVICE = Caller(role="service", id="erp", name="ERP")
GUEST = Caller(role="guest", id="g-1", name="Gast", order_id="1043")
GUEST_OF_ANOTHER_ORDER = Caller(role="guest", id="g-1", name="Gast", order_id="1044")
OTHER_GUEST = Caller(role="guest", id="g-2", name="Gast", order_id="1043")

PARTY_ACTIONS = {"post", "open_dispute", "close_dispute", "mark_read"}
MAY: list[tuple[Caller, Parties, Side | None, set[str]]] = [
    (CUSTOMER, ORDER, "customer", PARTY_ACTIONS),
    (OTHER_CUSTOMER, ORDER, None, set()),
    (SELLER, ORDER, "seller", {"post", "mark_read"}),
    (SAME_SELLERS_OTHER_LOGIN, ORDER, "seller", {"post", "mark_read"}),
    (OTHER_SELLER, ORDER, None, set()),
    (SELLER_WITHOUT_ID, ORDER, None, set()),
    (ADMIN, ORDER, "shop", PARTY_ACTIONS | {"redact", "watch"}),
    (SERVICE, ORDER, None, set()),
    (GUEST, GUEST_ORDER, "customer", PARTY_ACTIONS),
    (GUEST_OF_ANOTHER_ORDER, GUEST_ORDER, None, set()),
    (OTHER_GUEST, GUEST_ORDER, None, set()),
    (CUSTOMER, GUEST_ORDER, None, set()),
    (CUSTOMER, SHOPS_ORDER, "customer", PARTY_ACTIONS),
    (OTHER_CUSTOMER, SHOPS_ORDER, None, set()),
    (SELLER, SHOPS_ORDER, None, set()),
    (SELLER_WHO_SAYS_TO_BE_THE_SHOP, SHOPS_ORDER, None, set()),
    (SELLER_WITHOUT_ID, SHOPS_ORDER, None, set()),
    (ADMIN, SHOPS_ORDER, "shop", PARTY_ACTIONS | {"redact", "watch"}),
    (SERVICE, SHOPS_ORDER, None, set()),
]


@pytest.mark.parametrize(("caller", "parties", "side", "allowed"), MAY)
@pytest.mark.parametrize("action", get_args(Action))
def test_each_cell_of_the_table_is_decided_as_the_design_says(
    caller: Caller, parties: Parties, side: Side | None, allowed: set[str], action: Action
) -> None:
    assert access.side_of(caller, parties) == side
    assert access.may(caller, action, parties) == (action in allowed)


@pytest.mark.parametrize(("caller", "parties", "side", "allowed"), MAY)
@pytest.mark.parametrize("action", get_args(Action))
def test_what_is_refused_is_not_found_for_strangers_and_not_allowed_for_parties(
    caller: Caller, parties: Parties, side: Side | None, allowed: set[str], action: Action
) -> None:
    if action in allowed:
        assert access.require(caller, action, parties) == side
        return
    with pytest.raises(ProblemError) as refused:
        access.require(caller, action, parties)
    assert refused.value.problem.code == ("not_found" if side is None else "not_allowed")


@pytest.mark.parametrize(("caller", "parties", "side", "allowed"), MAY)
@pytest.mark.parametrize("dispute_open", [True, False])
def test_available_actions_are_the_table_less_the_disputes_other_step(
    caller: Caller, parties: Parties, side: Side | None, allowed: set[str], dispute_open: bool
) -> None:
    shown = access.available_actions(caller, parties, dispute_open=dispute_open)

    assert set(shown) == allowed - {"open_dispute" if dispute_open else "close_dispute"}


@pytest.mark.parametrize("outcome", get_args(DisputeOutcome))
def test_a_customer_closes_with_what_happened_and_only_the_shop_rejects(outcome: DisputeOutcome) -> None:
    access.require_outcome("shop", outcome)
    if outcome != "rejected":
        access.require_outcome("customer", outcome)
        return
    with pytest.raises(ProblemError) as refused:
        access.require_outcome("customer", outcome)
    assert refused.value.problem.code == "not_allowed"
    assert refused.value.problem.detail == (
        "As the customer of this order you may not close a dispute as rejected, but as resolved, refunded, replaced or withdrawn."
    )


def test_a_guests_link_ends_when_the_order_belongs_to_an_account() -> None:
    same_id = Parties(order_id="1043", customer_id="g-1", seller_id="s-1", guest=False)

    assert access.side_of(GUEST, same_id) is None


def test_inboxes_are_shared_by_a_sellers_logins_and_by_all_admins() -> None:
    assert access.inbox_key(SELLER) == access.inbox_key(SAME_SELLERS_OTHER_LOGIN) == "seller:s-1"
    assert access.inbox_key(ADMIN) == "shop"
    assert access.inbox_key(CUSTOMER) == "customer:c-1"
    assert access.inbox_key(SERVICE) is None
