"""Asks an ASGI application without a network, and records what the database was asked on the way."""

import json
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlsplit

import jwt
from fastapi import FastAPI
from pymongo.monitoring import CommandFailedEvent, CommandListener, CommandStartedEvent, CommandSucceededEvent

from services.threads.addresses import AddressKeys
from services.threads.problems import install_problem_handlers
from services.threads.queries import build_router
from shared.callers import Caller
from shared.key_sets import DemoKeys
from shared.mongo import Database, Document
from shared.tokens import Tokens, Trust, mint_guest_session

SECRET = "a secret of the tests, 32 bytes or more"
LINK_SECRET = "a link secret of the tests, as long"


def application(database: Database) -> FastAPI:
    """The query API alone, as the service mounts it."""
    tokens = Tokens([Trust("shop", ("parley",), DemoKeys(SECRET))], link_secret=LINK_SECRET)
    app = FastAPI()
    app.include_router(
        build_router(
            database=database,
            tokens=tokens,
            link_secret=LINK_SECRET,
            shop="Lamp House",
            address_keys=AddressKeys(LINK_SECRET),
        )
    )
    install_problem_handlers(app)
    return app


def token_of(caller: Caller, *, lasts_s: float = 600) -> str:
    if caller.role == "guest":
        link = {"sub": caller.id, "name": caller.name, "order_id": caller.order_id}
        return mint_guest_session(link, secret=LINK_SECRET, now=time.time())
    claims = {"sub": caller.id, "role": caller.role, "name": caller.name, "iss": "shop", "aud": "parley"}
    own = {"seller_id": caller.seller_id} if caller.seller_id is not None else {}
    return jwt.encode({**claims, **own, "exp": int(time.time() + lasts_s)}, SECRET, algorithm="HS256")


@dataclass(frozen=True)
class Answer:
    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)

    @property
    def wrong_fields(self) -> list[str]:
        """The fields that a problem document names."""
        return [each["field"] for each in self.json["errors"]]


@dataclass(frozen=True)
class Client:
    """Gets paths of an application as one caller; None is somebody without a token."""

    app: FastAPI
    caller: Caller | None
    authorization: str | None = None

    async def get(self, url: str) -> Answer:
        parts = urlsplit(url)
        headers = [(b"host", b"threads")]
        authorization = self.authorization or (f"Bearer {token_of(self.caller)}" if self.caller is not None else None)
        if authorization is not None:
            headers.append((b"authorization", authorization.encode()))
        scope = {
            "type": "http",
            "asgi": {"version": "3.0"},
            "http_version": "1.1",
            "method": "GET",
            "scheme": "http",
            "path": parts.path,
            "raw_path": parts.path.encode(),
            "root_path": "",
            "query_string": parts.query.encode(),
            "headers": headers,
        }
        sent: list[Any] = []

        async def receive() -> dict[str, Any]:
            return {"type": "http.request", "body": b"", "more_body": False}

        async def send(message: Any) -> None:
            sent.append(message)

        await self.app(scope, receive, send)
        names = {name.decode(): value.decode() for name, value in sent[0]["headers"]}
        return Answer(sent[0]["status"], names, b"".join(each.get("body", b"") for each in sent[1:]))

    async def all_pages(self, url: str | None) -> list[Any]:
        """The items of a page and of all that follow it."""
        items: list[Any] = []
        while url is not None:
            page = (await self.get(url)).json
            items += page["items"]
            url = page["next"]
        return items


@dataclass
class Recorder(CommandListener):
    """Keeps what the driver sends, so that a test can have just that explained."""

    commands: list[Document] = field(default_factory=list)
    names: list[str] = field(default_factory=list)

    @contextmanager
    def recording(self) -> Iterator[list[str]]:
        """The names of all commands that are sent within."""
        self.names = []
        yield self.names

    def started(self, event: CommandStartedEvent) -> None:
        self.names.append(event.command_name)
        if event.command_name in ("find", "aggregate"):
            self.commands.append(dict(event.command))

    def succeeded(self, event: CommandSucceededEvent) -> None: ...

    def failed(self, event: CommandFailedEvent) -> None: ...

    async def plans(self, database: Database, collection: str) -> list["Plan"]:
        """The plans of the `find` commands and the joins (`$lookup`) on this collection since the last time, with their figures."""
        asked = [each for each in self.commands if each.get("find") == collection or _joins(each, collection)]
        plans = [
            await (_explain(database, command) if "find" in command else _explain_join(database, command, collection))
            for command in asked
        ]
        self.commands.clear()
        return plans


@dataclass(frozen=True)
class Plan:
    stages: tuple[str, ...]
    index: str | None
    returned: int
    documents: int
    keys: int


async def _explain(database: Database, command: Document) -> Plan:
    kept = {
        name: command[name] for name in command if name in ("find", "filter", "projection", "sort", "limit", "hint")
    }
    explained = await database.command({"explain": kept, "verbosity": "executionStats"})
    stages: list[str] = []
    index: str | None = None
    step: Document | None = explained["queryPlanner"]["winningPlan"]
    while step is not None:
        step = step.get("queryPlan", step)
        stages.append(step["stage"])
        index = step.get("indexName", index)
        step = step.get("inputStage")
    figures = explained["executionStats"]
    return Plan(tuple(stages), index, figures["nReturned"], figures["totalDocsExamined"], figures["totalKeysExamined"])


def _joins(command: Document, collection: str) -> bool:
    return any(stage.get("$lookup", {}).get("from") == collection for stage in command.get("pipeline", ()))


async def _explain_join(database: Database, command: Document, collection: str) -> Plan:
    """What a `$lookup` read of this collection; a sort in it shows as more keys than were asked for, not as a stage."""
    kept = {name: command[name] for name in ("aggregate", "pipeline", "cursor")}
    explained = await database.command({"explain": kept, "verbosity": "executionStats"})
    [stage] = [each for each in explained["stages"] if each.get("$lookup", {}).get("from") == collection]
    rows = await (await database[command["aggregate"]].aggregate(command["pipeline"])).to_list()
    [index] = stage["indexesUsed"]
    return Plan(
        stages=("LOOKUP",),
        index=index,
        returned=len(rows[0][stage["$lookup"]["as"]]),
        documents=stage["totalDocsExamined"],
        keys=stage["totalKeysExamined"],
    )
