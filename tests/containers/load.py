"""Writers that post through any gateway until each post is accepted, and a ledger of what was accepted."""

import asyncio
import itertools
import json
import time
import uuid
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import aiohttp

from deploy.local.credentials import Credentials
from deploy.local.tokens import TokenMint
from shared.orders import Customer
from tests.made import snapshot
from tests.servers.pace import every

WRITERS = 6
ORDERS = [f"cluster-{number}" for number in range(12)]
ATTEMPT_LIMIT_S = 6.0
RETRY_PAUSE_S = 0.05


@dataclass
class Ledger:
    """Every accepted text by order, and the longest time in which nobody was answered well."""

    accepted: dict[str, list[str]] = field(default_factory=lambda: {order: [] for order in ORDERS})
    answers: int = 0
    refused: int = 0
    _last: float = field(default_factory=time.monotonic)
    gap_s: float = 0.0

    def answered(self, order_id: str, text: str) -> None:
        now = time.monotonic()
        self.gap_s, self._last = max(self.gap_s, now - self._last), now
        self.accepted[order_id].append(text)
        self.answers += 1

    def has_more_than(self, answers: int) -> bool:
        return self.answers > answers

    def new_window(self) -> None:
        self.gap_s, self._last = 0.0, time.monotonic()


def _customer_of(order_id: str) -> str:
    return f"c-{order_id}"


class Load:
    """`gateways` gives the addresses at the moment; a killed container may come back with another one."""

    def __init__(self, secrets: dict[str, str], gateways: Callable[[], list[str]]) -> None:
        credentials = Credentials(
            secrets["TOKEN_DEMO_SECRET"],
            secrets["LINK_SECRET"],
            command_id_secret="",
            address_key="",
            rabbitmq={},
            mongo={},
        )
        mint = TokenMint(credentials)
        # A customer each, so that nobody writes more than one person may.
        self._customers = {order_id: mint.mint("customer", _customer_of(order_id)) for order_id in ORDERS}
        self._service = mint.mint("service", "demo-shop")
        self._gateways = gateways
        self._turn = itertools.count()
        self.ledger = Ledger()
        self.stopping = asyncio.Event()

    async def run(self) -> None:
        """Writes until it is told to stop; then what is under way is still brought to its acceptance."""
        limit = aiohttp.ClientTimeout(total=ATTEMPT_LIMIT_S, connect=1)
        async with aiohttp.ClientSession(timeout=limit, connector=aiohttp.TCPConnector(force_close=True)) as session:
            await asyncio.gather(*(self._put_order(session, order_id) for order_id in ORDERS))
            self.ledger.new_window()
            await asyncio.gather(*(self._write(session, number) for number in range(WRITERS)))

    async def _put_order(self, session: aiohttp.ClientSession, order_id: str) -> None:
        customer = Customer(id=_customer_of(order_id), name="Ada", email=f"{order_id}@example.com")
        body = snapshot(order_id=order_id, customer=customer).model_dump(mode="json")
        await self._until_good(session, "PUT", f"/v1/orders/{order_id}", body, token=self._service, key=None)

    async def _write(self, session: aiohttp.ClientSession, writer: int) -> None:
        for number in itertools.count():
            if self.stopping.is_set():
                return
            order_id, text = ORDERS[(writer + number) % len(ORDERS)], f"{writer}.{number}"
            path, key = f"/v1/orders/{order_id}/messages", uuid.uuid4().hex
            await self._until_good(session, "POST", path, {"text": text}, token=self._customers[order_id], key=key)
            self.ledger.answered(order_id, text)

    async def _until_good(
        self, session: aiohttp.ClientSession, method: str, path: str, body: Any, *, token: str, key: str | None
    ) -> None:
        headers = {"Authorization": f"Bearer {token}"} | ({"Idempotency-Key": key} if key else {})
        async for _ in every(RETRY_PAUSE_S):
            gateways = self._gateways()
            try:
                url = gateways[next(self._turn) % len(gateways)] + path
                async with session.request(method, url, json=body, headers=headers) as answer:
                    if answer.status in (200, 201, 202):
                        return
                    if answer.status < 500:
                        raise AssertionError(f"{method} {path}: {answer.status} {await answer.text()}")
            except (aiohttp.ClientError, TimeoutError, OSError, IndexError):
                pass
            self.ledger.refused += 1

    async def stored(self) -> dict[str, list[str]]:
        """The texts of every thread, from the API. Raises where it does not answer."""
        async with aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=10)) as session:
            return {order_id: await self._texts(session, order_id) for order_id in ORDERS}

    async def _texts(self, session: aiohttp.ClientSession, order_id: str) -> list[str]:
        texts: list[str] = []
        path: str | None = f"/v1/orders/{order_id}/messages?after_seq=0&limit=200"
        while path:
            url = self._gateways()[0] + path
            async with session.get(url, headers={"Authorization": f"Bearer {self._customers[order_id]}"}) as answer:
                assert answer.status == 200, await answer.text()
                page = json.loads(await answer.read())
            texts += [message["text"] for message in page["items"]]
            path = page["next"]
        return texts
