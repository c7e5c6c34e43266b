"""What stands around every answer of the gateway, whichever it is; where a token may stand; and that nobody is sent elsewhere."""

import re
from pathlib import Path
from typing import Any

import pytest

from services.gateway import frame, requests
from services.gateway.app import undressed
from tests.fuzz.http import Application, Seen, request, scope_of
from tests.fuzz.parsers import BODIES

APPLICATION = Application(short=True)
PAGES = Path(frame.__file__).parent / "pages"
OPERATIONS = [
    (method.upper(), path)
    for path, methods in undressed().openapi()["paths"].items()
    for method in methods
    if path != "/v1/events"
]
ELSEWHERE = [
    *("/pages", "/pages/", "/pages/orders/1042", "/pages/parley.js", "/pages/app.js", "/pages/nothing", "/", "/docs"),
    *("/openapi.json", "/nothing", "/v1", "/v1/orders/", "/robots.txt", "/.git/config", "/pages/../app.py", "/livez"),
]


def ask(method: str, target: str, body: Any = None, **headers: str) -> Seen:
    return APPLICATION(*scope_of(request(method, target, body, **headers)))


def every_answer() -> list[Any]:
    asked = [(method, re.sub(r"\{\w+\}", "1042", path)) for method, path in OPERATIONS]
    asked += [("GET", path) for path in ELSEWHERE] + [("HEAD", "/pages/"), ("DELETE", "/pages/"), ("TRACE", "/v1/me")]
    return [pytest.param(*each, id=" ".join(each)) for each in asked]


@pytest.mark.parametrize(("method", "path"), every_answer())
def test_every_answer_has_the_headers_that_keep_browsers_careful(method: str, path: str) -> None:
    seen = ask(method, path)
    headers = {name.decode(): value.decode() for name, value in seen.headers.items()}
    policy = dict(part.strip().split(" ", 1) for part in headers["content-security-policy"].split(";"))
    assert policy["default-src"] == "'none'"
    assert policy["base-uri"] == "'none'"
    assert policy["frame-ancestors"] == "'none'"
    assert "unsafe" not in headers["content-security-policy"]
    assert headers["x-content-type-options"] == "nosniff"
    assert headers["referrer-policy"] == "no-referrer"
    assert "cross-origin-resource-policy" in headers
    assert "set-cookie" not in headers
    assert "server" not in headers
    assert "x-powered-by" not in headers
    if path.startswith("/v1"):
        assert headers["cache-control"] == "no-store"
    if seen.body:
        assert re.fullmatch(
            r"(application/(problem\+)?json|text/[a-z]+; charset=utf-8|image/svg\+xml|text/plain.*)",
            headers["content-type"],
        )


@pytest.mark.parametrize(("method", "path"), every_answer())
def test_nobody_is_sent_to_another_site(method: str, path: str) -> None:
    for target in (path, f"{path}?next=https://evil.example&url=//evil.example", path.replace("/", "//", 1)):
        where = ask(method, target, Host="evil.example", X_Forwarded_Host="evil.example").headers.get(b"location", b"/")
        assert re.fullmatch(rb"/([^/\\].*)?", where), where


@pytest.mark.parametrize("target", ["?access_token=T", "?token=T", "?authorization=Bearer%20T"])
def test_a_token_in_an_address_opens_nothing(target: str) -> None:
    sent = (
        b"GET /v1/me"
        + target.replace("T", request("GET", "/").split(b"Bearer ")[1].split(b"\r\n")[0].decode()).encode()
    )
    assert APPLICATION(*scope_of(sent)).status == 401


def test_a_token_in_a_cookie_or_in_basic_authentication_opens_nothing() -> None:
    token = request("GET", "/").split(b"Bearer ")[1].split(b"\r\n")[0]
    for header in (b"Cookie: token=" + token, b"Authorization: Basic " + token, b"X-Authorization: Bearer " + token):
        assert APPLICATION(*scope_of(b"GET /v1/me\r\n" + header)).status == 401


def test_no_script_of_ours_puts_a_token_into_an_address() -> None:
    """It stands in the Authorization header alone; the demo login and a guest's mail hand it over in the fragment, which goes nowhere."""
    for script in PAGES.rglob("*.js"):
        for line in script.read_text().splitlines():
            assert not re.search(r"[?&](access_)?token=", line), f"{script.name}: {line.strip()}"
    assert "Authorization" in (PAGES / "api.js").read_text()


@pytest.mark.parametrize(
    "origin", ["https://evil.example", "null", "http://shop.example", "https://shop.example.evil.example"]
)
def test_without_a_list_of_origins_no_other_page_may_read_anything(origin: str) -> None:
    preflight = ask("OPTIONS", "/v1/me", Origin=origin, Access_Control_Request_Method="POST")
    answer = ask("GET", "/v1/me", Origin=origin)
    for seen in (preflight, answer):
        assert not [name for name in seen.headers if name.startswith(b"access-control-")]


@pytest.mark.parametrize("media_type", ["text/plain", "application/x-www-form-urlencoded", "multipart/form-data", ""])
def test_a_form_of_another_page_cannot_write(media_type: str) -> None:
    """Such a request needs no preflight; with neither the token nor the media type it is refused twice over."""
    sent = request("POST", "/v1/orders/1042/messages", BODIES[requests.NewMessage])
    as_form = sent.replace(b"Content-Type: application/json", f"Content-Type: {media_type}".encode())
    assert APPLICATION(*scope_of(as_form)).status == 415
    assert APPLICATION(*scope_of(re.sub(rb"Authorization[^\r]*\r\n", b"", as_form))).status == 401


def test_a_get_changes_nothing() -> None:
    """Every operation that changes something is POST, PUT or DELETE; the page behind an unsubscribe link asks first."""
    document = undressed().openapi()["paths"]
    reading = {operation["get"]["operationId"] for operation in document.values() if "get" in operation}
    assert not [
        name for name in reading if re.match(r"(post|put|set|open[DG]|close|mark|watch|redact|unsub|import)", name)
    ]
    assert "askToUnsubscribe" in reading
