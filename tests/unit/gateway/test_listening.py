"""The short way of live connections: what may go it."""

import pytest

from services.gateway.listening import Listening
from services.gateway.routes.live import router
from services.gateway.short_way import plainly_good

HEADERS = [(b"host", b"shop.example"), (b"authorization", b"Bearer abc")]


def scope(*more: tuple[bytes, bytes], query: bytes = b"", path: str = "/v1/events") -> dict[str, object]:
    return {"type": "http", "method": "GET", "path": path, "query_string": query, "headers": [*HEADERS, *more]}


def test_a_plainly_good_request_for_live_events_goes_the_short_way() -> None:
    assert plainly_good(scope()) == Listening("abc", None)
    assert plainly_good(scope((b"last-event-id", b"4711"))) == Listening("abc", "4711")


@pytest.mark.parametrize(
    "asked",
    [
        scope(path="/v1/events/"),
        scope(query=b"token=abc"),
        scope((b"last-event-id", b"4" * 65)),
        scope((b"last-event-id", b"1"), (b"last-event-id", b"2")),
        scope((b"authorization", b"Bearer abc")),
        scope((b"content-length", b"2")),
    ],
)
def test_any_other_goes_the_ordinary_way(asked: dict[str, object]) -> None:
    assert plainly_good(asked) is None


def test_its_address_is_the_route_s() -> None:
    assert Listening.route in {route.path for route in router.routes if hasattr(route, "path")}
