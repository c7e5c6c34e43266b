"""At the start: whether RabbitMQ has what a service needs, and lets it; what is missing is said by name, in the log and in /readyz."""

import asyncio
import contextlib
from collections.abc import Awaitable, Callable, Sequence
from typing import Final

import aiormq
import aiormq.abc
import structlog

from shared.connections import CONNECT_LIMIT_S, opened_channel, with_options
from shared.losses import NO_CONNECTION, loss_is_an_error

log = structlog.get_logger(__name__)

AGAIN_S: Final = 2.0
CALL_LIMIT_S: Final = 5.0
# Nothing is bound with this key, so that taking such a binding away changes nothing.
NO_BINDING: Final = "parley.verify"

Look = Callable[[aiormq.abc.AbstractChannel], Awaitable[object]]


class Topology:
    """The queues that a service reads and the exchanges that it writes to. Permission to read shows when it consumes."""

    def __init__(self, amqp_url: str, *, service: str, reads: Sequence[str], writes: Sequence[str]) -> None:
        self._url, self._service = amqp_url, service
        self._reads, self._writes = reads, writes
        self._missing: list[str] | None = None

    async def trouble(self) -> str | None:
        """For readiness: what is missing."""
        if self._missing is None:
            return "RabbitMQ has not been looked at yet"
        return "; ".join(self._missing) or None

    async def until_complete(self) -> None:
        """Returns once everything is there; looks again every two seconds, because somebody may be setting it up just now.

        Raises nothing: what goes wrong is looked at again, too.
        """
        while True:
            before = self._missing
            await self._look()
            if self._missing == []:
                return
            if self._missing != before and self._missing is not None:
                log.error("rabbitmq_not_as_needed", missing=self._missing)
            await asyncio.sleep(AGAIN_S)

    async def _look(self) -> None:
        try:
            self._missing = await self.missing()
        except NO_CONNECTION as error:
            log.debug("rabbitmq_not_looked_at", error=type(error).__name__)
        except Exception:
            log.exception("rabbitmq_not_looked_at")

    async def missing(self) -> list[str]:
        """What is not there or not allowed, one line each. Raises one of NO_CONNECTION while RabbitMQ is away."""
        with loss_is_an_error():
            async with asyncio.timeout(CONNECT_LIMIT_S):
                connection = await aiormq.connect(with_options(self._url, f"{self._service}-verifies"))
            try:
                return await self._missing_on(connection)
            finally:
                await _closed(connection)

    async def _missing_on(self, connection: aiormq.abc.AbstractConnection) -> list[str]:
        found = [await _looked(connection, f"queue {name}", _there(name)) for name in self._reads]
        found += [
            await _looked(connection, f"exchange {name}", _writable(name, self._reads[0])) for name in self._writes
        ]
        return [each for each in found if each is not None]


async def _looked(connection: aiormq.abc.AbstractConnection, what: str, look: Look) -> str | None:
    """On a channel of its own: a refusal closes the channel."""
    channel = await opened_channel(connection, publisher_confirms=False)
    try:
        await look(channel)
    except aiormq.exceptions.ChannelNotFoundEntity:
        return f"{what} is missing"
    except aiormq.exceptions.ChannelAccessRefused as error:
        return f"{what} may not be used: {error}"
    await _closed(channel)
    return None


async def _closed(what: aiormq.abc.AbstractConnection | aiormq.abc.AbstractChannel) -> None:
    """Closes it. That it cannot be closed says nothing about what was looked for."""
    with contextlib.suppress(*NO_CONNECTION), loss_is_an_error():
        async with asyncio.timeout(CALL_LIMIT_S):
            await what.close()


def _there(queue: str) -> Look:
    async def look(channel: aiormq.abc.AbstractChannel) -> None:
        await channel.queue_declare(queue, passive=True, timeout=CALL_LIMIT_S)

    return look


def _writable(exchange: str, readable: str) -> Look:
    """Taking away a binding that is not there changes nothing, and asks first for permission to write to its end.

    And then for permission to read its source; so that is a name which this user may read, though no exchange is called so.
    """

    async def look(channel: aiormq.abc.AbstractChannel) -> None:
        await channel.exchange_declare(exchange, passive=True, timeout=CALL_LIMIT_S)
        with contextlib.suppress(aiormq.exceptions.ChannelNotFoundEntity):
            await channel.exchange_unbind(exchange, readable, routing_key=NO_BINDING, timeout=CALL_LIMIT_S)

    return look
