"""The gateway's whole HTTP application, from the head of a request to the answer: any request has an answer, and none is a 500.

What can go the short way is sent twice: that way, and the ordinary way through the routes. They must answer alike.
"""

import asyncio
import json
import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final
from urllib.parse import parse_qsl, unquote

import jwt
from fastapi.responses import Response
from pydantic import BaseModel

from services.gateway import requests
from services.gateway.app import build
from services.gateway.live.clients import Clients
from services.gateway.metrics import Figures
from services.gateway.parts import Parts
from services.gateway.settings import GatewaySettings
from services.gateway.short_way import plainly_good
from shared import orders, tokens
from shared.errors import PROBLEM_MEDIA_TYPE
from shared.tokens import CheckedTokens
from tests.fuzz.parsers import BODIES, GOOD_CURSOR, GOOD_ID, IDS, SECRET, Parser, checker, claims

TOKEN: Final = jwt.encode(claims(), SECRET)
ADMIN: Final = jwt.encode(claims(role="admin"), SECRET)
SERVICE: Final = jwt.encode(claims(role="service"), SECRET)


class Accepting:
    """Stands where RabbitMQ and threads are: takes every command and answers every question, if it gets so far."""

    async def answer(self, *_: Any) -> Response:
        return Response(status_code=201)

    answer_ready = answer_order = answer

    async def hand_over(self, *_: Any) -> None:
        """It is taken."""

    async def ask(self, path: str, _token: str, *, query: BaseModel | None = None) -> Response:
        """Says what was asked."""
        address, _, said = path.partition("?")
        asked = {name: int(value) if value.isdecimal() else value for name, value in parse_qsl(said)}
        if query is not None:
            asked = query.model_dump(mode="json", exclude_unset=True, exclude_none=True)
        return Response(json.dumps([address, asked], sort_keys=True), media_type="application/json")

    @property
    def limits(self) -> "Accepting":
        return self

    def unsubscribe(self, _person: str) -> None:
        """It is not too often."""

    open_guest_session = unsubscribe

    can_publish = is_open = is_current = True

    async def is_alive(self) -> bool:
        return True


@dataclass(frozen=True)
class Seen:
    status: int
    headers: dict[bytes, bytes]
    body: bytes


class Application:
    """The gateway without servers. `short` is whether the short way is open."""

    def __init__(self, *, short: bool) -> None:
        settings = GatewaySettings(
            amqp_url="amqp://nobody",
            token_issuer="shop",
            token_demo_secret=SECRET,
            link_secret=SECRET,
            command_id_secret=SECRET,
            threads_url="http://127.0.0.1:9",
            pages="on",
            demo=True,
        )
        self._app = build(settings)
        if not short:
            self._app._short = None  # type: ignore[attr-defined]  # the ordinary way for all
        behind: Any = Accepting()
        figures = Figures()
        clients = Clients(max_connections=1, max_per_person=1, figures=figures)
        self._app.state.parts = Parts(
            settings=settings,
            figures=figures,
            tokens=CheckedTokens(checker()),
            command_ids=IDS,
            replies=behind,
            commands=behind,
            threads=behind,
            feed=behind,
            clients=clients,
        )

    def __call__(self, scope: dict[str, Any], body: bytes) -> Seen:
        return LOOP.run_until_complete(self._ask(dict(scope), body))

    async def _ask(self, scope: dict[str, Any], body: bytes) -> Seen:
        parts = [{"type": "http.request", "body": body, "more_body": False}]
        said: list[Any] = []

        async def receive() -> Any:
            return parts.pop(0) if parts else {"type": "http.disconnect"}

        async def send(message: Any) -> None:
            said.append(message)

        await self._app(scope, receive, send)
        head = next(each for each in said if each["type"] == "http.response.start")
        whole = b"".join(each.get("body", b"") for each in said)
        return Seen(head["status"], dict(head["headers"]), whole)


LOOP: Final = asyncio.new_event_loop()
TOKEN_NAME: Final = re.compile(rb"[!#$%&'*+.^_`|~0-9a-z-]+")
METHOD: Final = re.compile(rb"[A-Z]{1,20}")
FORBIDDEN: Final = re.compile(rb"[\x00-\x08\x0a-\x1f\x7f]")


class NotHttpError(Exception):
    """No HTTP server would let it through to the application."""


def scope_of(sent: bytes) -> tuple[dict[str, Any], bytes]:
    """What uvicorn makes of these bytes, and the body. Raises NotHttpError."""
    head, _, body = sent.partition(b"\r\n\r\n")
    first, *lines = head.split(b"\r\n")
    method, _, target = first.partition(b" ")
    path, _, query = target.partition(b"?")
    if not METHOD.fullmatch(method) or not target.startswith(b"/") or re.search(rb"[\x00-\x20\x7f-\xff]", target):
        raise NotHttpError
    headers = [_header(line) for line in lines]
    if path == b"/v1/events":
        raise NotHttpError  # it would go on for ever
    if body and not any(name == b"content-length" for name, _ in headers):
        headers.append((b"content-length", str(len(body)).encode()))
    return {
        "type": "http",
        "asgi": {"version": "3.0"},
        "http_version": "1.1",
        "method": method.decode(),
        "scheme": "http",
        "path": unquote(path.decode()),
        "raw_path": path,
        "root_path": "",
        "query_string": query,
        "headers": headers,
        "client": ("192.0.2.1", 5),
        "server": ("127.0.0.1", 8080),
    }, body


def _header(line: bytes) -> tuple[bytes, bytes]:
    name, colon, value = line.partition(b":")
    if not colon or not TOKEN_NAME.fullmatch(name.lower()) or FORBIDDEN.search(value):
        raise NotHttpError
    return name.lower(), value.strip(b" \t")


def request(method: str, target: str, body: Any = None, *, token: str = TOKEN, **headers: str) -> bytes:
    """One good request; header names with underscores."""
    lines = [f"{method} {target}", f"Authorization: Bearer {token}"]
    lines += [f"{name.replace('_', '-')}: {value}" for name, value in headers.items()]
    if body is not None:
        lines.append("Content-Type: application/json")
    content = b"" if body is None else json.dumps(body).encode()
    return "\r\n".join(lines).encode() + b"\r\n\r\n" + content


def every_request() -> list[bytes]:
    """One of each kind that the API takes."""
    order, key = "/v1/orders/1042", "0b6f2c1e-1"
    by_order = [
        request("POST", f"{order}/dispute", BODIES[requests.NewDispute], If_Match='"x.open"', Idempotency_Key=key),
        request("POST", f"{order}/dispute/close", BODIES[requests.DisputeClosing], If_Match='"x.open"'),
        request("PUT", f"{order}/read", {"up_to_seq": 7}, Prefer="respond-async, wait=10"),
        request("PUT", f"{order}/watch", token=ADMIN),
        request("POST", f"{order}/messages/{GOOD_ID}/redact", {}, token=ADMIN),
        request("POST", f"{order}/messages/import", BODIES[requests.ImportedMessage], token=SERVICE),
        request("PUT", order, BODIES[orders.OrderSnapshot], token=SERVICE),
        request("GET", f"{order}/messages?before_seq=5&limit=20"),
        request("GET", order, Accept_Language="de-DE,de;q=0.9,*;q=0.1"),
    ]
    unsubscribe = tokens.mint_unsubscribe("customer:c-7", secret=SECRET, now=claims()["exp"] - 40_000)
    link = tokens.mint_guest_link("1042", "c-7", "Ada", secret=SECRET, now=claims()["exp"] - 40_000)
    return [
        *by_order,
        request("POST", "/v1/threads/read", BODIES[requests.ReadMarks]),
        request("GET", f"/v1/orders?filter=unread&cursor={GOOD_CURSOR}&limit=5&q=lamp%20%C3%A9"),
        request("GET", "/v1/threads?filter=disputed&sort=waiting"),
        request("PUT", "/v1/me/preferences", BODIES[requests.ChosenPreferences]),
        request("GET", f"/v1/commands/{GOOD_ID}", X_Request_Id="a-1", traceparent=f"00-{'4' * 32}-{'0' * 15}1-01"),
        request("POST", "/v1/guest-sessions", {"token": link}),
        request("GET", f"/v1/unsubscribe?token={unsubscribe}"),
        request("POST", f"/v1/unsubscribe?token={unsubscribe}"),
        request("GET", "/pages/orders/1042", If_None_Match='"x"', Accept_Encoding="gzip"),
        request("OPTIONS", f"{order}/messages", Origin="https://evil.example", Access_Control_Request_Method="POST"),
    ]


def a_post(**headers: str) -> bytes:
    return request("POST", "/v1/orders/1042/messages", BODIES[requests.NewMessage], **headers)


def every_post() -> list[bytes]:
    return [
        a_post(),
        a_post(Idempotency_Key="k-1", Prefer="wait=5"),
        a_post(traceparent=f"00-{'4' * 32}-{'0' * 15}1-01"),
    ]


def every_question() -> list[bytes]:
    return [
        request("GET", "/v1/me"),
        request("GET", "/v1/orders/1042"),
        request("GET", "/v1/orders/1042/messages?before_seq=5&limit=20"),
        request("GET", "/v1/orders/1042/messages?after_seq=0"),
        request("GET", f"/v1/orders?filter=unread&cursor={GOOD_CURSOR}&limit=5&q=lamp"),
        request("GET", "/v1/threads?filter=disputed&sort=waiting"),
    ]


def is_answered(app: Application) -> Callable[[bytes], object]:
    def parse(sent: bytes) -> None:
        _require_answer(app(*scope_of(sent)))

    return parse


def is_answered_alike(short: Application, ordinary: Application) -> Callable[[bytes], object]:
    def parse(sent: bytes) -> None:
        scope, body = scope_of(sent)
        if plainly_good(scope) is None:
            raise NotHttpError  # it goes the ordinary way in any case
        one, other = short(scope, body), ordinary(scope, body)
        assert _meaning(one) == _meaning(other), f"{_meaning(one)} and {_meaning(other)}"
        _require_answer(one)

    return parse


def _meaning(seen: Seen) -> tuple[object, ...]:
    """Of a refusal what it is about, of anything else all of it."""
    if seen.status < 400:
        return seen.status, seen.body
    problem = json.loads(seen.body)
    return seen.status, problem["type"], [each["field"] for each in problem.get("errors", ())]


def _require_answer(seen: Seen) -> None:
    """Not a defect of ours, a problem document where it is a refusal, and its headers are on it."""
    assert seen.status != 500, seen.body
    assert seen.status < 400 or seen.headers[b"content-type"] == PROBLEM_MEDIA_TYPE.encode(), seen.headers
    assert seen.headers[b"x-content-type-options"] == b"nosniff"
    assert all(not FORBIDDEN.search(value) for value in seen.headers.values())


def http_parsers() -> list[Parser]:
    short, ordinary = Application(short=True), Application(short=False)
    return [
        Parser("http request", is_answered(short), every_request(), (NotHttpError,), 5),
        Parser("http post, both ways", is_answered_alike(short, ordinary), every_post(), (NotHttpError,), 5),
        Parser("http question, both ways", is_answered_alike(short, ordinary), every_question(), (NotHttpError,), 5),
    ]
