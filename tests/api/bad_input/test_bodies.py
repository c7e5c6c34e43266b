"""Bodies that are not as they must be: fields that nobody asked for, operators of MongoDB, other types, sizes and media types."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, Final

import pytest

from tests.api.bad_input.places import MESSAGES, ORDER, PATH, PATIENT, assert_refused
from tests.api.people import People, order_of
from tests.e2e.client import Client, Clients
from tests.extremes import MOMENTS_BEYOND

NOBODYS_ID: Final = "a" * 42
INJECTED: Final[dict[str, Any]] = {"$ne": None}


@dataclass(frozen=True)
class Body:
    """A body that would be taken, and where to send it."""

    method: str
    path: str
    role: str
    content: dict[str, Any] = field(default_factory=dict)


ORDER_BODY: Final = order_of("4000").model_dump(mode="json")
BODIES: Final = (
    Body("PUT", "/v1/orders/4000", "service", ORDER_BODY),
    Body("POST", MESSAGES, "customer", {"text": "Hello", "after": NOBODYS_ID}),
    Body(
        "POST",
        f"{MESSAGES}/import",
        "service",
        {
            "external_id": "old-1",
            "author": {"side": "customer", "id": "c-7", "name": "Ada"},
            "text": "Old",
            "written_at": "2025-12-24T18:00:00Z",
        },
    ),
    Body("POST", f"{MESSAGES}/{NOBODYS_ID}/redact", "admin", {"reason": "abuse"}),
    Body("POST", f"{PATH}/dispute", "customer", {"reason": "damaged", "text": "Broken"}),
    Body("POST", f"{PATH}/dispute/close", "customer", {"outcome": "refunded", "note": "Thanks"}),
    Body("PUT", f"{PATH}/read", "customer", {"up_to_seq": 1}),
    Body("POST", "/v1/threads/read", "customer", {"threads": [{"order_id": ORDER, "up_to_seq": 1}]}),
    Body("POST", "/v1/threads/read", "customer", {"all": True}),
    Body("PUT", "/v1/me/preferences", "customer", {"mails": {"messages": True, "disputes": True}, "locale": "de"}),
    Body("PUT", f"{PATH}/preferences", "customer", {"mails": {"messages": True, "disputes": True}}),
    Body("PUT", "/v1/shop/preferences", "admin", {"mails": {"messages": True, "disputes": True}, "locale": "de"}),
    Body("POST", "/v1/guest-sessions", "nobody", {"token": "x.y.z"}),
)
NAMES: Final = [f"{body.method} {body.path} {'/'.join(body.content)}" for body in BODIES]


def variants(value: Any, place: str = "") -> Iterator[tuple[str, Any]]:
    """The content with `{"$ne": null}` in the place of one of its fields, for each field at every depth."""
    match value:
        case dict():
            for name, inner in value.items():
                where = f"{place}.{name}".lstrip(".")
                yield where, {**value, name: INJECTED}
                yield from ((deeper, {**value, name: changed}) for deeper, changed in variants(inner, where))
        case list():
            for number, inner in enumerate(value):
                for deeper, changed in variants(inner, f"{place}.{number}"):
                    yield deeper, [*value[:number], changed, *value[number + 1 :]]
        case _:
            return


def with_unknown(value: Any) -> Iterator[Any]:
    """The content with an unknown field in one of its objects, for each object at every depth."""
    match value:
        case dict():
            yield {**value, "is_admin": True}
            for name, inner in value.items():
                yield from ({**value, name: changed} for changed in with_unknown(inner))
        case list():
            for number, inner in enumerate(value):
                yield from ([*value[:number], changed, *value[number + 1 :]] for changed in with_unknown(inner))
        case _:
            return


def sender(api: Clients, people: People, role: str) -> Client:
    tokens = {"customer": people.customer(), "service": people.service(), "admin": people.admin(), "nobody": None}
    return api.with_token(tokens[role])


async def test_every_body_of_the_api_is_among_those_that_are_tried(api: Clients) -> None:
    document = (await api.with_token(None).get("/openapi.json")).body
    described = {
        f"{method.upper()} {path}"
        for path, operations in document["paths"].items()
        for method, each in operations.items()
        if "application/json" in each.get("requestBody", {}).get("content", {})
    }
    ids = {ORDER: "{order_id}", "4000": "{order_id}", NOBODYS_ID: "{message_id}"}
    tried = {f"{body.method} {'/'.join(ids.get(part, part) for part in body.path.split('/'))}" for body in BODIES}
    assert tried == described


@pytest.mark.parametrize("body", BODIES, ids=NAMES)
async def test_a_field_that_nobody_asked_for_is_refused_at_every_depth(
    api: Clients, people: People, body: Body
) -> None:
    client = sender(api, people, body.role)
    for content in with_unknown(body.content):
        assert_refused(await client.call(body.method, body.path, content), name="is_admin")


@pytest.mark.parametrize("body", BODIES, ids=NAMES)
async def test_an_operator_of_mongodb_in_the_place_of_a_field_is_refused_with_its_name(
    api: Clients, people: People, body: Body
) -> None:
    client = sender(api, people, body.role)
    for place, content in variants(body.content):
        assert_refused(await client.call(body.method, body.path, content), name=place.rpartition(".")[2])


@pytest.mark.parametrize("body", BODIES, ids=NAMES)
async def test_a_body_that_is_no_object_is_refused(api: Clients, people: People, body: Body) -> None:
    client = sender(api, people, body.role)
    for raw in (b"null", b"[]", b'"text"', b"7", b"{", b"\xff\xfe", b"{}x", b"[" * 5_000, b'{"a":' * 5_000):
        answer = await client.call(body.method, body.path, raw)
        assert (answer.status, answer.problem) == (422, "invalid_request"), (raw[:20], answer)


@pytest.mark.parametrize("body", BODIES, ids=NAMES)
@pytest.mark.parametrize(
    "media_type",
    [
        "text/plain",
        "application/x-www-form-urlencoded",
        "multipart/form-data; boundary=x",
        "application/json; charset=iso-8859-1",
        "application/xml",
        "application/jsonp",
        "*/*",
    ],
)
async def test_another_media_type_than_json_is_refused(
    api: Clients, people: People, body: Body, media_type: str
) -> None:
    client = sender(api, people, body.role)
    answer = await client.call(body.method, body.path, b"{}", Content_Type=media_type)
    assert (answer.status, answer.problem) == (415, "unsupported_media_type")


@pytest.mark.parametrize(
    ("method", "path", "content", "name"),
    [
        ("POST", f"{PATH}/dispute/close", {"outcome": "won"}, "outcome"),
        ("POST", f"{PATH}/dispute/close", {"outcome": None}, "outcome"),
        ("POST", f"{PATH}/dispute/close", {}, "outcome"),
        ("POST", f"{PATH}/dispute", {"reason": "because", "text": "x"}, "reason"),
        ("POST", f"{PATH}/dispute", {"reason": "damaged", "text": " "}, "text"),
        ("PUT", f"{PATH}/read", {"up_to_seq": -1}, "up_to_seq"),
        ("PUT", f"{PATH}/read", {"up_to_seq": "1"}, "up_to_seq"),
        ("PUT", f"{PATH}/read", {"up_to_seq": 0.5}, "up_to_seq"),
        ("PUT", f"{PATH}/read", {"up_to_seq": True}, "up_to_seq"),
        ("PUT", f"{PATH}/read", {"up_to_seq": 2**53 + 1}, "up_to_seq"),
        ("PUT", f"{PATH}/read", {"up_to_seq": 9_999}, "up_to_seq"),
        ("POST", "/v1/threads/read", {"threads": []}, "threads"),
        ("POST", "/v1/threads/read", {"threads": [{"order_id": "x", "up_to_seq": 0}] * 101}, "threads"),
        ("POST", "/v1/threads/read", {"all": False}, "all"),
        ("PUT", "/v1/me/preferences", {"locale": "german, please"}, "locale"),
        ("PUT", "/v1/me/preferences", {"mails": {"messages": "no"}}, "messages"),
        ("POST", MESSAGES, {"text": "x", "after": "not an id"}, "after"),
    ],
)
async def test_a_value_outside_its_range_is_refused_with_its_field(
    customer: Client, method: str, path: str, content: object, name: str
) -> None:
    assert_refused(await customer.call(method, path, content, **PATIENT), name=name)


async def test_marks_of_several_threads_name_the_one_whose_end_was_passed(customer: Client) -> None:
    marks = [
        {"order_id": ORDER, "up_to_seq": 1},
        {"order_id": "1043", "up_to_seq": 77},
        {"order_id": "2000", "up_to_seq": 0},
    ]
    answer = await customer.call("POST", "/v1/threads/read", {"threads": marks}, **PATIENT)
    assert (answer.status, answer.body["marked"]) == (200, 1)
    statuses = [each.get("problem", {}).get("status") for each in answer.body["threads"]]
    assert statuses == [None, 422, 404]


async def test_a_body_that_is_too_large_is_refused(customer: Client) -> None:
    answer = await customer.call("POST", MESSAGES, b'{"text": "' + b"x" * 200_000 + b'"}')
    assert (answer.status, answer.problem) == (413, "too_large")


@pytest.mark.parametrize("moment", MOMENTS_BEYOND)
async def test_a_moment_beyond_the_calendar_in_utc_is_refused_with_its_field(api: Clients, moment: str) -> None:
    service = api.service()
    order = {**ORDER_BODY, "placed_at": moment}
    assert_refused(await service.call("PUT", "/v1/orders/4000", order), name="placed_at")
    old = {
        "external_id": moment,
        "author": {"side": "customer", "id": "c-7", "name": "Ada"},
        "text": "Old",
        "written_at": moment,
    }
    assert_refused(await service.call("POST", f"{MESSAGES}/import", old, **PATIENT), name="written_at")
    assert (await api.admin().get("/v1/orders/4000")).status == 404


@pytest.mark.parametrize("party", ["customer", "seller"])
@pytest.mark.parametrize(
    "email",
    ["a@b@c.example", "a@-x.example", "a@x..y", "a@x_y.example", "a@😀.example", "a@127.0.0.1", "a\u202e@x.example"],
)
async def test_an_address_that_no_mail_can_be_sent_to_is_refused_at_the_put(
    api: Clients, people: People, party: str, email: str
) -> None:
    content = {**ORDER_BODY, party: {**ORDER_BODY[party], "email": email}}
    answer = await api.with_token(people.service()).call("PUT", "/v1/orders/4000", content)
    assert_refused(answer, name=f"{party}.email")
    assert email not in str(answer.body)
