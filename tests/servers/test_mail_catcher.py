"""The mail catcher keeps what it gets, and shows hostile mails harmlessly."""

import http.client
import json
import signal
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import aiosmtplib
import pytest

from deploy.local.mail_store import MailStore
from deploy.local.ports import LOOPBACK, free_port
from deploy.local.processes import Children, ServerProcess
from deploy.local.settings import REPOSITORY
from tests.servers.waiting import eventually_now

HOSTILE = b"""\
From: <script>alert(1)</script> <evil@example.com>
To: mara@example.com
Subject: =?utf-8?q?=3Cimg_src=3Dx_onerror=3Dalert=282=29=3E?=
MIME-Version: 1.0
Content-Type: multipart/alternative; boundary=cut

--cut
Content-Type: text/plain; charset=utf-8

See https://shop.example/?a=1&b=<b>2</b>.
--cut
Content-Type: text/html; charset=utf-8

<p>Hello</p><script>alert(3)</script>
--cut--
"""


@dataclass
class Catcher:
    process: ServerProcess
    smtp_port: int
    page_port: int

    def start(self) -> None:
        self.process.start()
        eventually_now(self._answers, what="the mail catcher")

    def get(self, path: str, *, host: str = LOOPBACK, method: str = "GET") -> tuple[int, dict[str, str], str]:
        connection = http.client.HTTPConnection(LOOPBACK, self.page_port, timeout=5)
        try:
            connection.request(method, path, headers={"Host": f"{host}:{self.page_port}"})
            answer = connection.getresponse()
            return answer.status, {k.lower(): v for k, v in answer.getheaders()}, answer.read().decode()
        finally:
            connection.close()

    def mails(self, query: str = "") -> list[dict[str, Any]]:
        items: list[dict[str, Any]] = json.loads(self.get(f"/api/mails{query}")[2])["items"]
        return items

    async def send(self, content: bytes, *to: str) -> None:
        await aiosmtplib.send(
            content,
            sender="shop@shop.example",
            recipients=list(to),
            hostname=LOOPBACK,
            port=self.smtp_port,
            start_tls=False,
            timeout=5,
        )

    def _answers(self) -> bool:
        self.process.require_running()
        try:
            return self.get("/livez")[0] == 200
        except OSError:
            return False


@pytest.fixture
def catcher(tmp_path: Path) -> Iterator[Catcher]:
    smtp_port, page_port = free_port(), free_port()
    environment = {
        "MAIL_DIRECTORY": str(tmp_path / "mail"),
        "SMTP_PORT": str(smtp_port),
        "MAIL_PAGE_PORT": str(page_port),
    }
    process = Children(logs=tmp_path, orphan_signal=signal.SIGKILL).make(
        "mail_catcher",
        [sys.executable, "-m", "deploy.local.mail_catcher"],
        environment=environment,
        directory=REPOSITORY,
    )
    catcher = Catcher(process, smtp_port, page_port)
    catcher.start()
    yield catcher
    process.kill()


async def test_a_hostile_mail_is_shown_without_a_single_tag_of_its_own(catcher: Catcher) -> None:
    await catcher.send(HOSTILE, "mara@example.com")
    (mail,) = catcher.mails()

    for page in ("/", f"/mails/{mail['id']}"):
        status, headers, text = catcher.get(page)
        assert status == 200
        assert "<script" not in text
        assert "<img" not in text
        assert "&lt;img src=x" in text
        assert "script-src" not in headers["content-security-policy"]
        assert headers["content-security-policy"].startswith("default-src 'none'")
    assert 'href="https://shop.example/?a=1&amp;b="' in text


async def test_its_html_part_is_served_for_a_sandbox_that_runs_and_loads_nothing(catcher: Catcher) -> None:
    await catcher.send(HOSTILE, "mara@example.com")
    (mail,) = catcher.mails()

    _, headers, text = catcher.get(f"/mails/{mail['id']}/html")

    assert "<p>Hello</p>" in text
    assert headers["content-security-policy"].startswith("sandbox; default-src 'none'")
    assert '<iframe sandbox=""' in catcher.get(f"/mails/{mail['id']}")[2]
    assert catcher.get(f"/mails/{mail['id']}/source")[1]["content-type"].startswith("text/plain")


async def test_mails_are_found_by_recipient_and_survive_a_restart_until_deleted(catcher: Catcher) -> None:
    await catcher.send(HOSTILE, "mara@example.com")
    await catcher.send(b"Subject: two\r\n\r\nText\r\n", "Owen@example.com", "celine@example.com")

    catcher.process.kill()
    catcher.start()

    assert [mail["subject"] for mail in catcher.mails()] == ["two", "<img src=x onerror=alert(2)>"]
    (found,) = catcher.mails("?to=owen@example.com")
    detail = json.loads(catcher.get(f"/api/mails/{found['id']}")[2])
    assert (detail["text"].strip(), detail["html"]) == ("Text", None)
    assert detail["recipients"] == ["Owen@example.com", "celine@example.com"]
    assert json.loads(catcher.get("/api/mails", method="DELETE")[2]) == {"deleted": 2}
    assert catcher.mails() == []
    assert catcher.get(f"/api/mails/{found['id']}")[0] == 404


async def test_mails_are_found_by_what_stands_in_them(catcher: Catcher) -> None:
    await catcher.send(HOSTILE, "mara@example.com")
    await catcher.send(
        b"Subject: Zwei\r\nContent-Type: text/plain; charset=utf-8\r\n\r\nDie TASSE ist da.\r\n", "owen@example.com"
    )

    assert [mail["subject"] for mail in catcher.mails("?q=tasse")] == ["Zwei"]
    assert [mail["subject"] for mail in catcher.mails("?q=owen+zwei")] == ["Zwei"]
    assert catcher.mails("?q=tasse+mara") == []
    page = catcher.get("/?q=tasse")[2]
    assert ("Zwei" in page, "1 mail." in page, 'value="tasse"' in page, "onerror" in page) == (True, True, True, False)


async def test_the_list_stays_as_it_is_until_it_is_asked_for_again(catcher: Catcher) -> None:
    assert "http-equiv" not in catcher.get("/")[2]


async def test_a_mails_html_comes_first_in_the_width_and_scheme_that_are_chosen(catcher: Catcher) -> None:
    styled = b"<style>@media (prefers-color-scheme: dark) { p { color: red } }</style><p>Hello</p>"
    await catcher.send(HOSTILE.replace(b"<p>Hello</p>", styled), "mara@example.com")
    (mail,) = catcher.mails()

    page = catcher.get(f"/mails/{mail['id']}?width=360&scheme=dark")[2]
    assert page.index("<iframe") < page.index("<pre")
    assert f'class="dark w360" referrerpolicy="no-referrer" src="/mails/{mail["id"]}/html?scheme=dark"' in page
    assert 'class="light wfull"' in catcher.get(f"/mails/{mail['id']}?width=1e9&scheme=%22%3E")[2]
    dark, light = (catcher.get(f"/mails/{mail['id']}/html?scheme={scheme}")[2] for scheme in ("dark", "light"))
    assert "@media (min-width: 0) { p { color: red } }" in dark
    assert "@media (max-width: 0) { p { color: red } }" in light
    assert "prefers-color-scheme" in catcher.get(f"/mails/{mail['id']}/html")[2]


async def test_it_answers_only_to_its_own_names(catcher: Catcher) -> None:
    assert catcher.get("/api/mails", host="evil.example")[0] == 400
    assert catcher.get("/api/mails", host="localhost")[0] == 200


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"\xff\xfe\x00 not a mail",
        b"Subject: \xff\xfe\r\nFrom: =?utf-8?q?=ff?=\r\n\r\n\xff",
        b"Content-Type: text/plain; charset=no-such\r\n\r\nText",
        b"Content-Type: multipart/mixed; boundary=b\r\n\r\nno part",
        b"Content-Type: text/html; charset=utf-7\r\nContent-Transfer-Encoding: base64\r\n\r\n!!!",
        b"To: a@b, <<>>,,\r\nDate: yesterday\r\nMessage-ID: <\r\n\r\n",
    ],
)
async def test_a_broken_mail_is_kept_and_can_be_shown(catcher: Catcher, content: bytes) -> None:
    await catcher.send(content, "mara@example.com")

    (mail,) = catcher.mails()
    statuses = {catcher.get(f"{path}{mail['id']}")[0] for path in ("/mails/", "/api/mails/")}
    assert statuses == {200}
    assert catcher.get(f"/mails/{mail['id']}/source")[0] == 200


def test_the_oldest_mails_go_when_there_are_too_many(tmp_path: Path) -> None:
    store = MailStore(tmp_path, keep_mails=2)

    for number in range(4):
        store.add("shop@shop.example", ["mara@example.com"], f"Subject: {number}\n\n".encode())

    assert [mail.subject for mail in store.newest_first()] == ["3", "2"]
    assert len(list(tmp_path.iterdir())) == 4
    assert [mail.subject for mail in MailStore(tmp_path).newest_first()] == ["3", "2"]
