"""`python -m deploy.import_history` against a real Parley, run as an operator runs it."""

import asyncio
import json
import sys
from asyncio.subprocess import PIPE, STDOUT
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from deploy import import_history
from tests.docs.markdown import ROOT
from tests.e2e.client import Clients, clients_of
from tests.made import snapshot
from tests.servers.parley import Parley

AUTHORS = {
    "customer": {"side": "customer", "id": "any", "name": "Ada Byron"},
    "seller": {"side": "seller", "id": "login-1", "name": "Bob"},
    "shop": {"side": "shop", "id": "a-9", "name": "Staff"},
}


def _line(
    external_id: str, text: str, written_at: str, *, by: str = "customer", order_id: str = "1042"
) -> dict[str, Any]:
    return {
        "order_id": order_id,
        "external_id": external_id,
        "author": AUTHORS[by],
        "text": text,
        "written_at": written_at,
    }


CONVERSATION = [
    _line("t-3", "Thank you.", "2024-05-02T10:00:00.250Z"),
    _line("t-1", "When will it be sent?", "2024-05-01T08:00:00Z"),
    _line("t-2", "Tomorrow. — «é» 😀", "2024-05-01T12:30:00+02:00", by="seller"),
    _line("t-4", "We keep an eye on it.", "2024-05-02T11:00:00Z", by="shop"),
]


@pytest.fixture
async def clients(running_parley: Parley) -> AsyncIterator[Clients]:
    async with clients_of(running_parley) as clients:
        await clients.put_order(snapshot())
        yield clients


def _file(directory: Path, lines: list[dict[str, Any] | str]) -> Path:
    path = directory / "old.jsonl"
    path.write_text("\n".join(line if isinstance(line, str) else json.dumps(line) for line in lines) + "\n")
    return path


async def _start(parley: Parley, path: Path) -> asyncio.subprocess.Process:
    environment = {"PARLEY_URL": parley.gateway_url, "PARLEY_TOKEN": parley.service("old-desk")}
    command = [sys.executable, "-m", "deploy.import_history", str(path)]
    return await asyncio.create_subprocess_exec(*command, cwd=ROOT, env=environment, stdout=PIPE, stderr=STDOUT)


async def _import(parley: Parley, path: Path) -> tuple[int | None, str]:
    """Exit status, and what it said."""
    process = await _start(parley, path)
    said, _ = await asyncio.wait_for(process.communicate(), timeout=90)
    return process.returncode, said.decode()


async def test_old_messages_keep_their_times_authors_and_order_and_mail_nobody(
    running_parley: Parley, clients: Clients, tmp_path: Path
) -> None:
    status, said = await _import(running_parley, _file(tmp_path, [*CONVERSATION]))
    assert (status, said.splitlines()[-1]) == (0, "4 messages are there, 0 refused, 0 not sent")
    history = await clients.customer().history()
    assert [(each["text"], each["author"]["side"], each["author"]["name"], each["at"]) for each in history] == [
        ("When will it be sent?", "customer", "Ada Byron", "2024-05-01T08:00:00Z"),
        ("Tomorrow. — «é» 😀", "seller", "Bob", "2024-05-01T10:30:00Z"),
        ("Thank you.", "customer", "Ada Byron", "2024-05-02T10:00:00.250000Z"),
        ("We keep an eye on it.", "shop", "Staff", "2024-05-02T11:00:00Z"),
    ]
    assert [each["mine"] for each in history] == [True, False, True, False]
    for reader in (clients.customer(), clients.seller(), clients.admin()):
        assert (await reader.get("/v1/me")).body["unread"]["messages"] == 0
    # A mail about a new message comes after any about the old ones would have.
    await clients.customer().post("Something new.")
    (mail,) = await running_parley.smtp.wait_for(1)
    text = mail.message.get_body(("plain",))
    assert text is not None
    assert "Something new." in text.get_content()
    assert "Tomorrow." not in text.get_content()


async def test_importing_twice_changes_nothing_also_after_people_have_written(
    running_parley: Parley, clients: Clients, tmp_path: Path
) -> None:
    path = _file(tmp_path, [*CONVERSATION])
    await _import(running_parley, path)
    await clients.seller().post("Is there anything else?")
    before = await clients.customer().history()
    status, said = await _import(running_parley, path)
    assert (status, said.splitlines()[-1]) == (0, "4 messages are there, 0 refused, 0 not sent")
    assert await clients.customer().history() == before


async def test_a_refusal_names_its_line_and_holds_back_the_rest_of_its_order_alone(
    running_parley: Parley, clients: Clients, tmp_path: Path
) -> None:
    await clients.put_order(snapshot("1043"))
    await clients.customer().post("People write here already.", order_id="1043")
    late = [
        _line("u-1", "Too late.", "2024-05-01T08:00:00Z", order_id="1043"),
        _line("u-2", "Too late as well.", "2024-05-01T09:00:00Z", order_id="1043"),
    ]
    status, said = await _import(running_parley, _file(tmp_path, [*late, "", *CONVERSATION]))
    assert status == 1
    assert "line 1: refused: 409 " in said
    assert "not sent, behind a refused line of the same order: 2\n" in said
    assert said.splitlines()[-1] == "4 messages are there, 1 refused, 1 not sent"
    assert len(await clients.customer().history()) == 4


async def test_while_rabbitmq_is_away_it_waits_and_then_goes_on(
    running_parley: Parley, clients: Clients, tmp_path: Path
) -> None:
    running_parley.vhost.server.kill()
    process = await _start(running_parley, _file(tmp_path, [*CONVERSATION]))
    assert process.stdout is not None
    async with asyncio.timeout(30):
        while b"repeated while Parley was away" not in await process.stdout.readline():
            assert process.returncode is None
    await asyncio.to_thread(running_parley.vhost.server.start)
    rest, _ = await asyncio.wait_for(process.communicate(), timeout=60)
    assert process.returncode == 0
    assert rest.decode().splitlines()[-1] == "4 messages are there, 0 refused, 0 not sent"
    assert (await clients.customer().history())[0]["text"] == "When will it be sent?"


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        ("not json", "Invalid JSON"),
        ({**CONVERSATION[0], "written_at": "2024-05-01T08:00:00"}, "written_at: "),
        ({**CONVERSATION[0], "text": " "}, "text: "),
        ({**CONVERSATION[0], "more": 1}, "more: "),
        ({**CONVERSATION[0], "external_id": "é"}, "external_id: "),
        ({**CONVERSATION[0], "author": {"side": "service", "id": "x", "name": "X"}}, "author.side: "),
    ],
    ids=["not-json", "no-offset", "blank", "unknown-field", "not-ascii", "no-such-side"],
)
def test_a_line_that_is_none_is_named_and_nothing_is_sent(
    line: dict[str, Any] | str, reason: str, tmp_path: Path
) -> None:
    path = _file(tmp_path, [CONVERSATION[1], line])
    with pytest.raises(import_history.ImportFailed, match="nothing was sent") as failed:
        import_history.read_lines(path)
    assert "line 2: " in str(failed.value)
    assert reason in str(failed.value)
