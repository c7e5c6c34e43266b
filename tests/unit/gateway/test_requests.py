"""Bodies and queries: what is refused, and that the field is named."""

import json
from datetime import UTC, datetime
from typing import Any

import pytest
from pydantic import BaseModel, RootModel, ValidationError

from services.gateway import bodies, requests
from services.gateway.bodies import refused
from services.gateway.requests import (
    ChosenPreferences,
    DisputeClosing,
    HistoryQuery,
    ImportedMessage,
    NewDispute,
    NewMessage,
    OrdersQuery,
    ReadMark,
    ReadMarks,
    ThreadsQuery,
)
from services.gateway.routes.orders import EXAMPLE as ORDER
from shared.errors import ProblemError
from shared.orders import OrderSnapshot

IMPORTED = {
    "external_id": "t-1",
    "author": {"side": "seller", "id": "s-1", "name": "Bob"},
    "text": "x",
    "written_at": "2025-12-24T18:00:00Z",
}
GOOD: list[tuple[type[BaseModel], dict[str, Any]]] = [
    (NewMessage, {"text": "Hello", "after": "a" * 42}),
    (NewDispute, {"reason": "damaged", "text": "Broken"}),
    (DisputeClosing, {"outcome": "refunded", "note": "Sorry"}),
    (ReadMark, {"up_to_seq": 3}),
    (ReadMarks, {"threads": [{"order_id": "1042", "up_to_seq": 3}]}),
    (ChosenPreferences, {"mails": {"messages": False}, "locale": "de"}),
    (ImportedMessage, IMPORTED),
]


def fields(model: type[BaseModel], body: bytes) -> list[str]:
    """The fields that a refusal names."""
    with pytest.raises(ValidationError) as raised:
        model.model_validate_json(body, strict=True)
    return [error.field for error in refused(raised.value, body).problem.errors or ()]


@pytest.mark.parametrize(("model", "body"), GOOD)
def test_what_the_documentation_shows_is_accepted(model: type[BaseModel], body: dict[str, Any]) -> None:
    model.model_validate_json(json.dumps(body), strict=True)


@pytest.mark.parametrize(("model", "body"), GOOD)
def test_an_unknown_field_is_refused_everywhere(model: type[BaseModel], body: dict[str, Any]) -> None:
    named = fields(model, json.dumps(body | {"author": "me", "is_admin": True}).encode())
    assert any(field.endswith("is_admin") for field in named)


@pytest.mark.parametrize(("model", "body"), GOOD)
def test_an_operator_of_mongodb_is_refused_in_every_field(model: type[BaseModel], body: dict[str, Any]) -> None:
    for name in body:
        injected = json.dumps(body | {name: {"$ne": None}}).encode()
        assert any(name in field for field in fields(model, injected)), name


@pytest.mark.parametrize(
    "text",
    ["", " ", "\n\t ", "a" * 10_001, "a\x00b", "😀" * 10_001],
    ids=["empty", "blank", "lines", "long", "nul", "emoji"],
)
def test_a_text_that_is_none_is_refused_with_its_field(text: str) -> None:
    assert fields(NewMessage, json.dumps({"text": text}).encode()) == ["text"]


@pytest.mark.parametrize("text", ["a", "a" * 10_000, "😀" * 10_000, "\u202e x \ufeff", " a ", "\x01a"])
def test_a_text_that_is_one_is_kept_as_it_is(text: str) -> None:
    assert NewMessage.model_validate_json(json.dumps({"text": text}), strict=True).text == text


def test_half_a_surrogate_pair_is_refused_with_its_field() -> None:
    assert fields(NewMessage, rb'{"text": "a\ud800b"}') == ["text"]
    assert fields(
        ImportedMessage, json.dumps(IMPORTED | {"author": {"side": "seller", "id": "\udfff", "name": "B"}}).encode()
    ) == ["author.id"]


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{",
        b"null",
        b"[]",
        b'"text"',
        b"\xff\xfe",
        b'{"text": NaN}',
        b"[" * 100_000,
        b'{"a":' * 10_000 + b"1" + b"}" * 10_000,
        b'{"text": "a"} {"text": "b"}',
    ],
    ids=["nothing", "half", "null", "list", "text", "no UTF-8", "NaN", "deep list", "deep object", "two"],
)
def test_what_is_no_object_of_ours_is_refused(body: bytes) -> None:
    assert fields(NewMessage, body)


@pytest.mark.parametrize("value", [-1, 2**53 + 1, 10**400, 1.5, "3", True, None])
def test_a_seq_is_a_whole_number_that_every_reader_of_json_keeps_exact(value: object) -> None:
    assert fields(ReadMark, json.dumps({"up_to_seq": value}).encode()) in (["up_to_seq"], ["body"])


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"threads": []},
        {"all": False},
        {"all": True, "threads": [{"order_id": "1", "up_to_seq": 1}]},
        {"threads": [{"order_id": "1", "up_to_seq": 1}] * 101},
        {"threads": [{"order_id": "../1", "up_to_seq": 1}]},
    ],
)
def test_marks_are_of_some_threads_or_of_all(body: dict[str, Any]) -> None:
    assert fields(ReadMarks, json.dumps(body).encode())


@pytest.mark.parametrize(
    ("model", "query"),
    [
        (OrdersQuery, {"filter": "mine"}),
        (OrdersQuery, {"limit": "0"}),
        (OrdersQuery, {"limit": "10000"}),
        (OrdersQuery, {"sort": "waiting"}),
        (ThreadsQuery, {"q": " "}),
        (ThreadsQuery, {"q": "x" * 101}),
        (ThreadsQuery, {"cursor": "a b"}),
        (ThreadsQuery, {"filter": "with_messages"}),
        (HistoryQuery, {"limit": "201"}),
        (HistoryQuery, {"before_seq": "0"}),
        (HistoryQuery, {"before_seq": "5", "after_seq": "1"}),
        (HistoryQuery, {"after_seq": "-1"}),
    ],
)
def test_a_query_that_means_nothing_is_refused(model: type[BaseModel], query: dict[str, str]) -> None:
    with pytest.raises(ValidationError):
        model.model_validate(query)


def test_every_body_and_query_refuses_what_it_does_not_name() -> None:
    found = [each for each in vars(requests).values() if isinstance(each, type) and issubclass(each, BaseModel)]
    ours = [each for each in found if each.__module__ == requests.__name__ and not issubclass(each, RootModel)]
    assert len(ours) >= 14
    assert [each for each in ours if each.model_config.get("extra") != "forbid"] == []


@pytest.mark.parametrize("moment", ["2026-01-31T09:05:00Z", "2026-01-31T10:05:00.000+01:00"])
def test_every_moment_of_an_order_is_read_from_json_as_strictly_as_the_rest(moment: str) -> None:
    """As `PUT` reads it: a text is a moment, a number is none."""
    sent = json.loads(OrderSnapshot.model_validate(ORDER).model_dump_json())
    order = bodies.validated(OrderSnapshot, json.dumps(sent | {"placed_at": moment, "updated_at": moment}).encode())
    assert order.updated_at == order.placed_at == datetime(2026, 1, 31, 9, 5, tzinfo=UTC)
    for name in ("placed_at", "updated_at"):
        with pytest.raises(ProblemError) as raised:
            bodies.validated(OrderSnapshot, json.dumps(sent | {name: 1_795_856_690}).encode())
        assert raised.value.problem.errors is not None
        assert [each.field for each in raised.value.problem.errors] == [name]
