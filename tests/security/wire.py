"""What one RabbitMQ user may do, tried out for real: each attempt on a channel of its own, because a refusal closes it."""

import contextlib
import secrets
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable
from contextlib import AsyncExitStack, asynccontextmanager

import aiormq
import aiormq.abc

LIMIT_S = 10.0
NEVER_BOUND = "nobody.binds.this"

Attempt = Callable[[aiormq.abc.AbstractChannel], Awaitable[object]]


class User:
    """One user's connection to a virtual host."""

    def __init__(self, name: str, connection: aiormq.abc.AbstractConnection) -> None:
        self.name, self._connection = name, connection

    async def may(self, attempt: Attempt) -> bool:
        """Whether RabbitMQ lets the user. Raises whatever else goes wrong."""
        channel = await self._connection.channel(publisher_confirms=True)
        try:
            await attempt(channel)
        except aiormq.exceptions.ChannelAccessRefused:
            return False
        with contextlib.suppress(aiormq.exceptions.AMQPError):
            await channel.close()
        return True


@asynccontextmanager
async def signed_in(urls: dict[str, str]) -> AsyncIterator[list[User]]:
    """Users by name, each with the address that holds their credentials."""
    async with AsyncExitStack() as stack:
        users = []
        for name, url in urls.items():
            connection = await aiormq.connect(url)
            stack.push_async_callback(connection.close)
            users.append(User(name, connection))
        yield users


async def who_may(users: Iterable[User], attempt: Callable[[str], Attempt]) -> set[str]:
    """The names of those whose attempt is let through; `attempt` is given each one's name."""
    return {user.name for user in users if await user.may(attempt(user.name))}


def publish(exchange: str, routing_key: str = NEVER_BOUND, *, as_user: str | None = None) -> Attempt:
    """Publishes an empty message, with `user_id` where it is given."""
    properties = aiormq.spec.Basic.Properties(user_id=as_user)
    return lambda channel: channel.basic_publish(
        b"{}", exchange=exchange, routing_key=routing_key, properties=properties, timeout=LIMIT_S
    )


def consume(queue: str) -> Attempt:
    async def attempt(channel: aiormq.abc.AbstractChannel) -> None:
        await channel.basic_qos(prefetch_count=1)
        started = await channel.basic_consume(queue, _ignore, timeout=LIMIT_S)
        await channel.basic_cancel(str(started.consumer_tag))

    return attempt


async def _ignore(message: aiormq.abc.DeliveredMessage) -> None:
    """Leaves it unacknowledged: it goes back when the channel closes."""


def delete_queue(queue: str) -> Attempt:
    """With `if_unused` and a name that nobody has deleted yet: RabbitMQ asks for permission before it looks."""
    return lambda channel: channel.queue_delete(queue, if_unused=True, timeout=LIMIT_S)


def delete_exchange(exchange: str) -> Attempt:
    return lambda channel: channel.exchange_delete(exchange, if_unused=True, timeout=LIMIT_S)


def declare_queue(name: str) -> Attempt:
    return lambda channel: channel.queue_declare(name, exclusive=True, auto_delete=True, timeout=LIMIT_S)


def declare_exchange(name: str) -> Attempt:
    return lambda channel: channel.exchange_declare(name, exchange_type="topic", auto_delete=True, timeout=LIMIT_S)


def bind_to(exchange: str, own: Callable[[str], str]) -> Callable[[str], Attempt]:
    """Makes a queue of the user's own (its name from `own`) and binds it to the exchange: reading everything that passes."""

    def attempt_of(user: str) -> Attempt:
        async def attempt(channel: aiormq.abc.AbstractChannel) -> None:
            queue = own(user)
            await channel.queue_declare(queue, exclusive=True, auto_delete=True, timeout=LIMIT_S)
            await channel.queue_bind(queue, exchange, routing_key="#", timeout=LIMIT_S)

        return attempt

    return attempt_of


def own_queue(user: str) -> str:
    """A name that the user may declare, where there is one at all."""
    prefix = {"gateway": "parley.replies.", "shop": "shop-"}.get(user, "")
    return f"{prefix}{secrets.token_hex(6)}"
