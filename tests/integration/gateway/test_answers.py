"""Questions, problems and what stands around every answer."""

import re
import time
from collections.abc import AsyncIterator, Iterator
from typing import Any

import aiohttp
import pytest

from deploy.local.ports import free_port
from services.gateway.app import undressed
from shared.tokens import mint_guest_link, mint_guest_session
from tests.integration.gateway.conftest import LINK_SECRET, Api, NewGateway, Seen, environment, guest, token
from tests.integration.gateway.standins import QueryApi
from tests.servers.rabbitmq import SharedRabbit, make_vhost
from tests.servers.services import ServiceProcess
from tests.servers.waiting import eventually, within


@pytest.fixture(scope="module")
async def standing(
    rabbitmq_server: SharedRabbit, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[tuple[ServiceProcess, QueryApi]]:
    """One gateway for all of this module: nothing here stops a server, or looks into a queue."""
    vhost = make_vhost(rabbitmq_server)
    async with QueryApi(free_port()).serving() as serving:
        gateway = ServiceProcess(
            "gateway", environment(vhost, serving), directory=tmp_path_factory.mktemp("gateway")
        ).start()
        yield await gateway.ready(), serving
        gateway.kill()
    vhost.delete()


@pytest.fixture
def query_api(standing: tuple[ServiceProcess, QueryApi]) -> Iterator[QueryApi]:
    yield standing[1]
    standing[1].forget()


@pytest.fixture
def api(standing: tuple[ServiceProcess, QueryApi], session: aiohttp.ClientSession) -> Api:
    return Api(standing[0], session)


async def test_a_question_is_passed_on_as_it_was_validated_with_the_callers_own_token(
    api: Api, query_api: QueryApi
) -> None:
    body = b'{"items":[],"next":null,  "spaces are kept": true}'
    query_api.answers["/v1/threads"] = (200, body, {})
    bearer = token()
    seen = await api.call("GET", "/v1/threads?sort=waiting&q=a%20%26b&limit=5", bearer=bearer)
    asked = query_api.asked[-1]
    assert (seen.status, seen.body) == (200, body)
    assert dict(asked.query) == {"sort": "waiting", "q": "a &b", "limit": "5"}
    assert asked.headers["Authorization"] == f"Bearer {bearer}"


async def test_problems_and_etags_of_threads_are_passed_on(api: Api, query_api: QueryApi) -> None:
    path = "/v1/orders/1042/dispute"
    missing = await api.call("GET", path, bearer=token())
    assert (missing.status, missing.headers["Content-Type"]) == (404, "application/problem+json")
    query_api.answers[path] = (200, b"{}", {"ETag": '"x.open"'})
    assert (await api.call("GET", path, bearer=token())).headers["ETag"] == '"x.open"'


@pytest.mark.parametrize(
    "path",
    [
        "/v1/orders?limit=0",
        "/v1/orders?limit=10000",
        "/v1/orders?filter=mine",
        "/v1/orders?filter[$ne]=x",
        "/v1/threads?cursor=%20",
        "/v1/threads?q=%00",
        "/v1/orders/1042/messages?before_seq=1&after_seq=1",
        "/v1/orders/-/messages",
        "/v1/orders/a%20b",
        "/v1/commands/short",
    ],
)
async def test_a_question_that_means_nothing_is_not_passed_on(api: Api, query_api: QueryApi, path: str) -> None:
    seen = await api.call("GET", path, bearer=token())
    assert (seen.status, bool(seen.json["errors"][0]["field"])) == (422, True)
    assert query_api.asked == []


async def test_threads_silent_is_503_after_two_seconds_and_writes_go_on(api: Api, query_api: QueryApi) -> None:
    query_api.hanging = True
    with within(2):
        seen = await api.call("GET", "/v1/me", bearer=token())
    assert (seen.status, seen.json["type"], seen.headers["Retry-After"]) == (503, "urn:parley:problem:unavailable", "1")
    assert (await api.post(Prefer="respond-async")).status == 202
    assert (await api.call("GET", "/readyz")).status == 200


async def test_an_answer_that_is_not_json_is_not_passed_on(api: Api, query_api: QueryApi) -> None:
    query_api.answers["/v1/me"] = (302, b"", {"Location": "https://elsewhere.example"})
    assert (await api.call("GET", "/v1/me", bearer=token())).status == 503


@pytest.mark.parametrize(
    ("method", "path", "headers", "status"),
    [
        ("GET", "/v1/nothing", {}, 404),
        ("GET", "/v1/orders/", {}, 404),
        ("PATCH", "/v1/orders/1042", {}, 405),
        ("DELETE", "/v1/orders/1042/messages", {}, 405),
        ("GET", "/v1/me", {}, 401),
        ("GET", "/v1/me", {"Authorization": "Basic YTpi"}, 401),
        ("GET", "/v1/me", {"Authorization": "Bearer "}, 401),
        ("GET", "/v1/me", {"Authorization": "Bearer x"}, 401),
        ("GET", "/v1/me?access_token=x", {}, 401),
        ("GET", "/v1/me?" + "x" * 5_000, {}, 414),
        ("GET", "/v1/me", {"X-Long": "x" * 20_000}, 431),
        ("POST", "/v1/orders/1042/messages", {}, 401),
    ],
)
async def test_whatever_goes_wrong_is_a_problem_document(
    api: Api, method: str, path: str, headers: dict[str, str], status: int
) -> None:
    seen = await api.call(method, path, data=None, **headers)
    assert (seen.status, seen.headers["Content-Type"]) == (status, "application/problem+json")
    assert (seen.json["status"], seen.json["type"].startswith("urn:parley:problem:")) == (status, True)
    assert "WWW-Authenticate" in seen.headers or status != 401
    assert seen.headers["X-Content-Type-Options"] == "nosniff"
    assert seen.headers["Cache-Control"] == "no-store"


async def test_a_405_names_every_method_of_the_address(api: Api) -> None:
    assert (await api.call("DELETE", "/v1/orders/1042/messages")).headers["Allow"] == "GET, HEAD, POST"
    assert (await api.call("POST", "/v1/orders/1042/watch")).headers["Allow"] == "DELETE, PUT"


async def test_an_expired_token_and_two_tokens_are_refused(api: Api) -> None:
    assert (await api.call("GET", "/v1/me", bearer=token(life_s=-60))).status == 401
    async with api.session.get(
        f"{api.gateway.url}/v1/me", headers=[("Authorization", f"Bearer {token()}"), ("Authorization", "Bearer x")]
    ) as response:
        assert response.status == 401


async def test_a_guests_link_becomes_a_session_and_no_other_token_does(api: Api, query_api: QueryApi) -> None:
    query_api.answers |= {"/v1/me": (200, b"{}", {}), "/v1/orders/1042": (200, b"{}", {})}
    now = time.time()
    link = mint_guest_link("1042", "c-7", "Ada", secret=LINK_SECRET, now=now)
    session = await api.call("POST", "/v1/guest-sessions", body={"token": link})
    assert session.status == 201
    assert {**session.json, "access_token": "…"} == {
        "access_token": "…",
        "token_type": "Bearer",
        "expires_in": 3600,
        "order_id": "1042",
    }
    assert (await api.call("GET", "/v1/me", bearer=session.json["access_token"])).status == 200
    assert (await api.call("GET", "/v1/me", bearer=link)).status == 401
    old = mint_guest_link("1042", "c-7", "Ada", secret=LINK_SECRET, now=now - 31 * 24 * 3600)
    forged = mint_guest_link("1042", "c-7", "Ada", secret="another-secret-of-32-characters-and-more", now=now)
    session_token = mint_guest_session({"sub": "c", "name": "A", "order_id": "1"}, secret=LINK_SECRET, now=now)
    for refused in (old, forged, session_token, token(), guest(), "x"):
        assert (await api.call("POST", "/v1/guest-sessions", body={"token": refused})).status == 401


async def test_a_guests_link_ends_when_its_order_is_not_the_guests_any_more(api: Api, query_api: QueryApi) -> None:
    link = mint_guest_link("1042", "c-7", "Ada", secret=LINK_SECRET, now=time.time())
    ended = await api.call("POST", "/v1/guest-sessions", body={"token": link})
    assert (ended.status, ended.json["type"]) == (410, "urn:parley:problem:link_ended")
    assert "Sign in to the shop" in ended.json["detail"]
    assert [request.path for request in query_api.asked] == ["/v1/orders/1042"]
    query_api.answers["/v1/orders/1042"] = (503, b"{}", {})
    assert (await api.call("POST", "/v1/guest-sessions", body={"token": link})).status == 201


async def test_a_request_id_is_kept_where_it_is_harmless(api: Api) -> None:
    assert (await api.call("GET", "/livez", X_Request_Id="abc-1")).headers["X-Request-Id"] == "abc-1"
    minted = (await api.call("GET", "/livez", X_Request_Id='a"b')).headers["X-Request-Id"]
    assert re.fullmatch("[0-9a-f]{32}", minted)


async def test_other_origins_may_call_only_where_they_are_named(new_gateway: NewGateway, session: Any) -> None:
    gateway = await new_gateway(CORS_ORIGINS="https://shop.example").ready()
    api = Api(gateway, session)

    async def preflight(origin: str) -> Seen:
        return await api.call("OPTIONS", "/v1/me", Origin=origin, Access_Control_Request_Method="POST")

    allowed, refused = await preflight("https://shop.example"), await preflight("https://evil.example")
    assert allowed.headers["Access-Control-Allow-Origin"] == "https://shop.example"
    assert "Access-Control-Allow-Origin" not in refused.headers
    seen = await api.call("GET", "/livez", Origin="https://shop.example")
    assert "Location" in seen.headers["Access-Control-Expose-Headers"]


async def test_the_documentation_needs_no_other_server(api: Api) -> None:
    page = await api.call("GET", "/docs")
    document = await api.call("GET", "/openapi.json")
    assert (page.status, b"<script" in page.body, b'="http' in page.body) == (200, False, False)
    assert "default-src 'none'" in page.headers["Content-Security-Policy"]
    assert document.json["openapi"].startswith("3.1")
    for path in document.json["paths"]:
        assert path.encode() in page.body


async def test_logs_hold_no_text_no_address_no_token_and_no_order_number(api: Api) -> None:
    bearer = token(person="c-secret-person", email="ada@example.com")
    await api.call("GET", "/v1/unsubscribe?token=leaked-token")
    await api.post("a text of Ada's", order_id="ORDER-77-SECRET", bearer=bearer, Prefer="respond-async")
    await eventually(
        lambda: "write" in [event["event"] for event in api.gateway.log_events], what="the line of the post"
    )
    log = api.gateway.log
    hidden = ["a text of Ada", "ada@example.com", bearer, "leaked-token", "ORDER-77-SECRET", "c-secret-person"]
    assert [each for each in hidden if each in log] == []


def operations() -> list[tuple[str, str, dict[str, Any]]]:
    document = undressed().openapi()
    return [(method, path, each) for path, found in document["paths"].items() for method, each in found.items()]


def test_every_operation_says_what_can_come_back() -> None:
    assert len(operations()) >= 26
    for method, path, operation in operations():
        assert operation["operationId"], path
        problems = [
            each for each in operation["responses"].values() if "application/problem+json" in each.get("content", {})
        ]
        assert problems or path in ("/livez", "/readyz", "/metrics"), path
        if operation.get("security"):
            assert {"401", "422", "503", "500"} <= set(operation["responses"]), (method, path)


def test_every_reference_in_the_document_leads_somewhere() -> None:
    document = undressed().openapi()
    schemas = document["components"]["schemas"]
    found = set(re.findall(r"#/components/schemas/([A-Za-z0-9_-]+)", str(document)))
    assert found - set(schemas) == set()
