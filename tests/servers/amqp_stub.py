"""A small AMQP 0-9-1 server for moments that no proxy can hit: it answers as RabbitMQ does, until a fault that is set for a moment."""

import asyncio
import struct
from collections.abc import Callable
from dataclasses import dataclass, field
from types import TracebackType
from typing import Any, Final, Self

import pamqp.frame
from pamqp import commands
from pamqp.body import ContentBody
from pamqp.common import FieldTable
from pamqp.header import ContentHeader
from pamqp.heartbeat import Heartbeat

from deploy.local.ports import LOOPBACK
from tests.servers.amqp_frames import HEADER_BYTES
from tests.servers.pace import lasting

PROTOCOL_BYTES: Final = 8
BEAT_EVERY_S: Final = 0.1
CAPABILITIES: Final[FieldTable] = {"publisher_confirms": True, "basic.nack": True, "consumer_cancel_notify": True}
ANSWERS: Final[dict[type, Callable[[Any], Any]]] = {
    commands.Connection.StartOk: lambda _: commands.Connection.Tune(2047, 131_072, 60),
    commands.Connection.Open: lambda _: commands.Connection.OpenOk(),
    commands.Connection.Close: lambda _: commands.Connection.CloseOk(),
    commands.Channel.Open: lambda _: commands.Channel.OpenOk(),
    commands.Channel.Close: lambda _: commands.Channel.CloseOk(),
    commands.Confirm.Select: lambda _: commands.Confirm.SelectOk(),
    commands.Exchange.Declare: lambda _: commands.Exchange.DeclareOk(),
    commands.Exchange.Unbind: lambda _: commands.Exchange.UnbindOk(),
    commands.Queue.Declare: lambda asked: commands.Queue.DeclareOk(asked.queue, 0, 0),
    commands.Basic.Qos: lambda _: commands.Basic.QosOk(),
    commands.Basic.Consume: lambda asked: commands.Basic.ConsumeOk(asked.consumer_tag),
    commands.Basic.Cancel: lambda asked: commands.Basic.CancelOk(asked.consumer_tag),
}


@dataclass
class Peer:
    """One client's connection, as the server sees it."""

    writer: asyncio.StreamWriter
    is_silent: bool = False
    channel: int = 0
    consumer_tag: str | None = None
    acknowledged: list[int] = field(default_factory=list)
    channels_closed: list[int] = field(default_factory=list)
    delivered: int = 0

    def say(self, channel: int, *frames: Any) -> None:
        if not self.is_silent and not self.writer.is_closing():
            self.writer.write(b"".join(pamqp.frame.marshal(frame, channel) for frame in frames))

    def answer(self, channel: int, asked: Any) -> None:
        if type(asked) in ANSWERS:
            self.say(channel, ANSWERS[type(asked)](asked))

    def note(self, channel: int, asked: Any) -> None:
        match asked:
            case commands.Basic.Consume():
                self.channel, self.consumer_tag = channel, asked.consumer_tag
            case commands.Basic.Cancel():
                self.consumer_tag = None
            case commands.Channel.Close():
                self.channels_closed.append(channel)
            case commands.Basic.Ack():
                self.acknowledged.append(asked.delivery_tag)

    def deliver(self, body: bytes, properties: commands.Basic.Properties) -> None:
        self.delivered += 1
        self.say(
            self.channel,
            commands.Basic.Deliver(self.consumer_tag or "", self.delivered, False, "parley.commands", "message.post"),
            ContentHeader(body_size=len(body), properties=properties),
            ContentBody(body),
        )


Fault = Callable[[Peer, int, Any], None]


def resets(peer: Peer, _channel: int, _asked: Any) -> None:
    peer.writer.transport.abort()


def falls_silent(peer: Peer, _channel: int, _asked: Any) -> None:
    """The connection stays open, and nothing more comes, no heartbeat either."""
    peer.is_silent = True


def closes(peer: Peer, _channel: int, _asked: Any) -> None:
    peer.say(0, commands.Connection.Close(320, "CONNECTION_FORCED", 0, 0))


def answers_and(then: Fault) -> Fault:
    def fault(peer: Peer, channel: int, asked: Any) -> None:
        peer.answer(channel, asked)
        then(peer, channel, asked)

    return fault


def hangs_up(peer: Peer, _channel: int, _asked: Any) -> None:
    peer.writer.close()


class StubBroker:
    """`async with StubBroker() as broker`, on the event loop of its clients. A fault strikes once, at the nth method of its kind."""

    def __init__(self) -> None:
        self.peers: list[Peer] = []
        self.prefetch = 0
        self._faults: list[tuple[type, int, Fault]] = []
        self._seen: dict[type, int] = {}
        self._serving: set[asyncio.Task[None]] = set()
        self._server: asyncio.Server | None = None

    def fault(self, at: type, fault: Fault, *, nth: int = 1) -> Self:
        self._faults.append((at, nth, fault))
        return self

    @property
    def url(self) -> str:
        assert self._server is not None
        return f"amqp://threads:password@{LOOPBACK}:{self._server.sockets[0].getsockname()[1]}/"

    @property
    def open(self) -> list[Peer]:
        return [peer for peer in self.peers if not peer.writer.is_closing() and not peer.is_silent]

    @property
    def consuming(self) -> list[Peer]:
        return [peer for peer in self.open if peer.consumer_tag is not None]

    async def __aenter__(self) -> Self:
        self._server = await asyncio.start_server(self._accept, LOOPBACK, 0)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        assert self._server is not None
        self._server.close()
        for serving in self._serving:
            serving.cancel()
        await asyncio.gather(*self._serving, return_exceptions=True)

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        peer = Peer(writer)
        self.peers.append(peer)
        both = [asyncio.create_task(self._serve(peer, reader)), asyncio.create_task(_beat(peer))]
        self._serving.update(both)
        await asyncio.wait(both, return_when=asyncio.FIRST_COMPLETED)
        peer.consumer_tag = None
        for task in both:
            task.cancel()
        await asyncio.gather(*both, return_exceptions=True)
        self._serving.difference_update(both)
        writer.close()

    async def _serve(self, peer: Peer, reader: asyncio.StreamReader) -> None:
        await reader.readexactly(PROTOCOL_BYTES)
        peer.say(0, commands.Connection.Start(server_properties={"capabilities": CAPABILITIES}, mechanisms="PLAIN"))
        while True:
            head = await reader.readexactly(HEADER_BYTES)
            _, channel, size = struct.unpack(">BHI", head)
            _, _, frame = pamqp.frame.unmarshal(head + await reader.readexactly(size + 1))
            self._got(peer, channel, frame)

    def _got(self, peer: Peer, channel: int, frame: Any) -> None:
        kind = type(frame)
        self._seen[kind] = self._seen.get(kind, 0) + 1
        for at, nth, fault in self._faults:
            if at is kind and nth == self._seen[kind]:
                return fault(peer, channel, frame)
        if isinstance(frame, commands.Basic.Qos):
            self.prefetch = frame.prefetch_count or 0
        peer.note(channel, frame)
        return peer.answer(channel, frame)


async def _beat(peer: Peer) -> None:
    while True:
        await lasting(BEAT_EVERY_S)
        peer.say(0, Heartbeat())
