"""The demo shop's own orders and tokens are what Parley takes."""

import json
from decimal import Decimal
from pathlib import Path

import pytest

from deploy.local.credentials import Credentials
from deploy.local.errors import StackError
from deploy.local.shop import demo_orders, order_event, orders_in
from deploy.local.tokens import AUDIENCE, ISSUER, TokenMint, asked_token
from shared.key_sets import DemoKeys
from shared.orders import ORDER_EVENT
from shared.tokens import Tokens, Trust


@pytest.fixture
def credentials(tmp_path: Path) -> Credentials:
    return Credentials.load_or_make(tmp_path / "secrets")


@pytest.fixture
def tokens(credentials: Credentials) -> Tokens:
    keys = DemoKeys(credentials.token_secret)
    return Tokens([Trust(ISSUER, (AUDIENCE,), keys)], link_secret=credentials.link_secret)


def test_every_demo_order_is_a_good_event_and_its_total_is_the_sum_of_its_lines() -> None:
    for order in demo_orders():
        event = ORDER_EVENT.validate_json(json.dumps(order_event(order.snapshot)))
        lines = sum(Decimal(item.price) * item.quantity for item in event.data.items)
        assert Decimal(event.data.total) == lines, order.order_id


def test_the_demo_shop_sells_itself_and_has_two_sellers_a_guest_and_several_languages_and_currencies() -> None:
    orders = demo_orders()

    assert len({order.order_id for order in orders}) == len(orders) == 12
    assert len({order.seller.id for order in orders if order.seller is not None}) == 2
    assert sum(order.seller is None for order in orders) == 4
    assert orders[0].seller is None
    assert sum(order.is_guest for order in orders) == 1
    assert len({order.customer.locale for order in orders}) >= 4
    assert len({order.snapshot["currency"] for order in orders}) >= 4


def test_a_file_that_holds_no_orders_is_told_with_its_line(tmp_path: Path) -> None:
    (tmp_path / "orders.jsonl").write_text(json.dumps(demo_orders()[0].snapshot) + "\n\n{}\n")

    with pytest.raises(StackError, match=r"orders\.jsonl, line 3 is no order"):
        orders_in(tmp_path / "orders.jsonl")


async def test_minted_tokens_are_accepted_for_what_they_say(credentials: Credentials, tokens: Tokens) -> None:
    mint = TokenMint(credentials)

    seller = (await tokens.check(mint.mint("seller", "login-3", name="Brook", seller_id="s-1"))).caller
    guest = (await tokens.check(mint.mint_guest("1007"))).caller

    assert (seller.role, seller.id, seller.seller_id, seller.name) == ("seller", "login-3", "s-1", "Brook")
    assert (guest.role, guest.order_id) == ("guest", "1007")


async def test_make_token_says_what_is_missing(credentials: Credentials, tokens: Tokens, tmp_path: Path) -> None:
    secrets = tmp_path / "secrets"

    for asked, complaint in [({}, "ROLE must be"), ({"ROLE": "admin"}, "ID is missing"), ({"ROLE": "guest"}, "ORDER")]:
        with pytest.raises(StackError, match=complaint):
            asked_token(asked, secrets)
    with pytest.raises(StackError, match="make run"):
        asked_token({"ROLE": "admin", "ID": "a-1"}, tmp_path / "elsewhere")
    token = asked_token({"ROLE": "admin", "ID": "a-1"}, secrets)

    assert (await tokens.check(token)).caller.key == "admin:a-1"


def test_secrets_are_kept_and_nobody_else_can_read_them(credentials: Credentials, tmp_path: Path) -> None:
    assert Credentials.load_or_make(tmp_path / "secrets") == credentials
    modes = {path.stat().st_mode & 0o777 for path in (tmp_path / "secrets").iterdir()}
    assert modes == {0o600}
    assert (tmp_path / "secrets").stat().st_mode & 0o777 == 0o700
