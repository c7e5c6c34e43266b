"""Dead letters: list, show, replay, drop. A letter leaves its queue only when its copy is confirmed, so replaying twice changes nothing."""

import json
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Final

import aio_pika
from aio_pika.abc import AbstractIncomingMessage

from shared import topology, undecodable
from shared.connections import with_options
from shared.delivery import NOT_SAID, kept_headers, original_publisher
from shared.publishing import Outgoing, Publisher

LOOK_AT_MOST: Final = 10_000
TRANSIENT_HEADERS: Final = ("x-attempt", "x-waits", "x-delivery-count", "x-death")


@dataclass(frozen=True, slots=True)
class Letter:
    """A dead letter: why, when, after how many attempts, from where. The body may hold addresses and texts: it is shown only when asked for."""

    queue: str
    id: str
    reason: str
    at: str
    attempts: str
    origin: str
    detail: str
    body: bytes

    def line(self) -> str:
        return f"{self.queue}  {self.id}  {self.reason}  attempts {self.attempts}  {self.at}  from {self.origin}"

    def shown(self) -> str:
        try:
            body = json.dumps(json.loads(self.body), indent=1, ensure_ascii=False)
        except ValueError:
            body = repr(self.body[:2_000])
        return f"{self.line()}\n{self.detail}\n{body}"


class DeadLetters:
    def __init__(self, channel: aio_pika.abc.AbstractChannel, publisher: Publisher) -> None:
        self._channel, self._publisher = channel, publisher

    async def look(self, work_queue: str | None = None) -> list[Letter]:
        """All dead letters, which stay where they are."""
        return [_letter(queue, message) for queue, message in await self._taken(work_queue)]

    async def replay(self, wanted: str) -> int:
        """Sends the letters with this id (or `all`) back to the exchange that they came from; says how many.

        They are decided anew: a command that is done already is known, so a second replay changes nothing.
        """
        count = 0
        for queue, message in await self._taken(None):
            if wanted not in ("all", _id(message)):
                continue
            await self._publisher.publish(_replayed(queue, message))
            await message.ack()
            count += 1
        return count

    async def drop(self, wanted: str) -> int:
        """Deletes the letters with this id, for good; says how many."""
        count = 0
        for _, message in await self._taken(None):
            if _id(message) == wanted:
                await message.ack()
                count += 1
        return count

    async def _taken(self, work_queue: str | None) -> list[tuple[str, AbstractIncomingMessage]]:
        """Letters in hand; what is not acknowledged goes back when the channel closes."""
        taken: list[tuple[str, AbstractIncomingMessage]] = []
        for queue in [work_queue] if work_queue else topology.WORK_QUEUES:
            dead = await self._channel.get_queue(topology.dead_queue(queue), ensure=False)
            while len(taken) < LOOK_AT_MOST and (message := await dead.get(fail=False)) is not None:
                taken.append((queue, message))
        return taken


@asynccontextmanager
async def opened(amqp_url: str) -> AsyncIterator[DeadLetters]:
    """The dead letters of a broker, with the operator's credentials."""
    publisher = Publisher(amqp_url, name="ctl-publish")
    await publisher.connected()
    connection = await aio_pika.connect(with_options(amqp_url, "ctl"))
    async with connection:
        yield DeadLetters(await connection.channel(), publisher)
    await publisher.close()


def _id(message: AbstractIncomingMessage) -> str:
    return _in_one_line(message.message_id)


def _letter(queue: str, message: AbstractIncomingMessage) -> Letter:
    """Anybody may have written the headers, so nothing is expected of them."""
    headers: Mapping[str, object] = message.headers
    death, problem = _death(headers), undecodable.problem_of(headers)
    reason = headers.get("x-parley-reason") or death.get("reason")
    if problem is not None:
        reason = f"{reason}, undecodable" if reason else "undecodable"
    origin = f"{death.get('exchange', '')}/{_first(death.get('routing-keys'), '')}"
    return Letter(
        queue=queue,
        id=_id(message),
        reason=_in_one_line(reason or "unknown"),
        at=_in_one_line(headers.get("x-parley-at") or death.get("time") or ""),
        attempts=_in_one_line(headers.get("x-parley-attempts") or death.get("count") or ""),
        origin=_in_one_line(headers.get("x-parley-origin") or origin),
        detail=problem or str(headers.get("x-parley-detail") or ""),
        body=message.body,
    )


def _death(headers: Mapping[str, object]) -> Mapping[str, object]:
    """What RabbitMQ says of a message that it gave up itself."""
    death = _first(headers.get("x-death"), {})
    return death if isinstance(death, dict) else {}


def _first(value: object, default: object) -> object:
    return value[0] if isinstance(value, list) and value else default


def _in_one_line(value: object) -> str:
    """What others wrote moves no cursor of a terminal and makes no line of its own."""
    return "".join(each if each.isprintable() else ascii(each)[1:-1] for each in str(value))


def _replayed(queue: str, message: AbstractIncomingMessage) -> Outgoing:
    """Straight back into its own queue, as its first publisher's; nobody else's queue gets a second copy."""
    first: dict[str, object] = {
        name: value
        for name, value in message.headers.items()
        if name not in TRANSIENT_HEADERS and not name.startswith("x-parley-")
    }
    return Outgoing(
        exchange="",
        routing_key=queue,
        body=message.body,
        message_id=_id(message),
        headers={**kept_headers(first), "x-publisher": original_publisher(message) or NOT_SAID},
        content_type=message.content_type or "application/octet-stream",
    )
