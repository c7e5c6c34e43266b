"""Schemathesis over the running stack: whatever the OpenAPI document lets callers send is answered as the document says."""

import asyncio
import itertools
import os
import random
import re
import threading
import time
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, Final

import pytest
import schemathesis
from schemathesis import engine
from schemathesis.config import SchemathesisConfig
from schemathesis.core.parameters import ParameterLocation
from schemathesis.engine import events
from schemathesis.hooks import GLOBAL_HOOK_DISPATCHER

from tests.api.people import GUEST_ID, People, order_of, order_of_guest
from tests.e2e.client import Clients
from tests.servers.parley import Parley

AT_LEAST: Final = 2_000
CASES: Final = int(os.environ.get("SCHEMA_CASES", str(AT_LEAST)))
SEEDED_ORDERS: Final = 40
DISPUTED_ORDERS: Final = 30
# A case waits for 5 s at most; the rest is for a machine that other test runs share.
SLOWEST_S: Final = 12.0
MAX_TOLD_CHARACTERS: Final = 3_000
ZONES: Final = ("Europe/Berlin", "America/Argentina/Ushuaia", "UTC")
LONG_AGO: Final = "2025-12-24T18:00:00Z"
GOOD_STATUSES: Final = ("2xx", "401", "403", "404", "409")
BAD_STATUSES: Final = ("401", "403", "404", "405", "409", "415", "422")

BY_SERVICES: Final = frozenset({"putOrder", "getOrderIntake", "importMessage"})
BY_ADMINS: Final = frozenset({"redactMessage", "watchThread", "unwatchThread"})
BY_EITHER_PARTY: Final = frozenset({"postMessage", "getOrder", "listMessages", "markRead", "getDispute"})


@dataclass
class Seeded:
    """What stands in the shop before the first case, and what its cases have made since."""

    open_orders: list[str]
    disputed: list[str]
    guests: list[str]
    empty: list[str]
    messages: dict[str, str]
    tokens_of_commands: dict[str, str] = field(default_factory=dict)


@dataclass
class Seen:
    """What came of the cases."""

    cases: int = 0
    by_phase: Counter[str] = field(default_factory=Counter)
    statuses: dict[str, Counter[int]] = field(default_factory=lambda: defaultdict(Counter))
    failures: list[str] = field(default_factory=list)

    @property
    def unreached(self) -> list[str]:
        return sorted(name for name, found in self.statuses.items() if not any(200 <= each < 300 for each in found))

    @property
    def server_errors(self) -> list[str]:
        return sorted(f"{name}: {each}" for name, found in self.statuses.items() for each in found if each >= 500)


class Shaping:
    """Gives a case an order that is there and a caller who may use it; what a case breaks on purpose stays broken.

    A generator cannot guess ids of orders, messages and commands, nor tokens in links; all else is left to it.
    """

    def __init__(self, seeded: Seeded, people: People, seed: int) -> None:
        self._seeded, self._people = seeded, people
        self._random = random.Random(seed)  # noqa: S311 - chance, not a secret
        self._numbers = itertools.count()
        self._lock = threading.Lock()

    def shape(self, case: Any) -> None:
        name = case.operation.definition.raw["operationId"]
        with self._lock:
            if isinstance(case.path_parameters, dict) and self._is_good(case, ParameterLocation.PATH):
                case.path_parameters = self._path(name, dict(case.path_parameters))
            if self._is_good(case, ParameterLocation.QUERY):
                case.query = self._query(name, dict(case.query or {}))
            if isinstance(case.body, dict) and self._is_good(case, ParameterLocation.BODY):
                case.body = self._body(name, dict(case.body), case.path_parameters or {})
            if self._is_good(case, ParameterLocation.HEADER):
                self._headers(name, case)

    def _is_good(self, case: Any, where: ParameterLocation) -> bool:
        meta = case.meta
        if meta is None:
            return False
        component = meta.components.get(where)
        return component is None or component.mode.is_positive

    def _path(self, name: str, path: dict[str, Any]) -> dict[str, Any]:
        seeded = self._seeded
        if "order_id" in path:
            path["order_id"] = self._random.choice(self._orders(name))
        if name == "putOrder":
            path["order_id"] = f"made-{next(self._numbers)}"
        if "message_id" in path:
            path["message_id"] = seeded.messages[path["order_id"]]
        if "command_id" in path and path["command_id"] not in seeded.tokens_of_commands:
            path["command_id"] = self._random.choice(list(seeded.tokens_of_commands))
        return path

    def _orders(self, name: str) -> list[str]:
        if name == "importMessage":
            return self._seeded.empty
        if name in ("closeDispute", "getDispute"):
            return self._seeded.disputed
        if name in BY_ADMINS:
            return self._seeded.open_orders
        return [*self._seeded.open_orders, *self._seeded.guests]

    def _query(self, name: str, query: dict[str, Any]) -> dict[str, Any]:
        query.pop("cursor", None)
        if name == "listMessages" and "after_seq" in query:
            query.pop("before_seq", None)
        if name in ("unsubscribe", "askToUnsubscribe"):
            query["token"] = self._people.unsubscribe("customer:nobody-else")
            query["order"] = self._random.choice(self._seeded.open_orders)  # as every mail's link names one
        return query

    def _body(self, name: str, body: dict[str, Any], path: Mapping[str, Any]) -> dict[str, Any]:
        order_id = str(path.get("order_id", ""))
        if body.get("time_zone") is not None:
            body["time_zone"] = self._random.choice(ZONES)  # a pattern cannot say which there are
        match name:
            case "putOrder":
                body["order_id"] = order_id
                for party in (body["customer"], body.get("seller") or {}):
                    if party.get("email"):
                        party["email"] = _with_a_domain_of_dns(party["email"])
            case "postMessage" if body.get("after") is not None:
                body["after"] = self._seeded.messages.get(order_id)
            case "markRead":
                body["up_to_seq"] = body["up_to_seq"] % 2
            case "markThreadsRead" if "threads" in body:
                body.pop("all", None)
                body["threads"] = list(
                    {each["order_id"]: each for each in body["threads"]}.values()
                )  # each thread once
            case "importMessage" if not str(body["written_at"]).startswith(("1", "200", "201")):
                body["written_at"] = LONG_AGO  # old messages are not of the future
            case "openGuestSession":
                body["token"] = self._people.guest_link(self._random.choice(self._seeded.guests))
            case _:
                pass
        return body

    def _headers(self, name: str, case: Any) -> None:
        """Nobody waits for long, and some do not wait at all: their 202 links to the command's outcome."""
        if case.method != "GET" and name not in ("unsubscribe", "openGuestSession"):
            chosen = self._random.choice(("wait=5", "wait=5", "respond-async"))
            case.headers["Prefer"] = chosen
        if "If-Match" in case.headers:
            case.headers["If-Match"] = self._random.choice(("*", "*", '"none"'))

    def token(self, case: Any) -> str:
        """A caller to whom the case's order is there, of the role that the operation is for."""
        name = case.operation.definition.raw["operationId"]
        path = case.path_parameters if isinstance(case.path_parameters, dict) else {}
        with self._lock:
            known = self._seeded.tokens_of_commands.get(str(path.get("command_id")))
            if known is not None:
                return known
            if name == "listen":
                # A stream ends with its token, and a token counts for a moment after its end: so this one ends at once.
                return self._people.customer(exp=int(time.time()))
            if name in BY_SERVICES:
                return self._people.service()
            if name in BY_ADMINS:
                return self._people.admin()
            order_id = str(path.get("order_id"))
            if order_id in self._seeded.guests:
                return self._people.guest(order_id)
            parties = [self._people.customer(), self._people.admin()]
            if name not in ("openDispute", "closeDispute"):
                parties.append(self._people.seller())
            return self._random.choice(parties)

    def remember(self, answer: Any, token: str | None) -> None:
        """Whose command it was that a 202 told of: only its caller may ask about it."""
        found = re.fullmatch(r"/v1/commands/([a-z2-7]{42})", (answer.headers.get("location") or [""])[0])
        if found is not None and token is not None:
            with self._lock:
                self._seeded.tokens_of_commands[found[1]] = token


def _with_a_domain_of_dns(address: str) -> str:
    """A pattern cannot say which letters IDNA 2008 knows, nor how long an address is in bytes."""
    local = "".join(letter for letter in address.rpartition("@")[0] if letter.isalnum())
    return f"{local[:40] or 'ada'}@made.example"


async def _seed(api: Clients, people: People) -> Seeded:
    """Orders with a message each, some with a dispute, some of guests, some still empty."""
    normal = [f"seeded-{number}" for number in range(SEEDED_ORDERS)]
    disputed = [f"disputed-{number}" for number in range(DISPUTED_ORDERS)]
    guests = [f"guests-{number}" for number in range(10)]
    empty = [f"empty-{number}" for number in range(10)]
    orders = [order_of(order_id) for order_id in [*normal, *disputed, *empty]]
    await asyncio.gather(*(api.put_order(order) for order in [*orders, *map(order_of_guest, guests)]))
    customer = api.with_token(people.customer())
    messages: dict[str, str] = {}

    async def say(order_id: str) -> None:
        client = api.with_token(people.guest(order_id, GUEST_ID)) if order_id in guests else customer
        answer = await client.post("Seeded", order_id=order_id, Prefer="wait=30")
        assert answer.status == 201, answer
        messages[order_id] = answer.body["id"]

    async def dispute(order_id: str) -> None:
        body = {"reason": "damaged", "text": "Broken"}
        answer = await customer.call("POST", f"/v1/orders/{order_id}/dispute", body, Prefer="wait=30")
        assert answer.status == 201, answer

    await asyncio.gather(*map(say, [*normal, *guests]), *map(dispute, disputed))
    command = await customer.post("A command", order_id=normal[0], Prefer="wait=30")
    tokens = {command.body["id"]: people.customer()}
    return Seeded(normal, disputed, guests, empty, messages, tokens)


def _config() -> SchemathesisConfig:
    """All checks on, both kinds of data, every phase; as many fuzzing examples as the number of cases asks for."""
    examples = 24 + max(0, CASES - AT_LEAST) // 20
    return SchemathesisConfig.from_dict(
        {
            "seed": int(os.environ.get("SCHEMA_SEED", "4711")),
            "workers": 1,
            "continue-on-failure": True,
            "generation": {"no-shrink": True, "deterministic": False},
            "request-timeout": 15.0,
            "max-stream-events": 1,
            # All of them are on. One of them, object_level_authorization, finds nothing to do: it compares identities of a WFC auth
            # file, and callers here fit their cases; test_permissions.py is the matrix of who sees what.
            "checks": {
                "max_response_time": SLOWEST_S,
                # Beyond Schemathesis's own lists: a dispute that is another one by now, and what is too long or too large.
                "positive_data_acceptance": {"expected-statuses": [*GOOD_STATUSES, "412"]},
                "negative_data_rejection": {"expected-statuses": [*BAD_STATUSES, "413", "414", "431"]},
            },
            "operations": [
                # OpenAPI 3.1 has no word for the events of a stream; Schemathesis holds each of them against the schema of the
                # whole, which is a string. tests/integration/gateway/test_live.py is about what they say.
                {"include-operation-id": "listen", "checks": {"response_schema_conformance": {"enabled": False}}},
                # A one-click unsubscription is never refused for what its form says (RFC 8058), so no form is bad data.
                {"include-operation-id": "unsubscribe", "checks": {"negative_data_rejection": {"enabled": False}}},
            ],
            "phases": {
                "fuzzing": {"generation": {"max-examples": examples}},
                "stateful": {"generation": {"max-examples": examples}},
            },
        }
    )


@contextmanager
def _shaped(schema: Any, shaping: Shaping) -> Iterator[None]:
    """While in it, cases are shaped before they go out, and signed in as they must be."""

    @schema.auth(refresh_interval=None)
    class Callers:
        def get(self, _case: Any, _context: Any) -> str:
            return "a token that fits the case, once it is shaped"

        def set(self, case: Any, _data: str, _context: Any) -> None:
            shaping.shape(case)
            case.headers = {**(case.headers or {}), "Authorization": f"Bearer {shaping.token(case)}"}

    @schemathesis.hook
    def after_call(context: Any, case: Any, response: Any) -> None:
        sent = response.request.headers.get("Authorization", "")
        shaping.remember(response, sent.removeprefix("Bearer ") or None)

    try:
        yield
    finally:
        GLOBAL_HOOK_DISPATCHER.unregister(after_call)


def _run(document: dict[str, Any], url: str, shaping: Shaping) -> Seen:
    config = _config()
    schema = schemathesis.openapi.from_dict(document, config=config)
    schema.config.update(base_url=url)
    seen = Seen()
    with _shaped(schema, shaping):
        for event in engine.from_schema(schema).execute():
            _note(event, seen)
    return seen


def _told(case: Any) -> str:
    """A case in a report, without its token."""
    headers = {name: value for name, value in case.headers.items() if name != "Authorization"}
    return f"path {case.path_parameters}, query {case.query}, headers {headers}, body {case.body!r}"[
        :MAX_TOLD_CHARACTERS
    ]


def _note(event: Any, seen: Seen) -> None:
    if isinstance(event, events.ScenarioFinished):
        recorder = event.recorder
        for case_id, interaction in recorder.interactions.items():
            node = recorder.cases.get(case_id)
            if node is None or interaction.response is None:
                continue
            seen.cases += 1
            seen.by_phase[event.phase.name.lower()] += 1
            seen.statuses[node.value.operation.label][interaction.response.status_code] += 1
        for case_id, checks in recorder.checks.items():
            case = recorder.cases[case_id].value
            seen.failures += [
                f"{case.operation.label}: {check.name}: {check.failure_info.failure}\n    {_told(case)}"
                for check in checks
                if check.failure_info is not None
            ]
    elif isinstance(event, events.NonFatalError):
        seen.failures.append(str(event.value))
    elif isinstance(event, events.FatalError):
        seen.failures.append(str(event.exception))


async def test_every_operation_keeps_to_the_openapi_document(
    shop: Parley, api: Clients, people: People, capsys: pytest.CaptureFixture[str]
) -> None:
    document = (await api.with_token(None).get("/openapi.json")).body
    shaping = Shaping(await _seed(api, people), people, seed=4711)
    seen = await asyncio.to_thread(_run, document, shop.gateway_url, shaping)
    operations = sum(len(path) for path in document["paths"].values())
    with capsys.disabled():
        phases = ", ".join(f"{count} {name}" for name, count in seen.by_phase.items())
        print(f"\nschema: {seen.cases} cases ({phases}), {len(seen.statuses)} of {operations} operations")
        print(f"schema: without a 2xx: {seen.unreached}; failures: {len(seen.failures)}; 5xx: {seen.server_errors}")
    assert not seen.failures, "\n\n".join(seen.failures)
    assert seen.server_errors == []
    assert len(seen.statuses) == operations
    assert seen.unreached == []
    assert seen.cases >= AT_LEAST
