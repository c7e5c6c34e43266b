"""An order's snapshot: with a seller, or sold by the shop itself."""

import json

import pytest
from pydantic import ValidationError

from shared import examples
from shared.orders import ORDER_EVENT, RELAYED_ORDER_EVENT, OrderSnapshot, SoldOrder, order_event
from tests.made import snapshot


def test_an_order_without_a_seller_is_sold_by_the_shop() -> None:
    given = snapshot().model_dump(mode="json", exclude={"seller"})
    for order in (given, {**given, "seller": None}):
        read = OrderSnapshot.model_validate(order)
        assert (read.seller, read.seller_id, read.sold_by) == (None, "~shop", "shop")
    assert (snapshot().seller_id, snapshot().sold_by) == ("s-1", "seller")


def test_no_shop_can_name_itself_as_a_seller_and_is_told_what_to_do() -> None:
    order = snapshot().model_dump(mode="json") | {"seller": {"id": "~shop", "name": "Lamp House"}}
    with pytest.raises(ValidationError, match="leave seller out where the shop itself sells"):
        OrderSnapshot.model_validate(order)
    event = order_event(examples.OWN_ORDER, source="erp", now=examples.NOW).model_dump_json(exclude_none=True)
    with pytest.raises(ValidationError, match="leave seller out"):
        ORDER_EVENT.validate_json(event)


@pytest.mark.parametrize("order", [snapshot(), snapshot(seller=None)], ids=["of a seller", "of the shop"])
def test_what_the_gateway_relays_is_the_order_as_it_came(order: OrderSnapshot) -> None:
    relayed = order_event(SoldOrder.of(order, shop="Lamp House"), source="gateway", now=examples.NOW)
    body = relayed.model_dump_json(exclude_none=True)
    expected = "Lamp House" if order.seller is None else order.seller.name
    assert json.loads(body)["data"]["seller"]["name"] == expected
    read = RELAYED_ORDER_EVENT.validate_json(body).data.snapshot()
    assert (read, read.model_dump_json()) == (order, order.model_dump_json())
