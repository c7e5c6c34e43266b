"""Contents are compared by value, whatever they are made of and however it is spelled."""

from datetime import UTC, datetime
from typing import Annotated

import pytest
from pydantic import BaseModel

from shared.contracts.values import value_digest
from shared.fields import DecimalText, Moment, Money
from tests.made import snapshot

Amounts = dict[str, list[Money | None]]


class Everything(BaseModel):
    amount: Money = "1"
    perhaps: Money | None = None
    several: list[Money] = []
    deep: Amounts = {}
    exact: Annotated[str, DecimalText()] = "0"
    text: str = "1.0"
    moment: Moment = datetime(2026, 1, 31, 9, 5, tzinfo=UTC)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ({"amount": "23"}, {"amount": "23.00"}),
        ({"amount": "0023.50"}, {"amount": "23.5"}),
        ({"amount": "-0.00"}, {"amount": "0"}),
        ({"perhaps": "999999999999.9000"}, {"perhaps": "999999999999.9"}),
        ({"several": ["1", "2.50"]}, {"several": ["1.0", "2.5"]}),
        ({"deep": {"a": ["1.00", None]}}, {"deep": {"a": ["1", None]}}),
        ({"exact": "9" * 200 + ".10"}, {"exact": "9" * 200 + ".1"}),
        ({"moment": "2026-01-31T18:05:00+01:00"}, {"moment": "2026-01-31T17:05:00.000Z"}),
        ({"perhaps": None}, {}),
    ],
)
def test_what_is_only_spelled_otherwise_is_the_same(one: dict[str, object], other: dict[str, object]) -> None:
    assert value_digest(Everything.model_validate(one)) == value_digest(Everything.model_validate(other))


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ({"amount": "23"}, {"amount": "23.01"}),
        ({"amount": "1"}, {"amount": "-1"}),
        ({"several": ["1", "2"]}, {"several": ["2", "1"]}),
        ({"exact": "9" * 200}, {"exact": "9" * 199 + "8"}),
        ({"text": "1.0"}, {"text": "1"}),
        ({"moment": "2026-01-31T17:05:00.000001Z"}, {"moment": "2026-01-31T17:05:00Z"}),
    ],
)
def test_what_is_another_value_is_another(one: dict[str, object], other: dict[str, object]) -> None:
    assert value_digest(Everything.model_validate(one)) != value_digest(Everything.model_validate(other))


def test_each_field_of_an_order_is_part_of_its_value() -> None:
    order = snapshot()
    whole = value_digest(order)
    for name in type(order).model_fields:
        assert value_digest(order, without={name}) != whole, name
