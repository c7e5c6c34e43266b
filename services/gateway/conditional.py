"""Conditional questions (RFC 9110, 13.1.2): who has the answer already is told so in 304, without its body."""

from typing import Final

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from shared import etags

ASKED_WITH: Final = b"if-none-match"
# What describes the body that is left out.
OF_THE_BODY: Final = frozenset({b"content-length", b"content-type", b"content-encoding"})


class NotModified:
    """A layer of bare ASGI, around both ways: whatever GET is answered 200 with an `ETag` becomes 304 where `If-None-Match` names it.

    It spares the caller the bytes, not us the question: whether anything has changed is known only when it was asked.
    """

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or scope["method"] not in ("GET", "HEAD"):
            return await self._app(scope, receive, send)
        known = b", ".join(value for name, value in scope["headers"] if name == ASKED_WITH).decode("latin-1")
        if not known:
            return await self._app(scope, receive, send)
        is_known = False

        async def send_what_is_new(message: Message) -> None:
            nonlocal is_known
            if message["type"] == "http.response.start":
                etag = dict(message["headers"]).get(b"etag", b"").decode("latin-1")
                is_known = message["status"] == 200 and etag != "" and etags.match_weakly(known, etag)
                if is_known:
                    headers = [header for header in message["headers"] if header[0] not in OF_THE_BODY]
                    message = {**message, "status": 304, "headers": headers}
            elif is_known:
                message = {**message, "body": b""}
            await send(message)

        return await self._app(scope, receive, send_what_is_new)
