"""Keys: what is joined is parsed again, main's are spelled as they always were, and no two things share one."""

from itertools import product

import pytest
from pydantic import TypeAdapter, ValidationError

from shared.contracts.keys import MAIN_SHOP, Key, ShopId, join_key, parse_key

SHOPS = (MAIN_SHOP, "a", "0", "shop-2", "x" * 32)
IDS = ("1042", "customer:c-7", "auth0|65f", "|", "a||b", "", "ä 火", "main", "~t4", "a.b:c~d", "guest:1042")
WITHOUT_BAR = tuple(each for each in IDS if "|" not in each)


def test_a_key_of_main_is_spelled_as_it_was_before_there_were_shops() -> None:
    assert join_key("1042", "customer:c-7") == "1042|customer:c-7"
    assert join_key("1042") == "1042"


def test_another_shops_key_begins_with_the_shop() -> None:
    assert join_key("1042", "seller", shop_id="lamps") == "lamps\x1f1042|seller"


@pytest.mark.parametrize("shop_id", SHOPS)
@pytest.mark.parametrize("count", [1, 2, 3])
def test_what_was_joined_is_parsed_again(shop_id: str, count: int) -> None:
    made = [(*firsts, last) for firsts in product(WITHOUT_BAR, repeat=count - 1) for last in IDS]

    parsed = [parse_key(join_key(*parts, shop_id=shop_id), parts=count) for parts in made]

    assert parsed == [Key(shop_id, parts) for parts in made]


def test_no_two_things_share_a_key() -> None:
    things = list(product(SHOPS, WITHOUT_BAR, IDS))

    keys = {join_key(first, last, shop_id=shop_id) for shop_id, first, last in things}

    assert len(keys) == len(things)


@pytest.mark.parametrize(
    ("parts", "shop_id"),
    [
        ((), MAIN_SHOP),
        (("a\x1fb",), MAIN_SHOP),
        (("a|b", "c"), MAIN_SHOP),
        (("a",), "Lamps"),
        (("a",), ""),
        (("a",), "-a"),
        (("a",), "x" * 33),
        (("a",), "lamps\n"),
        (("a",), "a\x1fb"),
    ],
)
def test_what_could_not_be_parsed_again_is_not_joined(parts: tuple[str, ...], shop_id: str) -> None:
    with pytest.raises(ValueError, match=r"key|shop id"):
        join_key(*parts, shop_id=shop_id)


@pytest.mark.parametrize(
    "key", ["1042", "main\x1f1042|seller", "Lamps\x1f1042|seller", "\x1f1042|seller", "a\x1fb\x1fc|d"]
)
def test_what_nobody_joined_is_not_parsed(key: str) -> None:
    with pytest.raises(ValueError, match=r"key|shop id"):
        parse_key(key, parts=2)


@pytest.mark.parametrize("shop_id", SHOPS)
def test_a_shop_id_is_one_in_contracts_too(shop_id: str) -> None:
    assert TypeAdapter(ShopId).validate_python(shop_id) == shop_id


@pytest.mark.parametrize("shop_id", ["Lamps", "", "-a", "x" * 33, "lamps\n", "a b", "ä", "a\x1fb"])
def test_what_is_no_shop_id_is_none_in_contracts_either(shop_id: str) -> None:
    with pytest.raises(ValidationError):
        TypeAdapter(ShopId).validate_python(shop_id)
