"""HEAD (RFC 9110, 9.3.2): answered as GET would be, without the body, by every route that takes GET."""

from starlette.types import ASGIApp, Message, Receive, Scope, Send


class HeadAsGet:
    """A layer of bare ASGI. An answer that has no end, like live events, is told that the client left once its head is there.

    The head is sent when the route is done, so that nothing of it is still held when its caller asks again. FastAPI's routes take only the methods that they name; Starlette's own add HEAD to GET.
    """

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or scope["method"] != "HEAD":
            return await self._app(scope, receive, send)
        head: Message | None = None

        async def receive_until_answered() -> Message:
            return await receive() if head is None else {"type": "http.disconnect"}

        async def keep_head(message: Message) -> None:
            nonlocal head
            if message["type"] == "http.response.start":
                head = message

        # A copy: the server looks at the method in its own, to leave out the body.
        asked = {**scope, "method": "GET"}
        try:
            await self._app(asked, receive_until_answered, keep_head)
        finally:
            scope.update({name: asked[name] for name in ("route", "path_params") if name in asked})
        if head is not None:
            await send(head)
            await send({"type": "http.response.body", "body": b"", "more_body": False})
        return None
