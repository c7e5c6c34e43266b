"""Serves the reference pages and the widget: read and compressed once, with ETags, lasting addresses, and a strict Content-Security-Policy.

Everything lives under `/pages/`. The files that HTML names are also under `/pages/-/<digest of all files>/`, where browsers may keep them
for ever: scripts import words by relative addresses, so a page never mixes two versions.
"""

import gzip
import hashlib
import html
from collections.abc import Mapping
from dataclasses import dataclass
from http import HTTPStatus
from pathlib import Path
from typing import Final

from starlette.datastructures import Headers
from starlette.exceptions import HTTPException
from starlette.responses import RedirectResponse, Response
from starlette.types import Receive, Scope, Send

DIRECTORY: Final = Path(__file__).parent / "pages"
# What `make pages` has made of them (deploy/pages/build.mjs): one script, one style sheet, and the words of each language.
BUILT: Final = DIRECTORY / "built"
ROOT: Final = "/pages/"
DEMO_LOGIN: Final = f"{ROOT}login?return={{return_path}}"
WIDGET: Final = "parley.js"
MEDIA_TYPES: Final = {
    ".html": "text/html; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".css": "text/css; charset=utf-8",
    ".svg": "image/svg+xml",
}
# The first part of an address that app.js shows a page for; what follows may be any order's number.
SHOWN_BY_INDEX: Final = frozenset(("", "orders", "messages", "guest", "desk"))
ASK_AGAIN: Final = "no-cache"
FOR_EVER: Final = "public, max-age=31536000, immutable"


@dataclass(frozen=True, slots=True)
class Page:
    """One file, ready to be sent."""

    body: bytes
    media_type: str
    etag: str
    compressed: bytes

    @classmethod
    def make(cls, body: bytes, suffix: str) -> "Page":
        etag = f'"{hashlib.sha256(body).hexdigest()[:20]}"'
        return cls(body, MEDIA_TYPES[suffix], etag, gzip.compress(body, 9, mtime=0))


def policy(frame_ancestors: str) -> str:
    """No inline script or style, nothing from elsewhere, and no way for a text to become markup (Trusted Types)."""
    framing = frame_ancestors or "'none'"
    return (
        "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src 'self' data:; "
        f"frame-ancestors {framing}; base-uri 'none'; form-action 'none'; "
        "require-trusted-types-for 'script'; trusted-types 'none'"
    )


class PageFiles:
    """An ASGI application to mount at `/pages`.

    `token_url` is the shop's address that gives signed-in visitors their token, `login_url` the one where they sign in (with a place for
    the way back); `demo_login` serves a page that takes a token from a link.
    """

    def __init__(
        self,
        directory: Path = BUILT,
        *,
        frame_ancestors: str = "",
        token_url: str = "",
        login_url: str = "",
        demo_login: bool = False,
    ) -> None:
        found = {path.relative_to(directory).as_posix(): path for path in sorted(directory.rglob("*"))}
        contents = {name: path.read_bytes() for name, path in found.items() if path.suffix in MEDIA_TYPES}
        self._digest = _digest(contents)
        self._policy = policy(frame_ancestors)
        self._files = {
            name: Page.make(body, Path(name).suffix) for name, body in contents.items() if not name.endswith(".html")
        }
        login = login_url or (DEMO_LOGIN if demo_login else "")
        said = {"token-url": token_url, "login": login}
        self._index = self._html(contents["index.html"], said)
        self._login = self._html(contents["login.html"], {}) if demo_login else None

    def _html(self, body: bytes, said: Mapping[str, str]) -> Page:
        """The page with lasting addresses, and what the scripts must know as data attributes of its root."""
        text = body.decode()
        for attribute in ("href", "src"):
            text = text.replace(f'{attribute}="{ROOT}', f'{attribute}="{ROOT}-/{self._digest}/')
        attributes = "".join(f' data-{name}="{html.escape(value)}"' for name, value in said.items() if value)
        return Page.make(text.replace("<html ", f"<html{attributes} ", 1).encode(), ".html")

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Raises HTTPException (404, 405) for the application around it."""
        if scope["type"] != "http" or scope["method"] not in ("GET", "HEAD"):
            raise HTTPException(HTTPStatus.METHOD_NOT_ALLOWED)
        path = str(scope["path"]).removeprefix(scope.get("root_path", "")).lstrip("/")
        answer = self._answer(path, Headers(scope=scope))
        await answer(scope, receive, send)

    def _answer(self, path: str, asked: Headers) -> Response:
        if path == WIDGET:
            return RedirectResponse(f"{ROOT}-/{self._digest}/{WIDGET}", headers={"Cache-Control": ASK_AGAIN})
        digest, name = _versioned(path)
        page = self._files.get(name)
        if page is not None:
            return self._send(page, asked, FOR_EVER if digest == self._digest else ASK_AGAIN)
        if digest is None and path == "login" and self._login is not None:
            return self._send(self._login, asked, ASK_AGAIN)
        if digest is None and path.partition("/")[0] in SHOWN_BY_INDEX:
            return self._send(self._index, asked, ASK_AGAIN)
        raise HTTPException(HTTPStatus.NOT_FOUND)

    def _send(self, page: Page, asked: Headers, keep: str) -> Response:
        is_html = page.media_type.startswith("text/html")
        headers = {
            "Content-Security-Policy": self._policy,
            "Cross-Origin-Resource-Policy": "same-origin" if is_html else "cross-origin",
            "Cache-Control": keep,
            "ETag": page.etag,
            "Vary": "Accept-Encoding",
        }
        if is_html:
            headers["Cross-Origin-Opener-Policy"] = "same-origin"
        if page.etag in asked.get("if-none-match", ""):
            return Response(status_code=HTTPStatus.NOT_MODIFIED, headers=headers)
        if "gzip" in asked.get("accept-encoding", ""):
            headers["Content-Encoding"] = "gzip"
            return Response(page.compressed, headers=headers, media_type=page.media_type)
        return Response(page.body, headers=headers, media_type=page.media_type)


def _digest(contents: Mapping[str, bytes]) -> str:
    whole = hashlib.sha256()
    for name, body in contents.items():
        whole.update(f"{name}\0{len(body)}\0".encode() + body)
    return whole.hexdigest()[:16]


def _versioned(path: str) -> tuple[str | None, str]:
    """The digest in an address and the file's name: `-/<digest>/app.js`."""
    if not path.startswith("-/"):
        return None, path
    digest, _, name = path.removeprefix("-/").partition("/")
    return digest, name
