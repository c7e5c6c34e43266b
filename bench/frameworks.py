"""What the HTTP framework costs on the POST path: CPU per request, the application called directly, no server and no network.

`python -m bench.frameworks`. Each application does the same work: finds the route, reads a JSON body of about 450 bytes, validates it
with Pydantic, and answers JSON. They take turns within one run, so that the ratios hold on a machine that does other things too.
"""

import asyncio
import json
import statistics
import time
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Annotated, Any, Final

import uvloop
from fastapi import Depends, FastAPI, Request
from fastapi.responses import Response
from pydantic import BaseModel, ConfigDict, StringConstraints
from starlette.applications import Starlette
from starlette.requests import Request as StarletteRequest
from starlette.responses import Response as StarletteResponse
from starlette.routing import Route

ROUNDS: Final = 15
REQUESTS: Final = 2_000
PATH: Final = "/v1/orders/1042/messages"

Message = MutableMapping[str, Any]
Application = Callable[[Any, Any, Any], Awaitable[None]]


class NewMessage(BaseModel):
    """The body, as strict as the gateway's."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    text: Annotated[str, StringConstraints(min_length=1, max_length=10_000)]
    after: str | None = None


class Posted(BaseModel):
    order_id: str
    seq: int
    text: str


BODY: Final = json.dumps({"text": "Where is my order? " * 22}).encode()
HEADERS: Final = [(b"content-type", b"application/json"), (b"content-length", str(len(BODY)).encode())]


def answer(order_id: str, body: bytes) -> bytes:
    message = NewMessage.model_validate_json(body, strict=True)
    return Posted(order_id=order_id, seq=1, text=message.text).model_dump_json().encode()


async def bare(scope: Any, receive: Any, send: Any) -> None:
    """No framework: the least that an ASGI application can do."""
    order_id = scope["path"].split("/")[3]
    content = answer(order_id, (await receive())["body"])
    headers = [(b"content-type", b"application/json"), (b"content-length", str(len(content)).encode())]
    await send({"type": "http.response.start", "status": 201, "headers": headers})
    await send({"type": "http.response.body", "body": content})


def starlette() -> Application:
    async def post(request: StarletteRequest) -> StarletteResponse:
        content = answer(request.path_params["order_id"], await request.body())
        return StarletteResponse(content, status_code=201, media_type="application/json")

    return Starlette(routes=[Route("/v1/orders/{order_id}/messages", post, methods=["POST"])])


def fastapi_own_body() -> Application:
    """As the gateway does it: FastAPI's routing and dependencies, the body read and answered by ourselves."""
    app = FastAPI(openapi_url=None)

    async def body_of(request: Request) -> NewMessage:
        return NewMessage.model_validate_json(await request.body(), strict=True)

    @app.post("/v1/orders/{order_id}/messages")
    async def post(order_id: str, message: Annotated[NewMessage, Depends(body_of)]) -> Response:
        content = Posted(order_id=order_id, seq=1, text=message.text).model_dump_json()
        return Response(content, status_code=201, media_type="application/json")

    return app


def fastapi_as_taught() -> Application:
    """Body parameter and response model, as FastAPI's tutorial has it."""
    app = FastAPI(openapi_url=None)

    @app.post("/v1/orders/{order_id}/messages", status_code=201)
    async def post(order_id: str, message: NewMessage) -> Posted:
        return Posted(order_id=order_id, seq=1, text=message.text)

    return app


async def request(app: Application) -> int:
    """One request; the status of its answer."""
    status = 0
    scope = {
        "type": "http",
        "asgi": {"version": "3.0"},
        "http_version": "1.1",
        "method": "POST",
        "scheme": "http",
        "path": PATH,
        "raw_path": PATH.encode(),
        "root_path": "",
        "query_string": b"",
        "headers": HEADERS,
        "client": ("127.0.0.1", 1),
        "server": ("127.0.0.1", 80),
    }

    async def receive() -> Message:
        return {"type": "http.request", "body": BODY, "more_body": False}

    async def send(message: Message) -> None:
        nonlocal status
        status = message.get("status", status)

    await app(scope, receive, send)
    return status


async def cpu_us(app: Application) -> float:
    """CPU time of this process per request, in microseconds."""
    began = time.process_time()
    for _ in range(REQUESTS):
        assert await request(app) == 201
    return (time.process_time() - began) / REQUESTS * 1e6


async def main() -> None:
    applications: dict[str, Application] = {
        "bare ASGI function": bare,
        "Starlette route": starlette(),
        "FastAPI, body read by a dependency (the gateway)": fastapi_own_body(),
        "FastAPI, body parameter and response model": fastapi_as_taught(),
    }
    taken: dict[str, list[float]] = {name: [] for name in applications}
    for app in applications.values():
        await cpu_us(app)
    for _ in range(ROUNDS):
        for name, app in applications.items():
            taken[name].append(await cpu_us(app))
    least = statistics.median(taken["bare ASGI function"])
    print(f"CPU per POST of {len(BODY)} bytes, median of {ROUNDS} rounds of {REQUESTS}, in turns")
    for name, values in taken.items():
        median = statistics.median(values)
        print(
            f"  {name:<50} {median:6.1f} us   x {median / least:4.1f}   (from {min(values):.1f} to {max(values):.1f})"
        )


if __name__ == "__main__":
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(main())
