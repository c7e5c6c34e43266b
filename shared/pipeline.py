"""Publishing for callers who each wait for their own confirm: the frames of all that publish in one turn of the event loop go out in one piece.

A publish through aiormq by itself costs several futures, a lock, two time limits and a write to the socket; here it costs its frames, one
future and one timer. What is guaranteed is the same: persistent, mandatory, confirmed, bounded in time.
"""

import asyncio
import struct
from functools import lru_cache
from typing import Final

import aiormq
from aiormq.abc import ChannelFrame
from pamqp import encode

from shared.delivery import (
    BROKER_AWAY,
    PERSISTENT,
    NotPublished,
    Outgoing,
    Publisher,
    PublishUnknown,
    Refused,
    Unroutable,
)

METHOD_FRAME, HEADER_FRAME, BODY_FRAME = 1, 2, 3
FRAME_HEAD: Final = struct.Struct(">BHI")
FRAME_END: Final = b"\xce"
BASIC, PUBLISH, MANDATORY = 60, 40, 1
# Which properties a content header has, in the order in which they follow (AMQP 0-9-1, 4.2.6.1).
CONTENT_TYPE, HEADERS, DELIVERY_MODE = 1 << 15, 1 << 13, 1 << 12
CORRELATION_ID, REPLY_TO, MESSAGE_ID, USER_ID = 1 << 10, 1 << 9, 1 << 7, 1 << 4
TRANSIENT: Final = 1
FULL_PAUSE_S: Final = 0.005

Confirm = asyncio.Future[object]


class PipelinePublisher(Publisher):
    """A publisher for many callers at once. Whatever it publishes goes through here: one pipe counts one channel's confirms."""

    _pipe: "Pipe | None" = None

    async def publish(self, message: Outgoing, *, deadline_s: float | None = None) -> None:
        within_s = deadline_s or self._deadline_s
        if self._slots.locked():
            await self._slot(within_s)
        else:
            await self._slots.acquire()
        try:
            pipe = await self._open_pipe()
            await _confirmed(pipe.send(message, self._user), message, within_s)
        finally:
            self._slots.release()

    async def _slot(self, within_s: float) -> None:
        """Raises NotPublished where as many publishes as may be are under way, and stay so."""
        try:
            async with asyncio.timeout(within_s):
                await self._slots.acquire()
        except TimeoutError:
            raise NotPublished("RabbitMQ does not keep up") from None

    async def _open_pipe(self) -> "Pipe":
        """The pipe of the channel that is open now. Raises NotPublished where there is none."""
        try:
            channel = await self._open_channel()
        except BROKER_AWAY as error:
            raise NotPublished("RabbitMQ is not reachable") from error
        if channel.is_closed:
            raise NotPublished("RabbitMQ's channel is being replaced")
        if self._pipe is None or self._pipe.channel is not channel:
            self._pipe = Pipe(channel)
        return self._pipe


async def _confirmed(confirm: Confirm, message: Outgoing, within_s: float) -> None:
    """Returns when RabbitMQ has confirmed it; raises as Publisher.publish does. A late confirm finds a cancelled future, as aiormq expects."""
    deadline = confirm.get_loop().call_later(within_s, confirm.cancel, LATE)
    try:
        await confirm
    except asyncio.CancelledError as error:
        if error.args != (LATE,):
            raise
        raise PublishUnknown("no confirm came back from RabbitMQ") from None
    except aiormq.exceptions.PublishError as error:
        raise Unroutable(f"nothing is bound to {message.exchange} for {message.routing_key}") from error
    except aiormq.exceptions.DeliveryError as error:
        raise Refused("RabbitMQ refused the message: its queue is full") from error
    except BROKER_AWAY as error:
        raise PublishUnknown("no confirm came back from RabbitMQ") from error
    finally:
        deadline.cancel()


LATE: Final = "no confirm in time"


class Pipe:
    """One channel's publishes. A publish is counted when its frames join the piece that goes out next: RabbitMQ counts in the same order."""

    def __init__(self, channel: aiormq.Channel) -> None:
        self.channel = channel
        self._piece: list[bytes] = []
        self._loop = asyncio.get_running_loop()
        channel.closing.add_done_callback(lambda _: self._closed())

    def send(self, message: Outgoing, user: str) -> Confirm:
        channel, confirm = self.channel, self._loop.create_future()
        channel.delivery_tag += 1
        tag, message_id = channel.delivery_tag, message.message_id
        channel.confirmations[tag] = confirm
        channel.message_id_delivery_tag[message_id] = tag
        confirm.add_done_callback(lambda _: channel.message_id_delivery_tag.pop(message_id, None))
        if not self._piece:
            self._loop.call_soon(self._write)
        self._piece += frames(message, user=user, channel=channel.number, max_body_bytes=channel.max_content_size)
        return confirm

    def _write(self) -> None:
        """Hands the piece to the connection's writer; where that has not come round to the last ones yet, in a moment."""
        if self.channel.is_closed:
            return self._closed()
        frame = ChannelFrame(payload=b"".join(self._piece), should_close=False, drain_future=None)
        try:
            self.channel.write_queue.put_nowait(frame)
        except asyncio.QueueFull:
            self._loop.call_later(FULL_PAUSE_S, self._write)
            return None
        self._piece.clear()
        return None

    def _closed(self) -> None:
        """Nothing more will be confirmed on this channel."""
        self._piece.clear()
        for confirm in list(self.channel.confirmations.values()):
            if not confirm.done():
                confirm.set_exception(ConnectionError("the channel is closed"))


def frames(message: Outgoing, *, user: str, channel: int, max_body_bytes: int) -> list[bytes]:
    """The message as AMQP 0-9-1 frames: the method, the header, and the body in as many as it needs."""
    body = message.body
    header = struct.pack(">HHQ", BASIC, 0, len(body)) + _properties(message, user)
    return [
        _method(message.exchange, message.routing_key, message.mandatory, channel),
        _frame(HEADER_FRAME, channel, header),
        *(
            _frame(BODY_FRAME, channel, body[start : start + max_body_bytes])
            for start in range(0, len(body), max_body_bytes)
        ),
    ]


def _frame(kind: int, channel: int, payload: bytes) -> bytes:
    return FRAME_HEAD.pack(kind, channel, len(payload)) + payload + FRAME_END


@lru_cache(maxsize=1_024)
def _method(exchange: str, routing_key: str, mandatory: bool, channel: int) -> bytes:
    flags = MANDATORY if mandatory else 0
    said = struct.pack(">HHH", BASIC, PUBLISH, 0) + _short(exchange) + _short(routing_key) + bytes([flags])
    return _frame(METHOD_FRAME, channel, said)


def _properties(message: Outgoing, user: str) -> bytes:
    flags = CONTENT_TYPE | DELIVERY_MODE | MESSAGE_ID | USER_ID
    said = [_short(message.content_type)]
    if message.headers:
        flags |= HEADERS
        said.append(encode.field_table(dict(message.headers)))
    said.append(bytes([PERSISTENT if message.persistent else TRANSIENT]))
    if message.correlation_id is not None:
        flags |= CORRELATION_ID
        said.append(_short(message.correlation_id))
    if message.reply_to is not None:
        flags |= REPLY_TO
        said.append(_short(message.reply_to))
    said += (_short(message.message_id), _short(user))
    return flags.to_bytes(2, "big") + b"".join(said)


def _short(value: str) -> bytes:
    """A short string: at most 255 bytes, which every id and name of ours is. Raises ValueError where it is not."""
    encoded = value.encode()
    return bytes((len(encoded),)) + encoded
