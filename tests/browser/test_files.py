"""The pages as files and over HTTP: no browser needed."""

import asyncio
import gzip
import html
import re
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import unquote

import pytest
from starlette.exceptions import HTTPException
from starlette.types import Message, Scope

from services.gateway.page_files import DIRECTORY, FOR_EVER, PageFiles
from shared.settings import MAIL_LANGUAGES

LANGUAGES = tuple(MAIL_LANGUAGES)
SCRIPTS = sorted(DIRECTORY.glob("*.js"))
ENTRY = re.compile(r'^  (?:"([^"]+)"|(\w+)): (.*),$', re.MULTILINE)
# Keys that are put together from a part of ours and a value of the API's.
FAMILIES = (
    "away.",
    "brand.",
    "filter.",
    "status.",
    "side.",
    "state.",
    "connection.",
    "reason.",
    "outcome.",
    "dispute.next.",
    "problem.",
    "dispute_opened.",
    "dispute_closed.",
    "empty.",
    "signed_out.",
    "signed_out_hint.",
)


def words(language: str) -> dict[str, str]:
    found = ENTRY.findall((DIRECTORY / "words" / f"{language}.js").read_text())
    return {quoted or plain: text for quoted, plain, text in found}


@dataclass
class Answer:
    status_code: int = 0
    headers: dict[str, str] = field(default_factory=dict)
    content: bytes = b""

    @property
    def text(self) -> str:
        return (gzip.decompress(self.content) if "content-encoding" in self.headers else self.content).decode()


class Served:
    """The pages as the gateway mounts them, asked without a network."""

    def __init__(self, **options: Any) -> None:
        self._files = PageFiles(**options)

    def get(self, path: str, *, method: str = "GET", **headers: str) -> Answer:
        return asyncio.run(self.ask(path, method, {"accept-encoding": "gzip", **headers}))

    async def ask(self, path: str, method: str, headers: dict[str, str]) -> Answer:
        given = [(name.replace("_", "-").encode(), value.encode()) for name, value in headers.items()]
        scope: Scope = {
            "type": "http",
            "method": method,
            "path": unquote(path),
            "root_path": "/pages",
            "headers": given,
        }
        answer = Answer()

        async def receive() -> Message:
            return {"type": "http.request", "body": b""}

        async def send(message: Message) -> None:
            answer.status_code = message.get("status", answer.status_code)
            answer.headers |= {name.decode(): value.decode() for name, value in message.get("headers", [])}
            answer.content += message.get("body", b"")

        try:
            await self._files(scope, receive, send)
        except HTTPException as refused:
            return Answer(refused.status_code)
        return answer


@pytest.mark.parametrize("language", LANGUAGES)
def test_every_language_has_the_same_words_with_the_same_places(language: str) -> None:
    english, other = words("en"), words(language)
    assert list(other) == list(english)
    for key, text in english.items():
        assert set(re.findall(r"\{(\w+)\}", other[key])) == set(re.findall(r"\{(\w+)\}", text)), key
        assert other[key].startswith("{ one:") == text.startswith("{ one:"), key


def test_the_pages_speak_the_languages_of_the_mails() -> None:
    """Else a mail leads to a page in another language."""
    offered = re.search(r"export const LANGUAGES = \{(.*)\};", (DIRECTORY / "language.js").read_text())
    assert offered is not None
    assert sorted(re.findall(r'(\w+): "', offered[1])) == sorted(MAIL_LANGUAGES)
    assert sorted(path.stem for path in (DIRECTORY / "words").glob("*.js")) == sorted(MAIL_LANGUAGES)


def test_every_key_in_the_scripts_has_words_and_none_is_left_over() -> None:
    known = words("en")
    text = "\n".join(script.read_text() for script in SCRIPTS)
    used = set(re.findall(r'\bt\(\s*"([^"]+)"', text)) | set(re.findall(r'"([\w.]+)"', text))
    asked = set(re.findall(r'\blang\.t\("([^"]+)"', text)) | set(re.findall(r'this\.#lang\.t\("([^"]+)"', text))
    assert asked - set(known) == set()
    assert {key for key in known if key not in used and not key.startswith(FAMILIES)} == set()


def test_no_script_parses_html_or_sets_a_style_or_handler_in_text() -> None:
    forbidden = re.compile(
        r"innerHTML|outerHTML|insertAdjacentHTML|document\.write|DOMParser|\beval\(|new Function|srcdoc\s*="
    )
    for script in SCRIPTS:
        assert not [line for line in script.read_text().splitlines() if forbidden.search(line)], script.name


def test_html_has_nothing_inline() -> None:
    for page in DIRECTORY.glob("*.html"):
        text = page.read_text()
        assert not re.search(r"<style|<script(?![^>]*src=)|\sstyle=|\son\w+=|javascript:", text), page.name


def test_the_first_page_names_one_style_sheet_and_one_script() -> None:
    """Whatever else they need was put into them: a phone far away waits for no third file."""
    assert [address.rpartition("/")[2] for address in files_of(Served().get("/pages/").text)] == [
        "icon.svg",
        "pages.css",
        "start.js",
    ]


def test_pages_are_served_with_a_strict_policy() -> None:
    answer = Served().get("/pages/orders/A.1:~-x")
    assert answer.status_code == 200
    assert answer.headers["cache-control"] == "no-cache"
    policy = dict(part.strip().split(" ", 1) for part in answer.headers["content-security-policy"].split(";"))
    assert policy == {
        "default-src": "'none'",
        "script-src": "'self'",
        "style-src": "'self'",
        "connect-src": "'self'",
        "img-src": "'self' data:",
        "frame-ancestors": "'none'",
        "base-uri": "'none'",
        "form-action": "'none'",
        "require-trusted-types-for": "'script'",
        "trusted-types": "'none'",
    }


def test_a_shop_may_frame_the_pages_where_a_setting_says_so() -> None:
    answer = Served(frame_ancestors="https://shop.example").get("/pages/")
    assert "frame-ancestors https://shop.example;" in answer.headers["content-security-policy"]


def test_the_way_to_the_sign_in_is_the_shops_else_the_demos_else_none() -> None:
    login = "https://shop.example/login?a=1&next={return_url}"
    served = {
        login_of(Served(login_url=login, demo_login=True)): login,
        login_of(Served(demo_login=True)): "/pages/login?return={return_path}",
        login_of(Served()): None,
    }
    assert all(said == meant for said, meant in served.items()), served


def login_of(served: Served) -> str | None:
    said = re.search(r'<html [^>]*data-login="([^"]*)"', served.get("/pages/").text)
    return None if said is None else html.unescape(said[1])


def files_of(page: str) -> list[str]:
    return re.findall(r'(?:src|href)="(/pages/[^"]+)"', page)


def test_what_a_page_names_may_be_kept_for_ever_and_is_compressed() -> None:
    client = Served()
    for address in files_of(client.get("/pages/").text):
        answer = client.get(address)
        assert answer.status_code == 200, address
        assert answer.headers["cache-control"] == FOR_EVER
        assert answer.headers["content-encoding"] == "gzip"
        again = client.get(address, if_none_match=answer.headers["etag"])
        assert (again.status_code, again.content) == (304, b"")


def test_files_of_another_version_are_served_but_not_for_ever() -> None:
    """A page of an older gateway may ask a newer one."""
    answer = Served().get("/pages/-/0123456789abcdef/start.js")
    assert (answer.status_code, answer.headers["cache-control"]) == (200, "no-cache")


def test_the_widgets_lasting_address_leads_to_its_newest_version() -> None:
    client = Served()
    answer = client.get("/pages/parley.js")
    assert (answer.status_code, answer.headers["cache-control"]) == (307, "no-cache")
    widget = client.get(answer.headers["location"])
    assert widget.headers["content-type"].startswith("text/javascript")
    assert widget.headers["cross-origin-resource-policy"] == "cross-origin"


@pytest.mark.parametrize(
    "path", ["nothing", "index.html", "login", "login.html", "../app.py", "%2e%2e/app.py", "words", "orders.js"]
)
def test_there_is_nothing_else(path: str) -> None:
    assert Served().get(f"/pages/{path}").status_code == 404


def test_the_demo_login_is_there_where_it_is_switched_on() -> None:
    client = Served(demo_login=True)
    assert "login.js" in client.get("/pages/login").text
    assert 'data-login="/pages/login?return={return_path}"' in client.get("/pages/").text


def test_the_shops_token_address_is_told_to_the_pages() -> None:
    assert (
        'data-token-url="/my-shop/token?a=1&amp;b=&quot;"'
        in Served(token_url='/my-shop/token?a=1&b="').get("/pages/").text
    )


def test_nothing_can_be_written() -> None:
    assert Served().get("/pages/", method="POST").status_code == 405
