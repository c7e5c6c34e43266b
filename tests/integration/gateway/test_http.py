"""HTTP as other people's clients, proxies and monitors use it: HEAD, old versions, conditional questions, pages of other origins."""

import asyncio
import json
import time
from collections.abc import AsyncIterator, Iterator
from typing import Any

import aiohttp
import pytest

from deploy.local.ports import LOOPBACK, free_port
from services.gateway.routes.orders import EXAMPLE as ORDER
from shared.fields import ORDER_ID_PATTERN
from shared.tokens import mint_unsubscribe
from tests.integration.gateway.conftest import LINK_SECRET, Api, environment, token
from tests.integration.gateway.standins import QueryApi
from tests.servers.rabbitmq import SharedRabbit, make_vhost
from tests.servers.services import ServiceProcess
from tests.servers.waiting import eventually, within

ORIGIN = "https://shop.example"
BODY = b'{"items":[],"next":null}'
TRACED = "authorization,baggage,content-type,sentry-trace,traceparent,tracestate"
QUESTIONS = [
    "/v1/me",
    "/v1/me/preferences",
    "/v1/orders",
    "/v1/threads",
    "/v1/orders/1042",
    "/v1/orders/1042/messages",
    "/v1/orders/1042/dispute",
]


@pytest.fixture(scope="module")
async def standing(
    rabbitmq_server: SharedRabbit, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[tuple[ServiceProcess, QueryApi]]:
    """One gateway for all of this module: nothing here stops a server, or looks into a queue."""
    vhost = make_vhost(rabbitmq_server)
    async with QueryApi(free_port()).serving() as serving:
        settings = environment(vhost, serving) | {"CORS_ORIGINS": ORIGIN, "LIVE_MAX_CONNECTIONS_PER_PERSON": "1"}
        settings |= {"PERSON_WRITES_PER_S": "0.1", "PERSON_WRITES_BURST": "3", "THREAD_WRITES_PER_S": "20"}
        gateway = ServiceProcess("gateway", settings, directory=tmp_path_factory.mktemp("gateway")).start()
        yield await gateway.ready(), serving
        gateway.kill()
    vhost.delete()


@pytest.fixture
def query_api(standing: tuple[ServiceProcess, QueryApi]) -> Iterator[QueryApi]:
    query_api = standing[1]
    query_api.answers |= {path: (200, BODY, {}) for path in QUESTIONS}
    yield query_api
    query_api.forget()


@pytest.fixture
def api(standing: tuple[ServiceProcess, QueryApi], session: aiohttp.ClientSession, query_api: QueryApi) -> Api:
    del query_api
    return Api(standing[0], session)


async def exchange(api: Api, sent: bytes) -> tuple[bytes, bytes]:
    """The head and the body of what comes back for these very bytes, until the connection ends."""
    reader, writer = await asyncio.open_connection(LOOPBACK, api.gateway.port)
    writer.write(sent)
    async with asyncio.timeout(10):
        head, _, body = (await reader.read()).partition(b"\r\n\r\n")
    writer.close()
    return head.lower(), body


# HEAD (RFC 9110, 9.1 and 9.3.2)


@pytest.mark.parametrize("path", [*QUESTIONS, "/livez", "/docs", "/openapi.json"])
async def test_head_is_answered_as_get_is_without_the_body(api: Api, path: str) -> None:
    got, head = await api.call("GET", path, bearer=token()), await api.call("HEAD", path, bearer=token())
    assert (got.status, head.status, head.body) == (200, 200, b"")
    kept = {"Content-Type", "Content-Length", "ETag", "Cache-Control"} & set(got.headers)
    assert {name: head.headers[name] for name in kept} == {name: got.headers[name] for name in kept}


async def test_head_asks_the_probes(api: Api) -> None:
    for path in ("/livez", "/readyz", "/metrics"):
        seen = await api.call("HEAD", path)
        assert (seen.status, seen.body, int(seen.headers["Content-Length"]) > 0) == (200, b"", True)


async def test_head_is_refused_as_get_is(api: Api) -> None:
    for path, status in (("/v1/me", 401), ("/v1/nothing", 404), ("/v1/threads/read", 405)):
        seen = await api.call("HEAD", path)
        assert (seen.status, seen.body) == (status, b"")
    assert (await api.call("PATCH", "/v1/me")).headers["Allow"] == "GET, HEAD"


async def test_head_of_live_events_ends_and_keeps_no_place(api: Api) -> None:
    """One connection a person is let in here."""
    with within(10):
        for _ in range(3):
            seen = await api.call("HEAD", "/v1/events", bearer=token())
            assert (seen.status, seen.headers["Content-Type"]) == (200, "text/event-stream; charset=utf-8")


# HTTP/1.0, other codings and versions (RFC 9112, 6.1)


async def test_a_client_of_http_1_0_reads_live_events_as_they_are(api: Api) -> None:
    reader, writer = await asyncio.open_connection(LOOPBACK, api.gateway.port)
    writer.write(f"GET /v1/events HTTP/1.0\r\nAuthorization: Bearer {token()}\r\n\r\n".encode())
    async with asyncio.timeout(10):
        head = (await reader.readuntil(b"\r\n\r\n")).lower()
        first = await reader.readline()
    writer.transport.abort()
    assert b"transfer-encoding" not in head
    assert b"connection: close" in head
    assert first == b"retry: 1000\n"
    await eventually(lambda: _is_nobody_connected(api), what="its place is free")


async def _is_nobody_connected(api: Api) -> bool:
    return b"parley_gateway_live_connections 0.0" in (await api.call("GET", "/metrics")).body


@pytest.mark.parametrize(
    ("first_line", "coding", "status", "code"),
    [
        ("POST /v1/orders/1042/messages HTTP/1.1", "gzip, chunked", 501, "not_implemented"),
        ("POST /v1/orders/1042/messages HTTP/1.1", "gzip\r\nTransfer-Encoding: chunked", 501, "not_implemented"),
        ("GET /v1/me HTTP/1.1", "identity, chunked", 501, "not_implemented"),
        ("POST /v1/orders/1042/messages HTTP/2.0", "chunked", 505, "http_version_not_supported"),
    ],
)
async def test_another_coding_or_version_than_ours_is_refused_so_that_the_shops_pages_see_why(
    api: Api, first_line: str, coding: str, status: int, code: str
) -> None:
    head, body = await exchange(
        api,
        f"{first_line}\r\nHost: x\r\nOrigin: {ORIGIN}\r\nAuthorization: Bearer {token()}\r\nConnection: close\r\n"
        f'Content-Type: application/json\r\nTransfer-Encoding: {coding}\r\n\r\ne\r\n{{"text": "Hi"}}\r\n0\r\n\r\n'.encode(),
    )
    assert head.startswith(f"http/1.1 {status} ".encode())
    assert f"access-control-allow-origin: {ORIGIN}".encode() in head
    assert json.loads(body)["type"] == f"urn:parley:problem:{code}"


# Conditional questions (RFC 9110, 13.1)


@pytest.mark.parametrize("path", QUESTIONS)
async def test_who_has_the_answer_already_is_not_sent_it_again(api: Api, query_api: QueryApi, path: str) -> None:
    first = await api.call("GET", path, bearer=token())
    etag = first.headers["ETag"]
    for known in (etag, f"W/{etag}", f'"other", {etag}', "*"):
        again = await api.call("GET", path, bearer=token(), If_None_Match=known)
        assert (again.status, again.body, again.headers["ETag"]) == (304, b"", etag)
        assert (again.headers["Cache-Control"], "Content-Type" in again.headers) == ("no-store", False)
    assert (await api.call("HEAD", path, bearer=token(), If_None_Match=etag)).status == 304
    query_api.answers[path] = (200, b'{"items":[1],"next":null}', {})
    changed = await api.call("GET", path, bearer=token(), If_None_Match=etag)
    assert (changed.status, changed.body) == (200, b'{"items":[1],"next":null}')
    assert changed.headers["ETag"] != etag


async def test_a_disputes_own_tag_is_good_for_both_conditions(api: Api, query_api: QueryApi) -> None:
    path = "/v1/orders/1042/dispute"
    query_api.answers[path] = (200, b"{}", {"ETag": '"x.open"'})
    assert (await api.call("GET", path, bearer=token(), If_None_Match='"x.open"')).status == 304
    assert (await api.call("GET", path, bearer=token(), If_None_Match='"x.closed"')).status == 200


async def test_a_refusal_is_never_304(api: Api) -> None:
    assert (await api.call("GET", "/v1/orders/9999", bearer=token(), If_None_Match="*")).status == 404
    assert (await api.call("GET", "/v1/me", If_None_Match="*")).status == 401


# 401 (RFC 6750, 3.1)


@pytest.mark.parametrize(
    ("headers", "challenge"),
    [
        ({}, 'Bearer realm="parley"'),
        ({"Authorization": "Basic YTpi"}, 'Bearer realm="parley"'),
        ({"Authorization": "Bearer x"}, 'Bearer realm="parley", error="invalid_token"'),
    ],
)
async def test_only_who_brought_a_token_is_told_that_it_is_no_good(
    api: Api, headers: dict[str, Any], challenge: str
) -> None:
    for path in ("/v1/me", "/v1/orders/1042/dispute"):
        seen = await api.call("GET", path, data=None, **headers)
        assert (seen.status, seen.headers["WWW-Authenticate"]) == (401, challenge)


async def test_a_guests_link_that_is_no_good_is_no_bad_token(api: Api) -> None:
    seen = await api.call("POST", "/v1/guest-sessions", body={"token": LINK_SECRET})
    assert (seen.status, seen.headers["WWW-Authenticate"]) == (401, 'Bearer realm="parley"')


# Pages of other origins


async def test_a_page_with_tracing_may_call(api: Api) -> None:
    for method in ("GET", "HEAD", "POST", "PUT", "DELETE"):
        seen = await api.call(
            "OPTIONS",
            "/v1/me",
            Origin=ORIGIN,
            Access_Control_Request_Method=method,
            Access_Control_Request_Headers=f"{TRACED},idempotency-key,if-match,if-none-match,last-event-id,prefer",
        )
        assert (seen.status, seen.headers["Access-Control-Allow-Origin"]) == (200, ORIGIN)


@pytest.mark.parametrize(
    ("origin", "method", "asked", "named"),
    [
        (ORIGIN, "PATCH", "authorization", "method"),
        (ORIGIN, "GET", "x-other", "headers"),
        ("https://evil.example", "GET", "authorization", "origin"),
    ],
)
async def test_a_preflight_is_refused_in_a_problem_document(
    api: Api, origin: str, method: str, asked: str, named: str
) -> None:
    seen = await api.call(
        "OPTIONS",
        "/v1/me",
        Origin=origin,
        Access_Control_Request_Method=method,
        Access_Control_Request_Headers=asked,
    )
    assert (seen.status, seen.headers["Content-Type"]) == (400, "application/problem+json")
    assert (seen.json["type"], f"CORS: {named}" in seen.json["detail"]) == ("urn:parley:problem:bad_request", True)
    assert ("Access-Control-Allow-Origin" in seen.headers) == (origin == ORIGIN)


@pytest.mark.parametrize(
    ("path", "headers", "status"),
    [
        ("/v1/me", {"X-Long": "x" * 20_000}, 431),
        (f"/v1/orders/{'x' * 2_000}", {}, 414),
        ("/v1/nothing", {}, 404),
        ("/v1/me", {}, 401),
    ],
)
async def test_whatever_is_refused_can_be_read_by_the_shops_pages(
    api: Api, path: str, headers: dict[str, Any], status: int
) -> None:
    seen = await api.call("GET", path, data=None, Origin=ORIGIN, **headers)
    assert (seen.status, seen.headers.get("Access-Control-Allow-Origin")) == (status, ORIGIN)
    assert {"WWW-Authenticate", "RateLimit", "Link"} <= {
        each.strip() for each in seen.headers["Access-Control-Expose-Headers"].split(",")
    }


# Parameters, members, media types: what is there twice or unknown is named


@pytest.mark.parametrize(
    ("method", "path", "name"),
    [
        ("GET", "/v1/orders?limit=1&limit=2", "limit"),
        ("GET", "/v1/orders?filter=all&filter=unread", "filter"),
        ("GET", "/v1/orders/1042/messages?limit=1&limit=1", "limit"),
        ("GET", "/v1/me?x=1", "x"),
        ("GET", "/v1/me?x=1&x=2", "x"),
        ("GET", "/v1/orders/1042?expand=items", "expand"),
        ("GET", "/v1/orders/1042/dispute?x", "x"),
        ("GET", "/v1/events?token=x", "token"),
        ("PUT", "/v1/orders/1042/watch?x=1", "x"),
        ("POST", "/v1/orders/1042/messages?x=1", "x"),
        ("POST", "/v1/guest-sessions?x=1", "x"),
        ("GET", "/v1/unsubscribe?token=a&token=b", "token"),
    ],
)
async def test_a_parameter_that_is_there_twice_or_unknown_is_named(
    api: Api, query_api: QueryApi, method: str, path: str, name: str
) -> None:
    seen = await api.call(method, path, bearer=token("admin"), body={"text": "Hi"} if method == "POST" else None)
    assert (seen.status, seen.json["errors"][0]["field"]) == (422, name)
    assert query_api.asked == []


async def test_what_mail_programs_add_to_a_link_does_not_keep_mails_coming(api: Api) -> None:
    link = mint_unsubscribe("customer:c-7", secret=LINK_SECRET, now=time.time())
    for method in ("GET", "POST"):
        assert (await api.call(method, f"/v1/unsubscribe?token={link}&utm_source=mail")).status == 200


@pytest.mark.parametrize(
    ("path", "body", "names"),
    [
        ("/v1/orders/1042/messages", b'{"text": "a", "text": "b"}', ["text"]),
        ("/v1/orders/1042/messages", b'{"text": "a", "te\\u0078t": "a"}', ["text"]),
        ("/v1/orders/1042/messages", b'\xef\xbb\xbf{"text": "a", "text": "b"}', ["text"]),
        (
            "/v1/threads/read",
            b'{"threads": [{"order_id": "1", "up_to_seq": 1}, {"up_to_seq": 1, "order_id": "2", "up_to_seq": 2}]}',
            ["threads.1.up_to_seq"],
        ),
        (
            "/v1/orders/1042/dispute",
            b'{"reason": "other", "text": "a", "text": "b", "reason": "other"}',
            ["reason", "text"],
        ),
    ],
)
async def test_a_member_that_is_there_twice_is_named(api: Api, path: str, body: bytes, names: list[str]) -> None:
    """A post with the usual media type goes the short way, one whose media type says more the ordinary one."""
    for headers in ({}, {"Content-Type": "application/json; v=1"}):
        kind = {"Content-Type": "application/json"} | headers
        seen = await api.call("POST", path, bearer=token(), data=body, **kind)
        assert (seen.status, [each["field"] for each in seen.json["errors"]]) == (422, names)
        assert seen.json["errors"][0]["message"] == "must be given once"


@pytest.mark.parametrize(
    ("kind", "status"),
    [
        ("application/json", 202),
        ("application/json; charset=utf-8; v=1", 202),
        ("application/json; odata=verbose; charset=utf-8", 202),
        ("application/json; charset=utf8", 202),
        ('Application/JSON; Charset="UTF-8"', 202),
        ("application/json;", 202),
        ("application/json; charset=latin-1", 415),
        ("application/json; v=1; charset=utf-16", 415),
        ("application/json, text/plain", 415),
        ("text/plain; x=application/json", 415),
    ],
)
async def test_what_else_a_media_type_says_is_no_reason_to_refuse(api: Api, kind: str, status: int) -> None:
    seen = await api.call(
        "POST",
        "/v1/orders/1042/messages",
        bearer=token(person=kind),
        data=b'{"text": "Hi"}',
        Content_Type=kind,
        Prefer="respond-async",
    )
    assert seen.status == status


async def test_a_byte_order_mark_is_no_part_of_the_json(api: Api) -> None:
    sent = b"\xef\xbb\xbf" + b'{"text": "Hi"}'
    for kind in ("application/json", "application/json; v=1"):
        seen = await api.call(
            "POST",
            "/v1/orders/1042/messages",
            bearer=token(person="c-bom"),
            data=sent,
            Content_Type=kind,
            Prefer="respond-async",
        )
        assert seen.status == 202


# An order id that cannot be one


@pytest.mark.parametrize(
    ("method", "target"),
    [
        ("PUT", "/v1/orders/R%2F2024%2F001"),
        ("PUT", "/v1/orders/R/2024/001"),
        ("GET", "/v1/orders/R%2f2024/messages"),
        ("POST", "/v1/orders/2024%2F17/dispute/close"),
        ("GET", "/v1/orders/%231001"),
        ("GET", "/v1/orders/%2e%2e"),
        ("GET", "/v1/orders/..%2f..%2fetc"),
        ("GET", "/v1/orders/ORD%207"),
        ("GET", "/v1/orders/%C3%84B-7/messages"),
        ("PUT", "/v1/orders/#1001"),
        ("PUT", "/v1/orders/"),
        ("GET", "/v1/orders//messages"),
        ("GET", "/v1/orders/a%3Fb"),
        ("GET", "/v1/orders/a%00"),
        ("GET", "/v1/orders/~shop"),
    ],
)
async def test_an_order_id_that_cannot_be_one_is_refused_with_the_pattern(api: Api, method: str, target: str) -> None:
    """Sent as it stands: what a proxy has decoded, or a `#` has cut off, is another address."""
    bearer = token("service" if method == "PUT" else "customer")
    head, body = await exchange(
        api,
        f"{method} {target} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {bearer}\r\nConnection: close\r\n"
        "Content-Type: application/json\r\nContent-Length: 2\r\n\r\n{}".encode(),
    )
    assert head.startswith(b"http/1.1 422 "), head
    wrong = json.loads(body)["errors"][0]
    assert (wrong["field"], ORDER_ID_PATTERN in wrong["message"]) == ("order_id", True)


async def test_an_order_id_in_a_body_is_refused_with_the_pattern_too(api: Api) -> None:
    marks = {"threads": [{"order_id": "#1001", "up_to_seq": 1}]}
    seen = await api.call("POST", "/v1/threads/read", bearer=token(), body=marks)
    assert (seen.status, ORDER_ID_PATTERN in seen.json["detail"]) == (422, True)


async def test_a_misspelt_address_is_still_not_found(api: Api) -> None:
    for path in ("/v1/orders/1042/mesages", "/v1/order/1042", "/v1/orders/1042/messages/"):
        seen = await api.call("GET", path, bearer=token())
        assert (seen.status, seen.json["type"]) == (404, "urn:parley:problem:not_found")


# How much may still be written (draft-ietf-httpapi-ratelimit-headers-10)


async def test_a_write_says_how_much_may_still_be_written(api: Api) -> None:
    person = token(person="c-hasty")
    seen = [await api.post(bearer=person, Prefer="respond-async") for _ in range(4)]
    assert [each.status for each in seen] == [202, 202, 202, 429]
    assert {each.headers["RateLimit-Policy"] for each in seen} == {'"person";q=3;w=30, "thread";q=200;w=10'}
    assert [each.headers["RateLimit"].split(";t=")[0] for each in seen] == [
        '"person";r=2',
        '"person";r=1',
        '"person";r=0',
        '"person";r=0',
    ]
    assert int(seen[-1].headers["Retry-After"]) <= 10
    order = await api.call("PUT", "/v1/orders/1042", bearer=token("service"), body=ORDER)
    assert (order.status, "RateLimit" in order.headers) == (202, False)
