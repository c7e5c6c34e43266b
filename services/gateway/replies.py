"""Outcomes as threads sends them: this gateway's own queue on parley.replies, and who waits for what.

Two requests may wait for one command id (a client that repeats itself, or uses one key for two texts), and each must get its own
outcome. So the queue is bound under several addresses, and each of the two is told to a different one.
"""

import asyncio
import itertools
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

import aiormq
import aiormq.abc
import structlog
from pydantic import ValidationError

from shared import topology
from shared.commands import OUTCOME, CommandOutcome
from shared.connections import EndOfConnection, ended, keep_connected, opened_channel

log = structlog.get_logger(__name__)

ADDRESSES: Final = 8
DECLARE_LIMIT_S: Final = 5.0


class Waiting:
    """One wait for one outcome. `reply_to` is None while no answer could reach us; then there is nothing to wait for."""

    def __init__(self, reply_to: str | None) -> None:
        self.reply_to = reply_to
        self._outcome: asyncio.Future[CommandOutcome] = asyncio.get_running_loop().create_future()

    async def outcome(self, *, within_s: float) -> CommandOutcome | None:
        """The outcome, or None where it does not come in time."""
        if self.reply_to is None or within_s <= 0:
            return None
        try:
            async with asyncio.timeout(within_s):
                return await self._outcome
        except TimeoutError:
            return None

    def arrived(self, outcome: CommandOutcome) -> None:
        if not self._outcome.done():
            self._outcome.set_result(outcome)


class Replies:
    """Runs until cancelled; while RabbitMQ is away there is no address, and writes are answered with 202."""

    def __init__(self, amqp_url: str) -> None:
        self._url = amqp_url
        self._queue: str | None = None
        self._waiting: dict[tuple[str, str], Waiting] = {}
        self._turn = itertools.count()

    @property
    def is_open(self) -> bool:
        return self._queue is not None

    @contextmanager
    def expecting(self, command_id: str) -> Iterator[Waiting]:
        """Registers before the command is published, so that no reply can come too early."""
        reply_to = self._free_address(command_id)
        waiting = Waiting(reply_to)
        if reply_to is None:
            yield waiting
            return
        self._waiting[reply_to, command_id] = waiting
        try:
            yield waiting
        finally:
            del self._waiting[reply_to, command_id]

    def _free_address(self, command_id: str) -> str | None:
        """The addresses take turns, so that a late reply to an earlier request under the id is not taken for this one's."""
        if self._queue is None:
            return None
        start = next(self._turn)
        candidates = (f"{self._queue}.{(start + step) % ADDRESSES}" for step in range(ADDRESSES))
        return next((address for address in candidates if (address, command_id) not in self._waiting), None)

    async def run(self) -> None:
        await keep_connected(self._url, "gateway replies", self._serve)

    async def _serve(self, connection: aiormq.abc.AbstractConnection) -> EndOfConnection:
        """A new name for each connection: RabbitMQ may still hold the exclusive queue of the last one."""
        name = f"{topology.REPLIES}.{uuid.uuid4().hex}"
        channel = await opened_channel(connection, publisher_confirms=False)
        await channel.queue_declare(name, exclusive=True, auto_delete=True, timeout=DECLARE_LIMIT_S)
        for number in range(ADDRESSES):
            await channel.queue_bind(name, topology.REPLIES, f"{name}.{number}", timeout=DECLARE_LIMIT_S)
        await channel.basic_consume(name, self._take, no_ack=True, timeout=DECLARE_LIMIT_S)
        self._queue = name
        try:
            return await ended(connection, channel)
        finally:
            self._queue = None

    async def _take(self, message: aiormq.abc.DeliveredMessage) -> None:
        try:
            outcome = OUTCOME.validate_json(message.body)
        except ValidationError:
            log.error("reply_not_readable")
            return
        waiting = self._waiting.get((message.routing_key or "", outcome.command_id))
        if waiting is not None:
            waiting.arrived(outcome)
