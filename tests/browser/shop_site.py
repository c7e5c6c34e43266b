"""A shop's own site for tests: serves the example page of docs/widget, and gives its visitor a token."""

import asyncio
from types import TracebackType
from typing import Self

from aiohttp import web

from deploy.local.ports import LOOPBACK, free_port
from deploy.local.settings import REPOSITORY

EXAMPLE = REPOSITORY / "docs" / "widget"


class ShopSite:
    """`visitor_token` is what the session's visitor gets; None: nobody is signed in. Its origin's host is not Parley's: another site."""

    def __init__(self) -> None:
        self.port = free_port()
        self.visitor_token: str | None = None
        self.token_life_s: int | None = None
        self.parley_url = ""
        self.order_id = ""
        self.tokens_given = 0
        self._runner = web.AppRunner(self._app())

    @property
    def origin(self) -> str:
        return f"http://localhost:{self.port}"

    async def __aenter__(self) -> Self:
        await self._runner.setup()
        await web.TCPSite(self._runner, LOOPBACK, self.port).start()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        async with asyncio.timeout(10):
            await self._runner.cleanup()

    def _app(self) -> web.Application:
        app = web.Application()
        app.add_routes(
            [
                web.get("/orders", self._page),
                web.get("/shop.css", self._style),
                web.get("/my-shop/token", self._token),
            ]
        )
        return app

    async def _page(self, _request: web.Request) -> web.Response:
        """The example with this stack's address and order, under the policy that docs/widget.md recommends."""
        text = (EXAMPLE / "example.html").read_text()
        text = text.replace("https://parley.shop.example", self.parley_url).replace('"1042"', f'"{self.order_id}"')
        parley = self.parley_url
        policy = (
            f"default-src 'none'; img-src data:; script-src {parley}; style-src 'self' {parley}; connect-src 'self' {parley}; "
            "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
        )
        return web.Response(text=text, content_type="text/html", headers={"Content-Security-Policy": policy})

    async def _style(self, _request: web.Request) -> web.Response:
        return web.Response(text=(EXAMPLE / "shop.css").read_text(), content_type="text/css")

    async def _token(self, request: web.Request) -> web.Response:
        if self.visitor_token is None:
            return web.Response(status=401)
        self.tokens_given += 1
        answer: dict[str, object] = {"token": self.visitor_token}
        if self.token_life_s is not None:
            answer["expires_in"] = self.token_life_s
        return web.json_response(answer)
