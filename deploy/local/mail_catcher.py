"""A mail catcher: takes every mail over SMTP, delivers none, and shows them on a page and through a small JSON API.

GET /api/mails?to=ADDRESS&q=WORDS&limit=N   the newest first, without their texts
GET /api/mails/ID                   one mail: headers, text, HTML and source
DELETE /api/mails                   forgets them all
"""

import asyncio
import os
import re
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import asdict, dataclass
from pathlib import Path

import uvicorn
from aiosmtpd.smtp import SMTP, Envelope, Session
from jinja2 import Environment, FileSystemLoader, StrictUndefined
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.middleware.trustedhost import TrustedHostMiddleware
from starlette.requests import Request
from starlette.responses import HTMLResponse, JSONResponse, PlainTextResponse, Response
from starlette.routing import Route

from deploy.local.mail_store import CaughtMail, MailStore, links_in

MAX_MAIL_BYTES = 10_000_000
LIST_LIMIT = 200
LIST_LIMIT_MAX = 2_000
PAGES = Path(__file__).with_name("mail_pages")
WIDTHS = {"full": "", "600": "600 px", "360": "360 px"}
SCHEMES = {"light": "Light", "dark": "Dark"}
PREFERS = re.compile(r"\(\s*prefers-color-scheme\s*:\s*(light|dark)\s*\)", re.IGNORECASE)

# The pages run no script at all; a mail's HTML is shown in a frame that is an origin of its own and may load nothing.
PAGE_POLICY = "default-src 'none'; style-src 'self'; frame-src 'self'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'"
MAIL_POLICY = (
    "sandbox; default-src 'none'; style-src 'unsafe-inline'; img-src data:; base-uri 'none'; form-action 'none'; "
    "frame-ancestors 'self'"
)
HEADERS = {"X-Content-Type-Options": "nosniff", "Referrer-Policy": "no-referrer", "Cache-Control": "no-store"}


@dataclass(frozen=True)
class CatcherSettings:
    """Where it listens and what it keeps. `allowed_hosts` are the names it is asked by (against DNS rebinding)."""

    directory: Path
    host: str
    smtp_port: int
    page_port: int
    allowed_hosts: tuple[str, ...]

    @classmethod
    def read(cls, environment: Mapping[str, str]) -> "CatcherSettings":
        extra_hosts = tuple(name for name in environment.get("MAIL_ALLOWED_HOSTS", "").split(",") if name)
        return cls(
            directory=Path(environment.get("MAIL_DIRECTORY", ".run/mail")),
            host=environment.get("MAIL_HOST", "127.0.0.1"),
            smtp_port=int(environment.get("SMTP_PORT", "1025")),
            page_port=int(environment.get("MAIL_PAGE_PORT", "8025")),
            allowed_hosts=("127.0.0.1", "localhost", "[::1]", *extra_hosts),
        )


class CatchAll:
    """Answers 250 once the mail is on disk, and 451 where it cannot be stored."""

    def __init__(self, store: MailStore) -> None:
        self._store = store

    async def handle_DATA(self, server: SMTP, session: Session, envelope: Envelope) -> str:  # noqa: N802 - aiosmtpd's name
        content = envelope.content if isinstance(envelope.content, bytes) else (envelope.content or "").encode()
        try:
            mail = self._store.add(envelope.mail_from or "", list(envelope.rcpt_tos), content)
        except OSError as error:
            return f"451 4.3.0 The mail cannot be stored: {error.strerror}"
        return f"250 2.0.0 Caught as {mail.id}"


class Pages:
    """The routes: pages for people, JSON for tests and the demo."""

    def __init__(self, store: MailStore) -> None:
        self._store = store
        self._templates = Environment(loader=FileSystemLoader(PAGES), autoescape=True, undefined=StrictUndefined)
        self._style = (PAGES / "style.css").read_text()

    def routes(self) -> list[Route]:
        return [
            Route("/", self.list_page),
            Route("/style.css", self.style),
            Route("/mails/{mail_id}", self.mail_page),
            Route("/mails/{mail_id}/html", self.mail_html),
            Route("/mails/{mail_id}/source", self.mail_source),
            Route("/api/mails", self.api_list),
            Route("/api/mails", self.api_clear, methods=["DELETE"]),
            Route("/api/mails/{mail_id}", self.api_mail),
            Route("/livez", self.livez),
        ]

    async def list_page(self, request: Request) -> Response:
        to, q = (request.query_params.get(name) or None for name in ("to", "q"))
        found = list(self._store.newest_first(to=to, q=q))
        return self._page("list.html", mails=found[:LIST_LIMIT], total=len(found), to=to, q=q)

    async def mail_page(self, request: Request) -> Response:
        mail = self._asked(request)
        content = self._store.content(mail)
        pieces = None if content.text is None else links_in(content.text)
        shown = {"width": _one_of(WIDTHS, request, "width"), "scheme": _one_of(SCHEMES, request, "scheme")}
        return self._page(
            "mail.html", mail=mail, content=content, pieces=pieces, widths=WIDTHS, schemes=SCHEMES, **shown
        )

    async def mail_html(self, request: Request) -> Response:
        html = self._store.content(self._asked(request)).html
        if html is None:
            raise HTTPException(404, "This mail has no HTML part.")
        if scheme := request.query_params.get("scheme"):
            html = _in_scheme(html, scheme)
        return HTMLResponse(html, headers={**HEADERS, "Content-Security-Policy": MAIL_POLICY})

    async def mail_source(self, request: Request) -> Response:
        source = self._store.content(self._asked(request)).source
        return PlainTextResponse(source, headers={**HEADERS, "Content-Security-Policy": MAIL_POLICY})

    async def api_list(self, request: Request) -> Response:
        to, q = (request.query_params.get(name) or None for name in ("to", "q"))
        limit = request.query_params.get("limit", str(LIST_LIMIT))
        if not limit.isdecimal() or not 1 <= int(limit) <= LIST_LIMIT_MAX:
            raise HTTPException(422, f"limit must be a number from 1 to {LIST_LIMIT_MAX}.")
        found = list(self._store.newest_first(to=to, q=q))
        return JSONResponse({"items": [asdict(mail) for mail in found[: int(limit)]], "total": len(found)})

    async def api_mail(self, request: Request) -> Response:
        mail = self._asked(request)
        return JSONResponse(asdict(mail) | asdict(self._store.content(mail)))

    async def api_clear(self, request: Request) -> Response:
        return JSONResponse({"deleted": self._store.clear()})

    async def style(self, request: Request) -> Response:
        return Response(self._style, media_type="text/css", headers=HEADERS)

    async def livez(self, request: Request) -> Response:
        return PlainTextResponse("ok\n")

    def _asked(self, request: Request) -> CaughtMail:
        mail = self._store.find(request.path_params["mail_id"])
        if mail is None:
            raise HTTPException(404, "There is no such mail (any more).")
        return mail

    def _page(self, template: str, **values: object) -> Response:
        text = self._templates.get_template(template).render(**values)
        return HTMLResponse(text, headers={**HEADERS, "Content-Security-Policy": PAGE_POLICY})


def _one_of(choices: Mapping[str, str], request: Request, name: str) -> str:
    """The query's value, or the first of the choices."""
    value = request.query_params.get(name, "")
    return value if value in choices else next(iter(choices))


def _in_scheme(html: str, scheme: str) -> str:
    """The mail as a reader sees it whose programs are light, or dark: what its style asks for is answered here, not by this browser."""
    answered = PREFERS.sub(lambda asked: f"({'min' if asked[1].lower() == scheme else 'max'}-width: 0)", html)
    return f"{answered}<style>:root {{ color-scheme: {'dark' if scheme == 'dark' else 'light'} !important }}</style>"


def build(settings: CatcherSettings) -> Starlette:
    """The page application; the SMTP server lives as long as it does."""
    store = MailStore(settings.directory)

    @asynccontextmanager
    async def smtp_server(app: Starlette) -> AsyncIterator[None]:
        loop = asyncio.get_running_loop()
        server = await loop.create_server(lambda: _session(store, loop), settings.host, settings.smtp_port)
        async with server:
            print(f"mail catcher: SMTP on {settings.host}:{settings.smtp_port}", flush=True)
            yield

    trusted = Middleware(TrustedHostMiddleware, allowed_hosts=list(settings.allowed_hosts), www_redirect=False)
    return Starlette(routes=Pages(store).routes(), lifespan=smtp_server, middleware=[trusted])


def _session(store: MailStore, loop: asyncio.AbstractEventLoop) -> SMTP:
    return SMTP(
        CatchAll(store),
        data_size_limit=MAX_MAIL_BYTES,
        enable_SMTPUTF8=True,
        hostname="mail-catcher.localhost",
        ident="Parley mail catcher",
        timeout=60,
        loop=loop,
    )


def main() -> None:
    settings = CatcherSettings.read(os.environ)
    print(f"mail catcher: page on http://{settings.host}:{settings.page_port}", flush=True)
    uvicorn.run(build(settings), host=settings.host, port=settings.page_port, log_level="warning", access_log=False)


if __name__ == "__main__":
    main()
