"""A shop's own site beside Parley, on another origin: a page to try the widget on, with its theme, language and width to choose.

GET /                 the page
GET /token?order=ID   a token of that order's customer, as a shop's session would give it
"""

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import uvicorn
from jinja2 import Environment, FileSystemLoader, StrictUndefined
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.middleware.trustedhost import TrustedHostMiddleware
from starlette.requests import Request
from starlette.responses import FileResponse, HTMLResponse, JSONResponse, PlainTextResponse, Response
from starlette.routing import Route

from deploy.local.credentials import Credentials
from deploy.local.ports import LOOPBACK
from deploy.local.shop import ShopOrder, demo_orders
from deploy.local.tokens import LIFE_S, TokenMint

PAGES = Path(__file__).with_name("playground_pages")
ALLOWED_HOSTS = ("127.0.0.1", "localhost", "[::1]")
HEADERS = {"X-Content-Type-Options": "nosniff", "Referrer-Policy": "no-referrer", "Cache-Control": "no-store"}


@dataclass(frozen=True)
class PlaygroundSettings:
    """Where it listens, whose widget it shows, and the folder with the demo shop's secrets."""

    port: int
    gateway_url: str
    secrets: Path

    @classmethod
    def read(cls, environment: Mapping[str, str]) -> "PlaygroundSettings":
        return cls(
            int(environment["PLAYGROUND_PORT"]), environment["GATEWAY_URL"], Path(environment["SECRETS_DIRECTORY"])
        )


class Pages:
    """The routes. Whoever is at this machine is the customer of each of the demo shop's orders."""

    def __init__(self, settings: PlaygroundSettings, orders: Sequence[ShopOrder], mint: TokenMint) -> None:
        self._gateway_url = settings.gateway_url
        self._orders = {order.order_id: order for order in orders if not order.is_guest}
        self._mint = mint
        templates = Environment(loader=FileSystemLoader(PAGES), autoescape=True, undefined=StrictUndefined)
        self._page = templates.get_template("index.html")

    def routes(self) -> list[Route]:
        return [
            Route("/", self.index),
            Route("/token", self.token),
            Route("/livez", self.livez),
            Route("/{name}", self.file),
        ]

    async def index(self, _request: Request) -> Response:
        text = self._page.render(gateway_url=self._gateway_url, orders=list(self._orders.values()))
        return HTMLResponse(text, headers={**HEADERS, "Content-Security-Policy": self._policy})

    async def token(self, request: Request) -> Response:
        order = self._orders.get(request.query_params.get("order", ""))
        if order is None:
            raise HTTPException(404, "There is no such order of the demo shop.")
        token = self._mint.mint("customer", order.customer.id, name=order.customer.name)
        return JSONResponse({"token": token, "expires_in": LIFE_S}, headers=HEADERS)

    async def file(self, request: Request) -> Response:
        name = request.path_params["name"]
        if name not in ("playground.js", "playground.css"):
            raise HTTPException(404, "There is nothing at this address.")
        return FileResponse(PAGES / name, headers=HEADERS)

    async def livez(self, _request: Request) -> Response:
        return PlainTextResponse("ok\n")

    @property
    def _policy(self) -> str:
        """What docs/widget.md asks of a shop's page, and nothing more."""
        parley = self._gateway_url
        return (
            f"default-src 'none'; img-src data:; script-src 'self' {parley}; style-src 'self' {parley}; "
            f"connect-src 'self' {parley}; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
        )


def build(settings: PlaygroundSettings) -> Starlette:
    mint = TokenMint(Credentials.load_or_make(settings.secrets))
    trusted = Middleware(TrustedHostMiddleware, allowed_hosts=list(ALLOWED_HOSTS), www_redirect=False)
    return Starlette(routes=Pages(settings, demo_orders(), mint).routes(), middleware=[trusted])


def main() -> None:
    settings = PlaygroundSettings.read(os.environ)
    uvicorn.run(build(settings), host=LOOPBACK, port=settings.port, log_level="warning", access_log=False)


if __name__ == "__main__":
    main()
