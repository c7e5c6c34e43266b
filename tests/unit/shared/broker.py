"""A broker that answers publishes when and as a test says: AMQP 0-9-1 as far as one connection with one channel needs it."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass

import pamqp.frame
from pamqp.base import Frame
from pamqp.body import ContentBody
from pamqp.commands import Basic, Channel, Confirm, Connection
from pamqp.common import FieldTable
from pamqp.header import ContentHeader

from deploy.local.ports import LOOPBACK
from tests.servers.amqp_frames import FrameReader

PROTOCOL_HEADER_BYTES = 8
CHUNK_BYTES = 65_536
FRAME_MAX = 131_072
CAPABILITIES: FieldTable = {
    "capabilities": {"publisher_confirms": True, "basic.nack": True, "connection.blocked": True}
}
METHODS: dict[type[Frame], Callable[[], Frame]] = {
    Connection.StartOk: lambda: Connection.Tune(2_047, FRAME_MAX, 60),
    Connection.Open: Connection.OpenOk,
    Connection.Close: Connection.CloseOk,
    Channel.Open: Channel.OpenOk,
    Channel.Close: Channel.CloseOk,
    Confirm.Select: Confirm.SelectOk,
    Basic.Qos: Basic.QosOk,
}


@dataclass(frozen=True)
class Published:
    """A publish as it arrived; `tag` is what its confirm names."""

    tag: int
    method: Basic.Publish
    header: ContentHeader
    body: bytes

    @property
    def message_id(self) -> str:
        return str(self.header.properties.message_id)


class Broker:
    """Keeps what is published, and answers each with `confirm`; a test that wants to answer by itself puts another in its place."""

    def __init__(self) -> None:
        self.published: list[Published] = []
        self.on_publish: Callable[[Published], None] = self.confirm
        self._writer: asyncio.StreamWriter | None = None
        self._method: Basic.Publish | None = None
        self._header: ContentHeader | None = None
        self._body = b""

    @contextlib.asynccontextmanager
    async def serving(self) -> AsyncIterator[str]:
        """Its address."""
        server = await asyncio.start_server(self._accept, LOOPBACK, 0)
        async with server:
            yield f"amqp://threads:secret@{LOOPBACK}:{server.sockets[0].getsockname()[1]}/"

    @property
    def ids(self) -> list[str]:
        return [published.message_id for published in self.published]

    def leave(self, published: Published) -> None:
        """No answer for now."""

    def confirm(self, published: Published) -> None:
        self._say(1, Basic.Ack(published.tag))

    def give_back(self, published: Published) -> None:
        """As RabbitMQ does where nothing is bound: it returns the message, and confirms it."""
        method = published.method
        returned = Basic.Return(312, "NO_ROUTE", method.exchange, method.routing_key)
        self._say(1, returned, published.header, *([ContentBody(published.body)] if published.body else []))
        self.confirm(published)

    def block(self) -> None:
        self._say(0, Connection.Blocked("low on memory"))

    def unblock(self) -> None:
        self._say(0, Connection.Unblocked())

    def _say(self, channel: int, *frames: Frame | ContentHeader | ContentBody) -> None:
        assert self._writer is not None
        for frame in frames:
            self._writer.write(pamqp.frame.marshal(frame, channel))

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._writer, frames = writer, FrameReader()
        with contextlib.suppress(ConnectionError, asyncio.IncompleteReadError):
            await reader.readexactly(PROTOCOL_HEADER_BYTES)
            self._say(0, Connection.Start(server_properties=CAPABILITIES, mechanisms="PLAIN", locales="en_US"))
            while data := await reader.read(CHUNK_BYTES):
                for raw in frames.feed(data):
                    _, channel, frame = pamqp.frame.unmarshal(raw)
                    self._arrived(channel, frame)
        writer.close()

    def _arrived(self, channel: int, frame: object) -> None:
        if isinstance(frame, Basic.Publish):
            self._method, self._header, self._body = frame, None, b""
        elif isinstance(frame, ContentHeader):
            self._header = frame
        elif isinstance(frame, ContentBody):
            self._body += frame.value
        elif isinstance(frame, Frame) and type(frame) in METHODS:
            return self._say(channel, METHODS[type(frame)]())
        if self._header is not None and self._method is not None and len(self._body) == self._header.body_size:
            published = Published(len(self.published) + 1, self._method, self._header, self._body)
            self._method = self._header = None
            self.published.append(published)
            self.on_publish(published)
        return None
