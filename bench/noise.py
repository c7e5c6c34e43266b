"""What one customer does to be a nuisance, as fast as it is let: `python -m bench.noise KIND SECONDS`, with GATEWAY_URL and TOKEN.

One connection, one request after the other, none of which waits for its outcome. Prints one line of JSON: how often which status came.
"""

import asyncio
import itertools
import json
import os
import secrets
import sys
import time
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final

import aiohttp

OWN: Final = "evil"
OWN_ORDERS: Final = 100
LIST: Final = 100
ID_CHARACTERS: Final = 64


@dataclass(frozen=True, slots=True)
class Request:
    """`body` None: none is sent."""

    method: str
    path: str
    body: Mapping[str, Any] | None = None


def own_order(number: int) -> str:
    return f"{OWN}-{number}"


def marks() -> Iterator[Request]:
    """A hundred own threads at a time, read and unread in turn."""
    for turn in itertools.count():
        threads = [{"order_id": own_order(number), "up_to_seq": turn % 2} for number in range(OWN_ORDERS)]
        yield Request("POST", "/v1/threads/read", {"threads": threads})


def one_mark() -> Iterator[Request]:
    """One own thread, read and unread in turn."""
    for turn in itertools.count():
        yield Request("PUT", f"/v1/orders/{own_order(0)}/read", {"up_to_seq": turn % 2})


def made_up() -> Iterator[Request]:
    """A hundred ids that nobody has, as long as ids may be, beside one own thread: else nothing of them would be kept."""
    for _ in itertools.count():
        ids = [secrets.token_hex(ID_CHARACTERS // 2) for _ in range(LIST - 1)]
        threads = [{"order_id": each, "up_to_seq": 1} for each in (own_order(0), *ids)]
        yield Request("POST", "/v1/threads/read", {"threads": threads})


def clicks() -> Iterator[Request]:
    """The link that ends mails, again and again."""
    token = os.environ["UNSUBSCRIBE_TOKEN"]
    return itertools.repeat(Request("POST", f"/v1/unsubscribe?token={token}"))


def everything() -> Iterator[Request]:
    """Everything in a large inbox, again and again."""
    return itertools.repeat(Request("POST", "/v1/threads/read", {"all": True}))


def strange_orders() -> Iterator[Request]:
    """Posts to orders that nobody has."""
    for number in itertools.count():
        yield Request("POST", f"/v1/orders/nobodys-{number}/messages", {"text": "Hello?"})


def long_posts() -> Iterator[Request]:
    """The longest texts that may be, into own threads in turn."""
    text = "\U0001f4a9" * 10_000
    for number in itertools.count():
        yield Request("POST", f"/v1/orders/{own_order(number % OWN_ORDERS)}/messages", {"text": text})


def steps() -> Iterator[Request]:
    """A dispute opened and closed, again and again."""
    path = f"/v1/orders/{own_order(0)}/dispute"
    for _ in itertools.count():
        yield Request("POST", path, {"reason": "other", "text": "So there."})
        yield Request("POST", f"{path}/close", {"outcome": "withdrawn"})


KINDS: Final = {
    "marks": marks,
    "one_mark": one_mark,
    "made_up": made_up,
    "clicks": clicks,
    "everything": everything,
    "strange_orders": strange_orders,
    "long_posts": long_posts,
    "steps": steps,
}


async def make(kind: str, seconds: float) -> Counter[int]:
    """How often which status came."""
    headers = {"Authorization": f"Bearer {os.environ['TOKEN']}", "Prefer": "respond-async"}
    statuses: Counter[int] = Counter()
    ends = time.monotonic() + seconds
    async with aiohttp.ClientSession(os.environ["GATEWAY_URL"], headers=headers) as http:
        for request in KINDS[kind]():
            if time.monotonic() >= ends:
                break
            async with http.request(request.method, request.path, json=request.body) as answer:
                await answer.read()
                statuses[answer.status] += 1
    return statuses


if __name__ == "__main__":
    print(json.dumps(asyncio.run(make(sys.argv[1], float(sys.argv[2])))))
