"""The proxy does to what passes through it what it is told to do."""

import asyncio
import contextlib
import struct
from collections.abc import AsyncIterator, Iterator

import aio_pika
import pytest

from deploy.local.ports import LOOPBACK
from shared.topology import COMMANDS, COMMANDS_QUEUE
from tests.servers.amqp_frames import FrameReader, is_confirm
from tests.servers.proxy import Proxy, ProxyLoop
from tests.servers.rabbitmq import Vhost
from tests.servers.waiting import eventually


@pytest.fixture
def runner() -> Iterator[ProxyLoop]:
    runner = ProxyLoop()
    yield runner
    runner.close()


@pytest.fixture
async def echo() -> AsyncIterator[int]:
    """The port of a server that says what it hears."""

    async def say(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(OSError):
            while data := await reader.read(1000):
                writer.write(data)
        writer.close()

    server = await asyncio.start_server(say, LOOPBACK, 0)
    yield server.sockets[0].getsockname()[1]
    server.close()


async def said_back(proxy: Proxy, words: bytes) -> bytes:
    reader, writer = await asyncio.open_connection(LOOPBACK, proxy.port)
    writer.write(words)
    try:
        async with asyncio.timeout(5):
            return await reader.readexactly(len(words))
    finally:
        writer.transport.abort()


@pytest.fixture
def proxy(runner: ProxyLoop, echo: int) -> Iterator[Proxy]:
    proxy = Proxy(runner, echo).start()
    yield proxy
    proxy.close()


async def test_what_is_sliced_and_delayed_arrives_whole(proxy: Proxy) -> None:
    proxy.slice(1)
    proxy.delay(0.01)

    assert await said_back(proxy, b"all of it") == b"all of it"


async def test_what_is_held_back_arrives_when_it_is_healed(proxy: Proxy) -> None:
    proxy.stall()
    saying = asyncio.create_task(said_back(proxy, b"patience"))
    done, _ = await asyncio.wait([saying], timeout=0.2)
    assert not done

    proxy.heal()

    assert await saying == b"patience"


async def test_an_open_connection_is_cut_and_a_new_one_passes(proxy: Proxy) -> None:
    reader, writer = await asyncio.open_connection(LOOPBACK, proxy.port)
    writer.write(b"x")
    await reader.readexactly(1)

    proxy.cut()

    with pytest.raises((ConnectionError, asyncio.IncompleteReadError)):
        await reader.readexactly(1)
    assert await said_back(proxy, b"again") == b"again"


async def test_who_is_refused_is_hung_up_on(proxy: Proxy) -> None:
    proxy.refuse()

    with pytest.raises((ConnectionError, asyncio.IncompleteReadError)):
        await said_back(proxy, b"hello")


async def test_a_target_that_is_away_is_passed_over(runner: ProxyLoop, echo: int) -> None:
    proxy = Proxy(runner, 1, echo).start()

    assert [await said_back(proxy, b"there") for _ in range(2)] == [b"there", b"there"]
    proxy.close()


async def test_swallowed_confirms_are_missed_and_the_message_is_there(runner: ProxyLoop, vhost: Vhost) -> None:
    proxy = Proxy(runner, vhost.server.address.port, speaks_amqp=True).start()
    url = vhost.url("gateway").replace(f":{vhost.server.address.port}/", f":{proxy.port}/")
    async with await aio_pika.connect(url, timeout=10) as connection:
        channel = await connection.channel(publisher_confirms=True)
        exchange = await channel.get_exchange(COMMANDS, ensure=False)
        message = aio_pika.Message(b"{}", user_id="gateway", delivery_mode=aio_pika.DeliveryMode.PERSISTENT)
        proxy.swallow_confirms()

        with pytest.raises(TimeoutError):
            await exchange.publish(message, "message.post", timeout=1)

    async def stored() -> bool:
        return await vhost.depth(COMMANDS_QUEUE) == 1

    await eventually(stored, what="the message that was never confirmed")
    assert proxy.swallowed == 1
    proxy.close()


def frame(kind: int, payload: bytes) -> bytes:
    return struct.pack(">BHL", kind, 1, len(payload)) + payload + b"\xce"


def test_frames_are_whole_however_the_bytes_come() -> None:
    ack, body = frame(1, struct.pack(">HHQB", 60, 80, 7, 0)), frame(3, b"a body with \xce in it")
    reader = FrameReader()

    frames = [found for byte in ack + body + ack for found in reader.feed(bytes([byte]))]

    assert frames == [ack, body, ack]
    assert [is_confirm(each) for each in frames] == [True, False, True]
