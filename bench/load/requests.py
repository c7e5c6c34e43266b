"""The requests of the mix, each as a shop's app makes it. Raises Refused, or an error of the connection, where it is not answered well."""

import asyncio
import itertools
import random
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, Final

import aiohttp

from bench.load.figures import Kind
from bench.load.people import Shop

LISTS: Final = (
    "/v1/orders",
    "/v1/orders?filter=unread",
    "/v1/threads",
    "/v1/threads?filter=unread",
    "/v1/threads?sort=waiting",
)
TEXT: Final = "When will it be sent? The page says that it is on its way since Monday, and nothing has come so far. "
LISTEN_S: Final = 10.0
CONNECTIONS: Final = 1_000
ANSWER_LIMIT_S: Final = 30.0


class Refused(Exception):
    """Answered, with a status that is not what was asked for."""


class Requests:
    def __init__(self, http: aiohttp.ClientSession, url: str, shop: Shop, *, chance: random.Random) -> None:
        self._http, self._url, self._shop, self._chance = http, url, shop, chance
        self._numbers = itertools.count()
        self._listening: set[asyncio.Task[None]] = set()
        self.events = 0
        self.by_kind: Mapping[Kind, Callable[[], Awaitable[None]]] = {
            "list": self._list,
            "conversation": self._conversation,
            "post": self._post,
            "read mark": self._mark,
            "live": self._listen,
        }

    async def _list(self) -> None:
        person, _ = self._shop.someone(self._chance)
        await self._call("GET", self._chance.choice(LISTS), person.token)

    async def _conversation(self) -> None:
        person, order_id = self._shop.someone(self._chance)
        page = await self._call("GET", f"/v1/orders/{order_id}/messages", person.token)
        self._shop.saw(order_id, page["last_seq"])

    async def _post(self) -> None:
        person, order_id = self._shop.someone(self._chance)
        body = {"text": f"{TEXT}({next(self._numbers)})"}
        posted = await self._call("POST", f"/v1/orders/{order_id}/messages", person.token, body)
        self._shop.saw(order_id, posted["seq"])

    async def _mark(self) -> None:
        person, order_id = self._shop.someone(self._chance)
        body = {"up_to_seq": self._shop.newest.get(order_id, 0)}
        await self._call("PUT", f"/v1/orders/{order_id}/read", person.token, body)

    async def _listen(self) -> None:
        """Returns when the connection stands; it then listens for some seconds by itself, and goes."""
        person, _ = self._shop.someone(self._chance)
        answer = await self._http.get(f"{self._url}/v1/events", headers={"Authorization": f"Bearer {person.token}"})
        if answer.status != 200:
            answer.release()
            raise Refused(f"status {answer.status}")
        listening = asyncio.create_task(self._hear(answer))
        self._listening.add(listening)
        listening.add_done_callback(self._listening.discard)

    async def _hear(self, answer: aiohttp.ClientResponse) -> None:
        try:
            async with asyncio.timeout(self._chance.uniform(0, 2 * LISTEN_S)):
                async for said in answer.content:
                    self.events += said.startswith(b"data: ")
        except (TimeoutError, aiohttp.ClientError):
            return
        finally:
            answer.close()

    async def _call(self, method: str, path: str, token: str, body: object = None) -> dict[str, Any]:
        """The answer where what was asked for is done; 202 says that it will be, which is too late here."""
        headers = {"Authorization": f"Bearer {token}"}
        async with self._http.request(method, self._url + path, json=body, headers=headers) as answer:
            if answer.status not in (200, 201):
                raise Refused(f"status {answer.status}")
            found: dict[str, Any] = await answer.json()
            return found

    async def end(self) -> None:
        """Closes the live connections."""
        for listening in self._listening:
            listening.cancel()
        await asyncio.gather(*self._listening, return_exceptions=True)


def session() -> aiohttp.ClientSession:
    """Connections enough that no request waits for another's."""
    return aiohttp.ClientSession(
        connector=aiohttp.TCPConnector(limit=CONNECTIONS),
        timeout=aiohttp.ClientTimeout(total=None, sock_connect=ANSWER_LIMIT_S, sock_read=ANSWER_LIMIT_S),
        cookie_jar=aiohttp.DummyCookieJar(),
    )
