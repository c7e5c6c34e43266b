"""HTTP as other people's clients, proxies and monitors use it: HEAD, old versions, conditional questions, pages of other origins."""

import asyncio
import json
from collections.abc import AsyncIterator, Iterator

import aiohttp
import pytest

from deploy.local.ports import LOOPBACK, free_port
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
    api: Api, headers: dict[str, str], challenge: str
) -> None:
    for path in ("/v1/me", "/v1/orders/1042/dispute"):
        seen = await api.call("GET", path, **headers)
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
    api: Api, path: str, headers: dict[str, str], status: int
) -> None:
    seen = await api.call("GET", path, Origin=ORIGIN, **headers)
    assert (seen.status, seen.headers.get("Access-Control-Allow-Origin")) == (status, ORIGIN)
    assert {"WWW-Authenticate", "RateLimit", "Link"} <= {
        each.strip() for each in seen.headers["Access-Control-Expose-Headers"].split(",")
    }
