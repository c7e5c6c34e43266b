"""What the outermost layer says itself, when a page of the shop's asks from another origin."""

import json
from typing import Any

from services.gateway.cors import Cors
from services.gateway.frame import Frame
from services.gateway.metrics import Figures

ORIGIN = b"https://shop.example"


async def asked(frame: Frame, *headers: tuple[bytes, bytes]) -> tuple[int, dict[bytes, bytes], Any]:
    said: list[Any] = []

    async def receive() -> Any:
        return {"type": "http.request", "body": b"", "more_body": False}

    async def send(message: Any) -> None:
        said.append(message)

    scope = {
        "type": "http",
        "method": "GET",
        "path": "/v1/me",
        "query_string": b"",
        "headers": [(b"origin", ORIGIN), *headers],
    }
    await frame(scope, receive, send)
    return said[0]["status"], dict(said[0]["headers"]), json.loads(said[1]["body"])


async def fails(_scope: Any, _receive: Any, _send: Any) -> None:
    raise ZeroDivisionError("a defect")


def with_cors(answer: Any) -> Cors:
    return Cors(answer, origins=[ORIGIN.decode()])


async def test_a_defect_can_be_read_by_the_shops_pages_with_the_id_to_report() -> None:
    status, headers, body = await asked(Frame(with_cors(fails), figures=Figures(), cors=with_cors))
    assert (status, headers[b"access-control-allow-origin"]) == (500, ORIGIN)
    assert headers[b"x-request-id"].decode() in body["detail"]
    assert headers[b"x-content-type-options"] == b"nosniff"


async def test_a_refused_head_can_be_read_by_the_shops_pages_and_no_others() -> None:
    frame = Frame(with_cors(fails), figures=Figures(), cors=with_cors)
    status, headers, body = await asked(frame, (b"x-long", b"x" * 20_000))
    assert (status, headers[b"access-control-allow-origin"], body["status"]) == (431, ORIGIN, 431)
    alone = await asked(Frame(fails, figures=Figures()), (b"x-long", b"x" * 20_000))
    assert (alone[0], b"access-control-allow-origin" in alone[1]) == (431, False)
