"""Bad input: each kind has one defined answer, and changes nothing."""

import asyncio
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, Final

import aiohttp
import pytest

from tests.api.people import HOUR_S, People, order_of, order_of_guest, sign
from tests.e2e.client import Answer, Client, Clients
from tests.servers.parley import CREDENTIALS, Parley

ORDER: Final = "1042"
PATH: Final = f"/v1/orders/{ORDER}"
MESSAGES: Final = f"{PATH}/messages"
NOBODYS_ID: Final = "a" * 42
INJECTED: Final[dict[str, Any]] = {"$ne": None}
PATIENT: Final = {"Prefer": "wait=10"}
GOOD: Final = {"text": "Hello"}


@pytest.fixture(scope="module")
async def api(api: Clients, people: People) -> Clients:
    """The module's clients, with two orders of one customer and seller, one of other people, and one of a guest."""
    orders = [order_of(ORDER), order_of("1043"), order_of("2000", customer="c-8", seller="s-2")]
    await asyncio.gather(*(api.put_order(order) for order in [*orders, order_of_guest("3000")]))
    customer = api.with_token(people.customer())
    for order_id in (ORDER, "1043"):
        assert (await customer.post("The first", order_id=order_id, **PATIENT)).status == 201
    return api


@pytest.fixture
def customer(api: Clients, people: People) -> Client:
    return api.with_token(people.customer())


@pytest.fixture
def admin(api: Clients, people: People) -> Client:
    return api.with_token(people.admin())


def fields(answer: Answer) -> list[str]:
    """The fields that the problem names."""
    return [error["field"] for error in answer.body["errors"]]


def assert_refused(answer: Answer, *, name: str) -> None:
    """422, and the field is named."""
    assert (answer.status, answer.problem) == (422, "invalid_request"), answer
    assert any(name in each for each in fields(answer)), (name, answer.body)


# Queries.


@pytest.mark.parametrize(
    ("query", "name"),
    [
        ("filter=mine", "filter"),
        ("filter=", "filter"),
        ("filter=Unread", "filter"),
        ("sort=oldest", "sort"),
        ("limit=0", "limit"),
        ("limit=10000", "limit"),
        ("limit=101", "limit"),
        ("limit=-1", "limit"),
        ("limit=1.5", "limit"),
        ("limit=ten", "limit"),
        ("q=", "q"),
        ("q=%20%20", "q"),
        ("q=%00", "q"),
        (f"q={'x' * 101}", "q"),
        ("customer_id=c-8", "customer_id"),
        ("filter[$ne]=null", "filter[$ne]"),
        ('filter={"$ne":null}', "filter"),
        ('limit={"$ne":null}', "limit"),
        ("cursor=", "cursor"),
        ("cursor=never-one-of-ours", "cursor"),
        ('cursor={"$ne":null}', "cursor"),
        (f"cursor={'x' * 600}", "cursor"),
        (f"cursor={'x' * 2000}", "cursor"),
    ],
)
async def test_a_bad_query_of_a_list_is_refused_with_the_parameter(customer: Client, query: str, name: str) -> None:
    assert_refused(await customer.get(f"/v1/threads?{query}"), name=name)


async def test_what_looks_like_a_query_to_mongodb_is_only_looked_for(customer: Client) -> None:
    answer = await customer.get('/v1/threads?q={"$ne":null}')
    assert (answer.status, answer.body["items"]) == (200, [])


@pytest.mark.parametrize(
    ("query", "name"),
    [
        ("limit=0", "limit"),
        ("limit=10000", "limit"),
        ("before_seq=0", "before_seq"),
        ("before_seq=-1", "before_seq"),
        (f"after_seq={2**53 + 1}", "after_seq"),
        ("after_seq=1&before_seq=9", ""),
        ("after_seq[$gt]=0", "after_seq[$gt]"),
        ('before_seq={"$ne":null}', "before_seq"),
        ("seq=1", "seq"),
    ],
)
async def test_a_bad_query_of_a_history_is_refused_with_the_parameter(customer: Client, query: str, name: str) -> None:
    assert_refused(await customer.get(f"{MESSAGES}?{query}"), name=name)


async def test_a_cursor_counts_only_as_it_was_given_and_where_it_was_given(api: Clients, people: People) -> None:
    customer = api.with_token(people.customer())
    page = await customer.get("/v1/threads?limit=1")
    following = page.body["next"]
    assert (await customer.get(following)).status == 200
    base, cursor = following.split("cursor=")
    changed = [
        cursor[:position] + ("A" if cursor[position] != "A" else "B") + cursor[position + 1 :]
        for position in (0, 5, 20, 40, -2)
    ]
    for tampered in [*changed, cursor[:-1], cursor + "A", cursor.swapcase(), cursor[::-1]]:
        assert_refused(await customer.get(f"{base}cursor={tampered}"), name="cursor")
    elsewhere = [
        f"/v1/orders?limit=1&cursor={cursor}",
        f"/v1/threads?limit=1&filter=unread&cursor={cursor}",
        f"/v1/threads?limit=1&sort=waiting&cursor={cursor}",
        f"/v1/threads?limit=1&q=1042&cursor={cursor}",
    ]
    for path in elsewhere:
        assert_refused(await customer.get(path), name="cursor")
    for stranger in (people.customer("c-8"), people.seller(), people.admin(), people.guest("3000")):
        assert_refused(await api.with_token(stranger).get(following), name="cursor")


@pytest.mark.parametrize(
    "order_id", ["", " ", "%00", "..%2F1042", "a" * 65, "%7B%22$ne%22:null%7D", "-1", "1042%20", "ä"]
)
async def test_what_is_no_order_number_is_no_order(customer: Client, order_id: str) -> None:
    answer = await customer.get(f"/v1/orders/{order_id}/messages")
    assert (answer.status, answer.problem) in [(422, "invalid_request"), (404, "not_found")], answer


# Bodies.


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


# Headers.


async def test_a_stale_picture_of_the_dispute_is_refused_and_says_how_it_stands(api: Clients, people: People) -> None:
    await api.put_order(order_of("5000"))
    customer, admin = api.with_token(people.customer()), api.with_token(people.admin())
    path = "/v1/orders/5000/dispute"
    opened = await customer.call("POST", path, {"reason": "damaged", "text": "Broken"}, If_Match='"none"', **PATIENT)
    seen = opened.headers["etag"]
    stale = await customer.call("POST", path, {"reason": "other", "text": "Again"}, If_Match='"none"', **PATIENT)
    assert (stale.status, stale.problem, stale.body["state"]["etag"]) == (412, "precondition_failed", seen)
    closed = await admin.call("POST", f"{path}/close", {"outcome": "refunded"}, If_Match=seen, **PATIENT)
    assert closed.status == 200
    late = await customer.call("POST", f"{path}/close", {"outcome": "resolved"}, If_Match=seen, **PATIENT)
    assert (late.status, late.problem, late.body["state"]["dispute"]) == (412, "precondition_failed", "closed")
    again = await customer.call("POST", f"{path}/close", {"outcome": "resolved"}, **PATIENT)
    assert (again.status, again.problem) == (409, "conflict")


@pytest.mark.parametrize("etag", ["none", 'W/"none"', '"a", "b"', '"', "", f'"{"x" * 200}"', '{"$ne":null}'])
async def test_an_if_match_that_is_no_single_strong_etag_is_refused(customer: Client, etag: str) -> None:
    answer = await customer.call("POST", f"{PATH}/dispute/close", {"outcome": "refunded"}, If_Match=etag)
    assert_refused(answer, name="If-Match")


@pytest.mark.parametrize("key", ["", "x" * 256, "schlüssel", "tab\there"])
async def test_a_bad_idempotency_key_is_refused(customer: Client, key: str) -> None:
    assert_refused(await customer.call("POST", MESSAGES, GOOD, Idempotency_Key=key), name="Idempotency-Key")


async def test_two_idempotency_keys_are_refused(shop: Parley, api: Clients, people: People) -> None:
    headers = [("Idempotency-Key", "a"), ("Idempotency-Key", "b"), ("Authorization", f"Bearer {people.customer()}")]
    async with (
        aiohttp.ClientSession() as session,
        session.post(f"{shop.gateway_url}{MESSAGES}", json=GOOD, headers=headers) as answer,
    ):
        assert answer.status == 422


@pytest.mark.parametrize(
    "prefer", ["wait=soon", "wait=-1", "wait=", ";;;", "wait=99999999999999999999", "respond-sync", ","]
)
async def test_a_preference_that_cannot_be_understood_is_ignored(customer: Client, prefer: str) -> None:
    answer = await customer.call("PUT", f"{PATH}/read", {"up_to_seq": 0}, Prefer=prefer)
    assert answer.status == 200, answer


@pytest.mark.parametrize(
    ("header", "length", "status"),
    [("Prefer", 201, 422), ("X-Anything", 17_000, 431), ("Cookie", 17_000, 431), ("Authorization", 9_000, 401)],
)
async def test_a_header_that_is_too_long_is_refused(
    api: Clients, people: People, header: str, length: int, status: int
) -> None:
    client = api.with_token(people.customer())
    value = f"Bearer {'x' * length}" if header == "Authorization" else "x" * length
    answer = await client.call("PUT", f"{PATH}/read", {"up_to_seq": 0}, **{header: value})
    assert answer.status == status, answer


async def test_an_address_that_is_too_long_is_refused(customer: Client) -> None:
    for path in (f"/v1/orders/{'x' * 2_000}", f"/v1/orders?q={'x' * 5_000}"):
        answer = await customer.get(path)
        assert (answer.status, answer.problem) == (414, "address_too_long")


async def test_a_method_that_an_address_does_not_take_is_refused_with_those_that_it_takes(customer: Client) -> None:
    answer = await customer.call("PATCH", f"{PATH}/watch")
    assert (answer.status, answer.headers["allow"]) == (405, "DELETE, PUT")


# Other people's ids.


async def test_ids_of_other_peoples_open_nothing(api: Clients, people: People) -> None:
    """Whoever carries the id of a party under another role is a stranger all the same."""
    strangers = [
        people.seller("s-2", login="login-9"),
        people.seller("c-7", login="c-7"),
        people.seller("s-2", login="login-1"),
        people.seller("s-2", login="c-7"),
        people.customer("s-1"),
        people.customer("login-1"),
        people.customer("guest"),
        people.guest("3000"),
        people.guest(ORDER, "c-7"),
        people.token("service", "c-7"),
    ]
    for token in strangers:
        client = api.with_token(token)
        for path in (PATH, MESSAGES, f"{PATH}/dispute"):
            answer = await client.get(path)
            assert (answer.status, answer.problem) == (404, "not_found"), (path, answer)


async def test_a_message_of_another_order_cannot_be_taken_out_through_ones_own(api: Clients, people: People) -> None:
    posted = await api.with_token(people.customer("c-8")).post("Theirs", order_id="2000", **PATIENT)
    admin = api.with_token(people.admin())
    answer = await admin.call("POST", f"{MESSAGES}/{posted.body['id']}/redact", **PATIENT)
    assert (answer.status, answer.problem) == (404, "not_found")
    assert [message["text"] for message in await admin.history("2000")] == ["Theirs"]


async def test_a_command_is_known_to_its_caller_alone(api: Clients, people: People) -> None:
    posted = await api.with_token(people.customer()).post("Mine", order_id=ORDER, **PATIENT)
    path = f"/v1/commands/{posted.body['id']}"
    assert (await api.with_token(people.customer()).get(path)).status == 200
    for stranger in (people.customer("c-8"), people.seller(), people.admin(), people.service()):
        assert (await api.with_token(stranger).get(path)).status == 404


async def test_the_same_key_of_two_people_names_two_writes(api: Clients, people: People) -> None:
    await api.put_order(order_of("6000"))
    texts = {}
    for name, token in (("customer", people.customer()), ("seller", people.seller()), ("admin", people.admin())):
        answer = await api.with_token(token).post(f"by the {name}", order_id="6000", Idempotency_Key="same", **PATIENT)
        texts[name] = (answer.status, answer.body["seq"])
    assert texts == {"customer": (201, 1), "seller": (201, 2), "admin": (201, 3)}


# Tokens (RFC 8725).


def bad_tokens(people: People) -> dict[str, str]:
    claims = {"role": "customer", "sub": "c-7", "name": "Ada"}
    now = int(time.time())
    return {
        "no token": "",
        "no JWT": "c-7",
        "unsigned": sign(claims, secret="", algorithm="none"),
        "another algorithm": sign(claims, algorithm="HS512"),
        "another secret": sign(claims, secret="x" * 40),
        "another secret of ours": sign(claims, secret=CREDENTIALS.link_secret),
        "another issuer": sign({**claims, "iss": "somebody"}),
        "another audience": sign({**claims, "aud": "another-service"}),
        "no issuer": sign({**claims, "iss": None}),
        "no audience": sign({**claims, "aud": None}),
        "no expiry": sign({**claims, "exp": None}),
        "no subject": sign({**claims, "sub": None}),
        "no role": sign({**claims, "role": None}),
        "expired": sign({**claims, "exp": now - HOUR_S}),
        "not valid yet": sign({**claims, "nbf": now + HOUR_S}),
        "expired beyond the leeway": sign({**claims, "exp": now - 31}),
        "an expiry in words": sign({**claims, "exp": "tomorrow"}),
        "a subject that is a number": sign({**claims, "sub": 7}),
        "an operator as a subject": sign({**claims, "sub": {"$ne": None}}),
        "an unknown role": sign({**claims, "role": "root"}),
        "a guest by the shop's word": sign({**claims, "role": "guest", "order_id": ORDER}),
        "roles in a list": sign({**claims, "role": ["admin", "customer"]}),
        "an operator as a role": sign({**claims, "role": {"$ne": None}}),
        "an empty subject": sign({**claims, "sub": ""}),
        "a subject too long": sign({**claims, "sub": "x" * 200}),
        "a subject of two lines": sign({**claims, "sub": "c-7\nadmin"}),
        "a seller without a seller": sign({**claims, "role": "seller"}),
        "an operator as a seller": sign({**claims, "role": "seller", "seller_id": {"$ne": None}}),
        "an address that is none": sign({**claims, "email": "a@b>, <c@d"}),
        "another kind (typ)": sign(claims, headers={"typ": "parley-unsubscribe+jwt"}),
        "a guest session that the shop signed": sign(claims, headers={"typ": "parley-guest-session+jwt"}),
        "a guest's link": people.guest_link(ORDER),
        "an unsubscribe token": people.unsubscribe("customer:c-7"),
        "a critical extension": sign(claims, headers={"crit": ["b64"], "b64": False}),
    }


@pytest.mark.filterwarnings("ignore:The HMAC key")
async def test_a_bad_token_opens_neither_the_gateway_nor_threads(shop: Parley, api: Clients, people: People) -> None:
    wrong = []
    for what, token in bad_tokens(people).items():
        for url in (shop.gateway_url, shop.threads_url):
            answer = await api.with_token(None, url=url).get("/v1/me", Authorization=f"Bearer {token}")
            if answer.status != 401 or answer.problem != "unauthenticated" or "www-authenticate" not in answer.headers:
                wrong.append((what, url, answer))
            if len(token) > 20 and token in str(answer.body):
                wrong.append((what, "the token is in the answer", answer))
    assert wrong == []


async def test_a_good_token_counts_in_its_own_header_alone(shop: Parley, api: Clients, people: People) -> None:
    token = people.customer()
    nobody = api.with_token(None)
    assert (await nobody.get("/v1/me", Authorization=f"bearer {token}")).status == 200
    for headers in (
        {"Authorization": f"Basic {token}"},
        {"Authorization": token},
        {"Authorization": f"Bearer {token} {token}"},
        {"Cookie": f"token={token}"},
        {"X_Authorization": f"Bearer {token}"},
    ):
        assert (await nobody.get("/v1/me", **headers)).status == 401, headers
    for name in ("access_token", "token"):
        assert (await nobody.get(f"/v1/orders?{name}={token}")).status == 401
    async with aiohttp.ClientSession() as session:
        twice = [("Authorization", f"Bearer {token}"), ("Authorization", f"Bearer {people.admin()}")]
        async with session.get(f"{shop.gateway_url}/v1/me", headers=twice) as answer:
            assert answer.status == 401


async def test_a_token_of_one_kind_does_not_do_for_another(api: Clients, people: People) -> None:
    nobody = api.with_token(None)
    for token in (people.guest("3000"), people.unsubscribe("guest:3000"), people.customer(), "x"):
        answer = await nobody.call("POST", "/v1/guest-sessions", {"token": token})
        assert (answer.status, answer.problem) == (401, "unauthenticated")
    old = people.guest_link("3000", now=time.time() - 31 * 24 * HOUR_S)
    assert (await nobody.call("POST", "/v1/guest-sessions", {"token": old})).status == 401
    for token in (people.guest("3000"), people.guest_link("3000"), people.customer(), "x"):
        assert (await nobody.call("POST", f"/v1/unsubscribe?token={token}")).status == 404
        assert (await nobody.get(f"/v1/unsubscribe?token={token}")).status == 404
