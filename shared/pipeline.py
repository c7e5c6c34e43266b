"""Publishing for callers who each wait for their own confirm: the frames of all that publish in one turn of the event loop go out in one piece.

A publish through aiormq by itself costs several futures, a lock, two time limits and a write to the socket; here it costs its frames, two
futures and one timer. What is guaranteed is the same: persistent, mandatory, confirmed, bounded in time. What RabbitMQ does not take is
bounded too: nothing is sent while it takes nothing.
"""

import asyncio
import struct
from collections import deque
from functools import lru_cache, partial
from typing import Final, NamedTuple

import aiormq
from aiormq.abc import ChannelFrame
from pamqp import encode

from shared.connections import HEARTBEAT_S
from shared.publishing import (
    BROKER_AWAY,
    PERSISTENT,
    PUBLISH_DEADLINE_S,
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
CORRELATION_ID, REPLY_TO, MESSAGE_ID, TIMESTAMP, TYPE, USER_ID = 1 << 10, 1 << 9, 1 << 7, 1 << 6, 1 << 5, 1 << 4
TRANSIENT: Final = 1
FULL_PAUSE_S: Final = 0.005

# How much RabbitMQ may owe an answer to. What is in flight at the busiest of times is far below it.
MAX_UNANSWERED_BYTES: Final = 32 * 1024 * 1024
# What a publish takes up besides its body, roughly.
FRAMES_BYTES: Final = 512
# Until then, whoever reads nothing has been found dead, and what waited for him has gone with the connection.
FORGOTTEN_AFTER_S: Final = 3 * (HEARTBEAT_S + 1) + 2
# An answer that is later than anybody waits for one is taken for lost.
LOST_AFTER_S: Final = PUBLISH_DEADLINE_S
# The part of its time for which a publish waits for its turn; there is no use in sending what nobody waits for any more.
TURN_SHARE: Final = 0.8

# Where aiormq keeps whether the connection is blocked. Its public `ready()` says the same to those who wait, at 3 us a publish.
UNBLOCKED: Final = "_Connection__connection_unblocked"

Answer = asyncio.Future[object]
"""What RabbitMQ says of a publish. Done when it has said so, or when its channel is closed; never cancelled, however late."""


class PipelinePublisher(Publisher):
    """A publisher for many callers at once. Whatever it publishes goes through here: one pipe counts one channel's confirms."""

    _pipe: "Pipe | None" = None

    async def publish(self, message: Outgoing, *, deadline_s: float | None = None) -> None:
        within_s = deadline_s or self._deadline_s
        ends = asyncio.get_running_loop().time() + within_s
        if self._slots.locked():
            await self._slot(within_s * TURN_SHARE)
        else:
            await self._slots.acquire()
        try:
            pipe = self._open_pipe()
            while (earlier := pipe.on_its_way(message)) is not None:
                await _answered_before(earlier, ends)
                pipe = self._open_pipe()
            await _confirmed(pipe.send(message, self._user), message, ends)
        finally:
            self._slots.release()

    async def _slot(self, within_s: float) -> None:
        """Raises NotPublished where as many publishes as may be are under way, and stay so."""
        try:
            async with asyncio.timeout(within_s):
                await self._slots.acquire()
        except TimeoutError:
            raise NotPublished("RabbitMQ does not keep up") from None

    def _open_pipe(self) -> "Pipe":
        """The pipe of the channel that is open now. Raises NotPublished where there is none, or RabbitMQ takes nothing through it."""
        channel, pipe = self._open_channel(), self._pipe
        if pipe is None or pipe.channel is not channel:
            pipe = self._pipe = Pipe(channel)
        if pipe.is_full():
            raise NotPublished("RabbitMQ does not keep up")
        if pipe.is_blocked():
            raise NotPublished("blocked by RabbitMQ: it is out of memory or disk space")
        return pipe


async def _answered_before(earlier: "Sent", ends: float) -> None:
    """Waits for the answer to another message with the same id. Raises NotPublished where none comes in time."""
    if not await is_answered(earlier.answer, ends):
        raise NotPublished("a message with the same id is still on its way")


async def _confirmed(answer: Answer, message: Outgoing, ends: float) -> None:
    """Returns when RabbitMQ has confirmed it; raises as Publisher.publish does."""
    if not await is_answered(answer, ends):
        raise PublishUnknown("no confirm came back from RabbitMQ")
    try:
        answer.result()
    except aiormq.exceptions.PublishError as error:
        raise Unroutable(f"nothing is bound to {message.exchange} for {message.routing_key}") from error
    except aiormq.exceptions.DeliveryError as error:
        raise Refused("RabbitMQ refused the message: its queue is full") from error
    except BROKER_AWAY as error:
        raise PublishUnknown("no confirm came back from RabbitMQ") from error


async def is_answered(answer: Answer, ends: float) -> bool:
    """Waits until then at most. Whoever gives up leaves the answer as it is: RabbitMQ still owes it, and aiormq looks for it."""
    loop = answer.get_loop()
    over: asyncio.Future[None] = loop.create_future()
    timer = loop.call_at(ends, _end, over)
    answer.add_done_callback(partial(_end, over))
    try:
        await over
    finally:
        timer.cancel()
    return answer.done()


def _end(over: "asyncio.Future[None]", _: Answer | None = None) -> None:
    if not over.done():
        over.set_result(None)


class Sent(NamedTuple):
    """A publish whose answer may be to come; `at_s` by the loop's clock."""

    at_s: float
    exchange: str
    size_bytes: int
    answer: Answer


class Pipe:
    """One channel's publishes. A publish is counted when its frames join the piece that goes out next: RabbitMQ counts in the same order.

    RabbitMQ's returns name a publish by its message id, and nothing else. So of the mandatory ones, only one is on its way under one id.
    """

    def __init__(self, channel: aiormq.Channel) -> None:
        self.channel = channel
        self._piece: list[bytes] = []
        self._loop = asyncio.get_running_loop()
        self._sent: deque[Sent] = deque()
        self._sent_bytes = 0
        self._mandatory: dict[str, Sent] = {}
        self._unblocked: asyncio.Event = getattr(channel.connection, UNBLOCKED)
        channel.closing.add_done_callback(lambda _: self._closed())

    def is_full(self) -> bool:
        """Whether RabbitMQ owes an answer to more than it may."""
        sent, forgotten = self._sent, self._loop.time() - FORGOTTEN_AFTER_S
        while sent and (sent[0].answer.done() or sent[0].at_s < forgotten):
            self._sent_bytes -= sent.popleft().size_bytes
        return self._sent_bytes > MAX_UNANSWERED_BYTES

    def is_blocked(self) -> bool:
        """Whether RabbitMQ has said that it takes nothing."""
        return not self._unblocked.is_set()

    def on_its_way(self, message: Outgoing) -> Sent | None:
        """The mandatory publish under the same id that RabbitMQ has not answered yet, if this one is mandatory too."""
        if not self._mandatory or not message.mandatory:
            return None
        earlier = self._mandatory.get(message.message_id)
        if earlier is None or earlier.answer.done() or earlier.at_s < self._loop.time() - LOST_AFTER_S:
            return None
        return earlier

    def send(self, message: Outgoing, user: str) -> Answer:
        """Sends with what else is sent in this turn. Raises ValueError, and counts nothing, where AMQP cannot say the message."""
        channel = self.channel
        said = frames(message, user=user, channel=channel.number, max_body_bytes=channel.max_content_size)
        answer: Answer = self._loop.create_future()
        channel.delivery_tag += 1
        tag, size_bytes = channel.delivery_tag, len(message.body) + FRAMES_BYTES
        channel.confirmations[tag] = answer
        sent = Sent(self._loop.time(), message.exchange, size_bytes, answer)
        self._sent.append(sent)
        self._sent_bytes += size_bytes
        if message.mandatory:
            channel.message_id_delivery_tag[message.message_id] = tag
            self._mandatory[message.message_id] = sent
        answer.add_done_callback(partial(self._settle, message.message_id))
        if not self._piece:
            self._loop.call_soon(self._write)
        self._piece += said
        return answer

    def _settle(self, message_id: str, answer: Answer) -> None:
        answer.exception()  # Nobody may wait for it any more, and asyncio complains of exceptions that nobody has seen.
        sent = self._mandatory.get(message_id)
        if sent is not None and sent.answer is answer:
            del self._mandatory[message_id]
            self.channel.message_id_delivery_tag.pop(message_id, None)

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
        for sent in self._sent:
            if not sent.answer.done():
                sent.answer.set_exception(ConnectionError("the channel is closed"))


def frames(message: Outgoing, *, user: str, channel: int, max_body_bytes: int) -> list[bytes]:
    """The message as AMQP 0-9-1 frames: the method, the header, and the body in as many as it needs.

    Raises ValueError where the header is larger than a frame may be: RabbitMQ would close the connection, and all others' publishes with it.
    """
    body = message.body
    header = struct.pack(">HHQ", BASIC, 0, len(body)) + _properties(message, user)
    if len(header) > max_body_bytes:
        raise ValueError(f"properties and headers of {len(header)} bytes do not fit into a frame")
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
    said.append(_short(message.message_id))
    if message.timestamp is not None:
        flags |= TIMESTAMP
        said.append(struct.pack(">Q", max(0, int(message.timestamp.timestamp()))))
    if message.type is not None:
        flags |= TYPE
        said.append(_short(message.type))
    said.append(_short(user))
    return flags.to_bytes(2, "big") + b"".join(said)


def _short(value: str) -> bytes:
    """A short string: at most 255 bytes, which every id and name of ours is. Raises ValueError where it is not."""
    encoded = value.encode()
    return bytes((len(encoded),)) + encoded
