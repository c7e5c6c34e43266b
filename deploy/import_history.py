"""`python -m deploy.import_history FILE.jsonl`: brings old conversations of another system, described in docs/import.md.

Every line is checked before the first is sent. Orders go side by side, each order's messages one after the other, oldest first. It may
run twice: a message that is there already (the same `external_id`) stays as it is.
"""

import asyncio
import os
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any, Final

import aiohttp
from pydantic import StringConstraints, ValidationError

from deploy.local.credentials import Credentials
from deploy.local.errors import StackError
from deploy.local.settings import LocalSettings
from deploy.local.tokens import TokenMint
from shared.envelope import first_error
from shared.fields import Contract, MessageText, Moment, Name, OrderId, PersonId, Side, iso

ORDERS_AT_ONCE: Final = 8
WAIT_FOR_OUTCOME_S: Final = 10
ASK_AGAIN_S: Final = 1.0
AWAY_LIMIT_S: Final = 600.0
REQUEST_LIMIT_S: Final = 40.0
PROGRESS_EVERY_S: Final = 2.0
SHOWN_REFUSALS: Final = 100
SERVICE_NAME: Final = "import"
USAGE: Final = (
    "python -m deploy.import_history FILE.jsonl  (PARLEY_URL and PARLEY_TOKEN, or the local stack of RUN_DIR)"
)

Json = dict[str, Any]


class ImportFailed(Exception):
    """The import cannot begin or go on at all."""


class Author(Contract):
    """Who wrote it: the side, the login there (any constant one for the customer), and the name shown."""

    side: Side
    id: PersonId
    name: Name


class Line(Contract):
    """One line of the file: one old message."""

    order_id: OrderId
    external_id: Annotated[str, StringConstraints(min_length=1, max_length=255, pattern=r"^[\x20-\x7e]+$")]
    author: Author
    text: MessageText
    written_at: Moment


@dataclass(frozen=True, slots=True)
class Numbered:
    number: int
    line: Line


@dataclass(frozen=True, slots=True)
class Target:
    """The gateway to import through, and a token with the role `service`."""

    url: str
    token: str

    @classmethod
    def read(cls, environment: Mapping[str, str]) -> "Target":
        """From PARLEY_URL and PARLEY_TOKEN, or of the local stack. Raises ImportFailed where there is neither."""
        url, token = environment.get("PARLEY_URL"), environment.get("PARLEY_TOKEN")
        if url and token:
            return cls(url.rstrip("/"), token)
        if url or token:
            raise ImportFailed("set both PARLEY_URL and PARLEY_TOKEN, or neither for the local stack")
        settings = LocalSettings.read(environment)
        secrets = settings.run_directory / "secrets"
        if not (secrets / "token_demo_secret").exists():
            raise ImportFailed("set PARLEY_URL and PARLEY_TOKEN, or start a local stack with  make run")
        return cls(settings.gateway_url, TokenMint(Credentials.load_or_make(secrets)).mint("service", SERVICE_NAME))


@dataclass(slots=True)
class Tally:
    """What has become of the lines so far. `held_back`: not sent, because an earlier line of the same order was refused."""

    total: int
    there: int = 0
    refused: list[tuple[int, str]] = field(default_factory=list)
    held_back: list[int] = field(default_factory=list)
    repeats: int = 0

    @property
    def settled(self) -> int:
        return self.there + len(self.refused) + len(self.held_back)


def read_lines(path: Path) -> list[Numbered]:
    """The messages in the file. Raises ImportFailed with the number of each line that is none."""
    good: list[Numbered] = []
    bad: list[str] = []
    try:
        with path.open("rb") as file:
            for number, raw in enumerate(file, start=1):
                if not raw.strip():
                    continue
                try:
                    good.append(Numbered(number, Line.model_validate_json(raw, strict=True)))
                except ValidationError as error:
                    bad.append(f"line {number}: {first_error(error)}")
    except OSError as error:
        raise ImportFailed(f"{path} cannot be read: {error.strerror}") from None
    if bad:
        shown = "\n".join(bad[:SHOWN_REFUSALS])
        raise ImportFailed(f"{shown}\n{len(bad)} lines are not as they must be; nothing was sent")
    return good


def by_order(lines: Sequence[Numbered]) -> list[list[Numbered]]:
    """Each order's messages, oldest first; those of the same moment as they stand in the file."""
    orders: dict[str, list[Numbered]] = {}
    for each in lines:
        orders.setdefault(each.line.order_id, []).append(each)
    return [sorted(messages, key=lambda each: each.line.written_at) for messages in orders.values()]


class Importer:
    def __init__(self, session: aiohttp.ClientSession, target: Target, tally: Tally) -> None:
        self._session, self._target, self._tally = session, target, tally
        self._headers = {"Authorization": f"Bearer {target.token}"}

    async def run(self, orders: Sequence[Sequence[Numbered]]) -> None:
        """Imports everything that is accepted. Raises ImportFailed where the gateway stays away, or the token is refused."""
        waiting = iter(orders)
        async with asyncio.TaskGroup() as group:
            progress = group.create_task(self._say_progress())
            workers = [group.create_task(self._take(waiting)) for _ in range(ORDERS_AT_ONCE)]
            await asyncio.gather(*workers)
            progress.cancel()

    async def _take(self, waiting: Iterator[Sequence[Numbered]]) -> None:
        for messages in waiting:
            await self._import_order(messages)

    async def _import_order(self, messages: Sequence[Numbered]) -> None:
        """One after the other. Behind a refusal nothing of the order is sent: a history with a hole could not be mended."""
        for position, each in enumerate(messages):
            problem = await self._import(each.line)
            if problem is not None:
                self._tally.refused.append((each.number, problem))
                self._tally.held_back += [later.number for later in messages[position + 1 :]]
                return
            self._tally.there += 1

    async def _import(self, line: Line) -> str | None:
        """None once the message is there; else why it was refused."""
        path = f"/v1/orders/{line.order_id}/messages/import"
        body = line.model_dump(mode="json", exclude={"order_id"}) | {"written_at": iso(line.written_at)}
        status, answer = await self._ask("POST", path, body)
        give_up_at = time.monotonic() + AWAY_LIMIT_S
        while status == 202:
            if time.monotonic() > give_up_at:
                raise ImportFailed(f"no message was taken for {AWAY_LIMIT_S:.0f} s; run it again, nothing is lost")
            await asyncio.sleep(ASK_AGAIN_S)
            _, answer = await self._ask("GET", f"/v1/commands/{answer['command_id']}")
            status = int(answer.get("status", 500))
        if status == 201:
            return None
        said = answer.get("problem") or answer
        return f"{status} {said.get('detail') or said.get('title') or said}"

    async def _ask(self, method: str, path: str, body: Json | None = None) -> tuple[int, Json]:
        """The answer. While the gateway, RabbitMQ or threads is away (503, or no connection) it is asked again, for ten minutes."""
        give_up_at = time.monotonic() + AWAY_LIMIT_S
        while True:
            status, answer, pause_s = await self._ask_once(method, path, body)
            if status in (401, 403):
                raise ImportFailed(f"the token is refused: {answer.get('detail')}")
            if status is not None and status != 503:
                return status, answer
            if time.monotonic() > give_up_at:
                raise ImportFailed(
                    f"{self._target.url} was away for {AWAY_LIMIT_S:.0f} s; run it again, nothing is lost"
                )
            self._tally.repeats += 1
            await asyncio.sleep(pause_s)

    async def _ask_once(self, method: str, path: str, body: Json | None) -> tuple[int | None, Json, float]:
        """Status (None where there was no answer), body, and for how long to wait before asking again."""
        headers = self._headers | {"Prefer": f"wait={WAIT_FOR_OUTCOME_S}"}
        try:
            async with self._session.request(method, self._target.url + path, json=body, headers=headers) as response:
                answer: Json = await response.json(content_type=None)
                return response.status, answer, _retry_after_s(response)
        except (aiohttp.ClientError, TimeoutError, ValueError):
            return None, {}, ASK_AGAIN_S

    async def _say_progress(self) -> None:
        while True:
            await asyncio.sleep(PROGRESS_EVERY_S)
            tally = self._tally
            waits = f", {tally.repeats} repeated while Parley was away" if tally.repeats else ""
            print(f"{tally.settled} of {tally.total} messages{waits}", flush=True)


def _retry_after_s(response: aiohttp.ClientResponse) -> float:
    said = response.headers.get("Retry-After", "")
    return float(said) if said.isdecimal() and len(said) < 4 else ASK_AGAIN_S


async def import_file(path: Path, target: Target) -> Tally:
    lines = read_lines(path)
    orders, tally = by_order(lines), Tally(total=len(lines))
    print(f"{len(lines)} messages of {len(orders)} orders, to {target.url}", flush=True)
    async with aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=REQUEST_LIMIT_S)) as session:
        try:
            await Importer(session, target, tally).run(orders)
        except* ImportFailed as group:
            raise ImportFailed(str(group.exceptions[0])) from None
    return tally


def summary(tally: Tally) -> str:
    lines = [f"line {number}: refused: {why}" for number, why in sorted(tally.refused)[:SHOWN_REFUSALS]]
    if tally.held_back:
        lines.append(f"not sent, behind a refused line of the same order: {_ranges(tally.held_back)}")
    lines.append(f"{tally.there} messages are there, {len(tally.refused)} refused, {len(tally.held_back)} not sent")
    return "\n".join(lines)


def _ranges(numbers: Sequence[int]) -> str:
    """`3, 7-9` for 3, 7, 8, 9."""
    ranges: list[list[int]] = []
    for number in sorted(numbers):
        if ranges and number == ranges[-1][-1] + 1:
            ranges[-1] = [ranges[-1][0], number]
        else:
            ranges.append([number])
    return ", ".join("-".join(str(end) for end in each) for each in ranges[:SHOWN_REFUSALS])


def main() -> int:
    try:
        if len(sys.argv) != 2:
            raise ImportFailed(USAGE)
        tally = asyncio.run(import_file(Path(sys.argv[1]), Target.read(os.environ)))
    except (ImportFailed, StackError) as error:
        print(f"import: {error}", file=sys.stderr)
        return 1
    print(summary(tally))
    return 1 if tally.refused else 0


if __name__ == "__main__":
    sys.exit(main())
