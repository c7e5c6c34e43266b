"""Customers who post, each to an order of their own, until every mail about it has been accepted."""

import asyncio
import itertools
import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import aiohttp

from bench.cpu import cpu_s
from bench.sinks import SinkProcess

AT_ONCE: Final = 32
MAILED_WITHIN_S: Final = 60.0
# After a mail's 250 its mark and the acknowledgements follow; they are a part of the post.
LAST_STEPS_S: Final = 0.1


@dataclass(frozen=True, slots=True)
class Cost:
    """What some posts took, from the first request to the last mail: CPU of the measured processes, and posts a second."""

    cpu_us_a_post: float
    posts_a_second: float


@dataclass(frozen=True, slots=True)
class Poster:
    """Where a post goes, and as whom."""

    order_id: str
    token: str


class Posters:
    """All post once in a round, so many at once; one post makes one mail, because each order's mails are sent before its next post."""

    def __init__(self, url: str, posters: Sequence[Poster], sink: SinkProcess, pids: Sequence[int]) -> None:
        self._url, self._posters, self._sink, self._pids = url, posters, sink, pids
        self._numbers = itertools.count(1)

    async def round(self, *, times: int = 1) -> Cost:
        """Every poster posts so many times."""
        loop, mailed = asyncio.get_running_loop(), await self._sink.accepted()
        began, cpu_before_s = loop.time(), cpu_s(self._pids)
        connector = aiohttp.TCPConnector(limit=AT_ONCE)
        async with aiohttp.ClientSession(connector=connector) as http:
            for _ in range(times):
                await asyncio.gather(*(self._post(http, poster) for poster in self._posters))
                mailed += len(self._posters)
                await self._sink.reaches(mailed, within_s=MAILED_WITHIN_S)
        took_s = loop.time() - began
        await asyncio.sleep(LAST_STEPS_S)
        used_s = cpu_s(self._pids) - cpu_before_s
        posts = times * len(self._posters)
        return Cost(used_s / posts * 1e6, posts / took_s)

    async def _post(self, http: aiohttp.ClientSession, poster: Poster) -> None:
        text = f"Where is it? I have been waiting since Monday, this is message {next(self._numbers)}. " * 3
        headers = {"Authorization": f"Bearer {poster.token}", "Content-Type": "application/json"}
        body = json.dumps({"text": text.strip()})
        async with http.post(f"{self._url}/v1/orders/{poster.order_id}/messages", data=body, headers=headers) as answer:
            assert answer.status in (201, 202), await answer.text()
