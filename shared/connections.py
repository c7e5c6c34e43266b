"""Connections that read from RabbitMQ: opened again whenever they end, because what is read must start where it stopped.

Not aio-pika's robust ones: those repeat the first subscription with its first arguments, and a stream must go on behind the last offset.
"""

import asyncio
import contextlib
from collections.abc import Awaitable, Callable
from typing import Final
from urllib.parse import unquote, urlsplit

import aiormq
import aiormq.abc
import structlog
from pamqp import commands

from shared import undecodable
from shared.losses import NO_CONNECTION, loss_is_an_error

log = structlog.get_logger(__name__)

HEARTBEAT_S: Final = 10
RECONNECT_S: Final = 1
CONNECT_LIMIT_S: Final = 5.0
OPEN_LIMIT_S: Final = 5.0

EndOfConnection = str
Serve = Callable[[aiormq.abc.AbstractConnection], Awaitable[EndOfConnection]]


def with_options(amqp_url: str, name: str) -> str:
    """The URL with our heartbeat (a dead peer is noticed in half a minute, not three) and a name that operators see.

    Every connection of ours is opened with it, so none is without `shared.undecodable`.
    """
    undecodable.install()
    separator = "&" if "?" in amqp_url else "?"
    return f"{amqp_url}{separator}heartbeat={HEARTBEAT_S}&name={name}&reconnect_interval={RECONNECT_S}&fail_fast=0"


def user_of(amqp_url: str) -> str:
    """The RabbitMQ user in the URL, which RabbitMQ verifies as `user_id`."""
    return unquote(urlsplit(amqp_url).username or "guest")


async def keep_connected(amqp_url: str, name: str, serve: Serve) -> None:
    """Connects, serves until the connection ends, and starts again after a second; for ever, until cancelled.

    However a connection ends, or serving fails, nothing but this task's own cancellation ends it.
    """
    while True:
        try:
            with loss_is_an_error():
                reason = await _served(amqp_url, name, serve)
        except NO_CONNECTION as error:
            reason = type(error).__name__
        except Exception as error:
            log.exception("rabbitmq_connection_failed", connection=name)
            reason = type(error).__name__
        log.warning("rabbitmq_disconnected", connection=name, reason=reason)
        await asyncio.sleep(RECONNECT_S)


async def _served(amqp_url: str, name: str, serve: Serve) -> EndOfConnection:
    async with asyncio.timeout(CONNECT_LIMIT_S):
        connection = await aiormq.connect(with_options(amqp_url, name.replace(" ", "-")))
    try:
        log.info("rabbitmq_connected", connection=name)
        return await serve(connection)
    finally:
        await _close(connection)


async def opened_channel(connection: aiormq.abc.AbstractConnection, **options: bool) -> aiormq.Channel:
    """Raises TimeoutError where RabbitMQ does not open it: it may go on sending heartbeats meanwhile, so that nothing else would notice."""
    async with asyncio.timeout(OPEN_LIMIT_S):
        channel = await connection.channel(**options)
    assert isinstance(channel, aiormq.Channel)  # noqa: S101 - the interface does not show what it has besides
    return channel


async def ended(connection: aiormq.abc.AbstractConnection, channel: aiormq.Channel) -> EndOfConnection:
    """Returns why, once the connection or channel has closed, or RabbitMQ has cancelled a consumer on the channel."""
    cancelled = asyncio.get_running_loop().create_future()

    def on_cancel(_frame: commands.Basic.Cancel) -> None:
        if not cancelled.done():
            cancelled.set_result(None)

    channel.on_consumer_cancel_callbacks.add(on_cancel)
    await asyncio.wait({cancelled, connection.closing, channel.closing}, return_when=asyncio.FIRST_COMPLETED)
    return "consumer cancelled" if cancelled.done() else "closed"


async def _close(connection: aiormq.abc.AbstractConnection) -> None:
    with contextlib.suppress(*NO_CONNECTION), loss_is_an_error():
        async with asyncio.timeout(CONNECT_LIMIT_S):
            await connection.close()
