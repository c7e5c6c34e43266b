"""A shop's client app: the public HTTP API and nothing else."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import aiohttp

from shared.orders import OrderSnapshot
from tests.servers.parley import Parley
from tests.servers.waiting import eventually


@dataclass(frozen=True)
class Answer:
    status: int
    body: Any
    headers: dict[str, str] = field(default_factory=dict)

    @property
    def problem(self) -> str:
        """The code of the problem document."""
        return str(self.body["type"]).rpartition(":")[2]


class Client:
    """One signed-in person (or nobody, without a token) at one gateway."""

    def __init__(self, session: aiohttp.ClientSession, url: str, token: str | None) -> None:
        self._session, self._url, self._token = session, url, token

    async def call(self, method: str, path: str, body: Any = None, **headers: str) -> Answer:
        """The answer; header names are given with underscores (`Idempotency_Key="k"`)."""
        sent = {name.replace("_", "-"): value for name, value in headers.items()}
        if self._token is not None:
            sent.setdefault("Authorization", f"Bearer {self._token}")
        if isinstance(body, bytes):
            sent.setdefault("Content-Type", "application/json")
            payload: dict[str, Any] = {"data": body}
        else:
            payload = {"json": body} if body is not None else {}
        async with self._session.request(method, f"{self._url}{path}", headers=sent, **payload) as answer:
            raw = await answer.read()
            is_json = "json" in answer.headers.get("content-type", "")
            found = await answer.json(content_type=None) if is_json and raw else raw.decode(errors="replace")
            return Answer(answer.status, found, {name.lower(): value for name, value in answer.headers.items()})

    async def get(self, path: str, **headers: str) -> Answer:
        return await self.call("GET", path, **headers)

    async def post(self, text: str, *, order_id: str = "1042", **headers: str) -> Answer:
        return await self.call("POST", f"/v1/orders/{order_id}/messages", {"text": text}, **headers)

    async def history(self, order_id: str = "1042") -> list[dict[str, Any]]:
        """The newest page of the history."""
        answer = await self.get(f"/v1/orders/{order_id}/messages?limit=200")
        assert answer.status == 200, answer
        items: list[dict[str, Any]] = answer.body["items"]
        return items


class Clients:
    def __init__(self, parley: Parley, session: aiohttp.ClientSession) -> None:
        self._parley, self._session = parley, session

    def with_token(self, token: str | None, *, url: str | None = None) -> Client:
        return Client(self._session, url or self._parley.gateway_url, token)

    def customer(self, person: str = "c-7", *, url: str | None = None) -> Client:
        return self.with_token(self._parley.customer(person, "Ada"), url=url)

    def seller(self, seller_id: str = "s-1", *, url: str | None = None) -> Client:
        return self.with_token(self._parley.seller(seller_id, name="Bob"), url=url)

    def admin(self) -> Client:
        return self.with_token(self._parley.admin())

    def service(self) -> Client:
        return self.with_token(self._parley.service())

    async def put_order(self, order: OrderSnapshot) -> None:
        """Publishes the order as a shop without AMQP does, and returns when it, or a newer version, stands."""
        service, path = self.service(), f"/v1/orders/{order.order_id}"
        answer = await service.call("PUT", path, order.model_dump(mode="json"), Prefer="wait=30")
        assert answer.status in (200, 202), answer

        async def is_decided() -> bool:
            return (await service.get(answer.headers["location"])).body["state"] in ("stands", "superseded")

        if answer.status == 202:
            await eventually(is_decided, what=f"order {order.order_id} being there")


@asynccontextmanager
async def clients_of(parley: Parley) -> AsyncIterator[Clients]:
    async with aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=40)) as session:
        yield Clients(parley, session)
