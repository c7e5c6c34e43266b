"""The short way of questions: what may go it, and that it asks what the routes ask."""

import inspect

import pytest
from fastapi.routing import APIRoute

from services.gateway.questions import ADDRESSES, plainly_good
from services.gateway.routes import orders, persons, threads
from services.gateway.short_way import plainly_good as any_way

HEADERS = [(b"host", b"shop.example"), (b"authorization", b"Bearer abc"), (b"accept", b"*/*")]


def scope(path: str, query: bytes = b"", headers: list[tuple[bytes, bytes]] = HEADERS) -> dict[str, object]:
    return {"type": "http", "method": "GET", "path": path, "query_string": query, "headers": headers}


@pytest.mark.parametrize(
    ("path", "query", "route"),
    [
        ("/v1/me", b"", "/v1/me"),
        ("/v1/orders", b"filter=unread&limit=5", "/v1/orders"),
        ("/v1/threads", b"sort=waiting&cursor=abc_-==", "/v1/threads"),
        ("/v1/threads", b"q=lamp", "/v1/threads"),
        ("/v1/orders/1042", b"", "/v1/orders/{order_id}"),
        ("/v1/orders/1042/messages", b"", "/v1/orders/{order_id}/messages"),
        ("/v1/orders/1042/messages", b"after_seq=0&limit=50", "/v1/orders/{order_id}/messages"),
    ],
)
def test_a_plainly_good_question_is_asked_as_it_is(path: str, query: bytes, route: str) -> None:
    question = plainly_good(scope(path, query))
    assert question is not None
    assert (question.route, question.token) == (route, "abc")
    assert question.target == (f"{path}?{query.decode()}" if query else path)


@pytest.mark.parametrize(
    ("path", "query"),
    [
        ("/v1/me/preferences", b""),
        ("/v1/orders/-", b""),
        ("/v1/orders/1042/messages\n", b""),
        ("/v1/me", b"limit=5"),
        ("/v1/orders/1042", b"limit=5"),
        ("/v1/orders", b"limit=0"),
        ("/v1/orders", b"limit=5&limit=5"),
        ("/v1/orders", b"limit="),
        ("/v1/orders", b"limit"),
        ("/v1/orders", b"sort=newest"),
        ("/v1/orders", b"q=two+words"),
        ("/v1/orders", b"q=caf%C3%A9"),
        ("/v1/threads", b"filter=mine"),
        ("/v1/orders/1042/messages", b"after_seq=1&before_seq=5"),
        ("/v1/orders/1042/messages", b"after_seq=1&"),
        ("/v1/orders/1042/messages", b"after_seq=1#x"),
        ("/v1/threads", b"q=" + b"x" * 64 + b"&" * 4_096),
    ],
)
def test_any_other_question_goes_the_ordinary_way(path: str, query: bytes) -> None:
    assert plainly_good(scope(path, query)) is None


@pytest.mark.parametrize(
    "headers",
    [
        HEADERS[:1],
        [*HEADERS, (b"authorization", b"Bearer abc")],
        [*HEADERS, (b"content-length", b"2")],
        [*HEADERS, (b"transfer-encoding", b"chunked")],
        [(b"authorization", b"Basic abc")],
    ],
)
def test_one_with_other_headers_goes_the_ordinary_way(headers: list[tuple[bytes, bytes]]) -> None:
    assert plainly_good(scope("/v1/me", headers=headers)) is None


@pytest.mark.parametrize(
    "change", [{"method": "HEAD"}, {"method": "OPTIONS"}, {"type": "websocket"}, {"type": "lifespan"}]
)
def test_only_questions_and_posts_go_the_short_way(change: dict[str, object]) -> None:
    assert any_way(scope("/v1/me")) is not None
    assert any_way(scope("/v1/me") | change) is None


def test_its_addresses_are_routes_that_take_the_same_queries() -> None:
    routers = (orders.router, persons.router, threads.router)
    routes = {
        each.path: each
        for router in routers
        for each in router.routes
        if isinstance(each, APIRoute) and each.methods == {"GET"}
    }
    for _, path, model in ADDRESSES:
        parameters = inspect.signature(routes[path].endpoint).parameters
        asked = parameters["query"].annotation.__origin__ if "query" in parameters else None
        assert asked is model, path
