"""Live events from the real stream: resumed without a gap, bounded in every direction, and ended with the token."""

import asyncio
import signal
import socket
import time
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack

import aiohttp
import pytest

from deploy.local.ports import LOOPBACK
from shared import topology
from shared.events import MessagePosted
from tests.integration.gateway.conftest import NewGateway, guest, token
from tests.integration.gateway.listening import Happenings, Listener
from tests.integration.gateway.standins import QueryApi
from tests.servers.rabbitmq import SharedRabbit, Vhost
from tests.servers.services import ServiceProcess
from tests.servers.waiting import eventually, within
from tests.unit.gateway.happenings import BOB, opened, posted, read


@pytest.fixture
async def threads(vhost: Vhost) -> AsyncIterator[Happenings]:
    async with Happenings(vhost).publishing() as publishing:
        yield publishing


@pytest.fixture
async def live(new_gateway: NewGateway) -> ServiceProcess:
    """A gateway that follows the stream."""
    return await new_gateway().ready()


def seqs(listener: Listener) -> list[int]:
    return [block.data["seq"] for block in listener.events]


async def some_heard(listener: Listener, at_least: int) -> None:
    await eventually(lambda: len(set(listener.offsets)) >= at_least)


async def test_everybody_hears_what_they_may_see_and_nothing_else(
    live: ServiceProcess, threads: Happenings, session: aiohttp.ClientSession
) -> None:
    callers = {
        "customer": token(),
        "stranger": token(person="c-8"),
        "seller": token("seller", "login-1", seller_id="s-1"),
        "admin": token("admin", "a-1"),
    }
    listeners = {name: Listener(session, bearer) for name, bearer in callers.items()}
    async with AsyncExitStack() as stack:
        for listener in listeners.values():
            await stack.enter_async_context(listener.connected(live.url))
        await threads.happen(posted(seq=1))
        await threads.happen(opened(), read("seller", "seller:login-1"))
        await threads.happen(posted(BOB, seq=2))
        # The last event is of the stranger's own order: whoever has heard it has heard whatever else was for them.
        await threads.happen(_of_others(posted(seq=1), customer_id="c-8"))
        expected = {"customer": 3, "seller": 4, "admin": 4, "stranger": 1}
        await eventually(lambda: {name: len(each.events) for name, each in listeners.items()} == expected)
    kinds = {name: [block.event for block in each.events] for name, each in listeners.items()}
    assert kinds["customer"] == ["message.posted", "dispute.opened", "message.posted"]
    assert kinds["seller"].count("thread.read") == 1
    assert [block.data["order_id"] for block in listeners["stranger"].events] == ["1043"]


def _of_others(event: MessagePosted, *, customer_id: str) -> MessagePosted:
    """The same about an order of other people."""
    whose = {"order_id": "1043", "customer_id": customer_id, "seller_id": "s-8"}
    return event.model_copy(update={"subject": "1043", "data": event.data.model_copy(update=whose)})


async def test_a_client_that_was_cut_off_goes_on_without_a_gap_at_any_gateway(
    new_gateway: NewGateway, threads: Happenings, session: aiohttp.ClientSession
) -> None:
    gateways = [await new_gateway().ready(), await new_gateway().ready()]
    listener = Listener(session, token())
    seq = 0
    for turn in range(20):
        async with listener.connected(gateways[turn % 2].url):
            await threads.happen(*(posted(seq=seq + number) for number in range(1, 6)))
            seq += 5
            await some_heard(listener, seq - 2)
        await threads.happen(*(posted(seq=seq + number) for number in range(1, 6)))
        seq += 5
    async with listener.connected(gateways[0].url):
        await eventually(lambda: len(set(listener.offsets)) >= seq)
    assert sorted(set(seqs(listener))) == list(range(1, seq + 1))
    assert [block.event for block in listener.events].count("resync") == 0


async def test_what_the_ring_has_forgotten_comes_from_the_stream(
    new_gateway: NewGateway, threads: Happenings, session: aiohttp.ClientSession
) -> None:
    gateway = await new_gateway(LIVE_RING_BYTES="20000").ready()
    listener = Listener(session, token())
    async with listener.connected(gateway.url):
        await threads.happen(posted(seq=1))
        await eventually(lambda: listener.offsets == [0])
    await threads.happen(*(posted(seq=number) for number in range(2, 502)))
    async with listener.connected(gateway.url):
        await eventually(lambda: len(listener.events) >= 501)
        await threads.happen(posted(seq=502))
        await eventually(lambda: len(listener.events) >= 502)
    assert listener.offsets == list(range(502))


async def test_one_persons_slow_readers_hold_up_nobody_else(
    new_gateway: NewGateway, threads: Happenings, session: aiohttp.ClientSession
) -> None:
    gateway = await new_gateway(LIVE_RING_BYTES="20000").ready()
    listener = Listener(session, token(person="c-8"))
    async with listener.connected(gateway.url):
        await threads.happen(*(_posted(number, text="x" * 8_000) for number in range(1, 1_001)))
        await threads.happen(_posted(1, customer_id="c-8"))
        await eventually(lambda: len(listener.events) == 1)
    slow = [await _reads_nothing(gateway, token()) for _ in range(20)]
    again = Listener(session, token(person="c-8"))
    with within(5):
        async with again.connected(gateway.url, last_event_id="0"):
            await eventually(lambda: bool(again.events))
    for writer in slow:
        writer.close()
    assert [block.event for block in again.events] == ["message.posted"]


def _posted(seq: int, *, text: str = "Hello", customer_id: str = "c-7") -> MessagePosted:
    event = posted(seq=seq)
    entry = event.data.entry.model_copy(update={"text": text})
    return event.model_copy(update={"data": event.data.model_copy(update={"entry": entry, "customer_id": customer_id})})


async def _reads_nothing(gateway: ServiceProcess, bearer: str) -> asyncio.StreamWriter:
    """A connection that asks for everything since the first event, with a small buffer, and never reads."""
    own = socket.socket()
    own.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 2_048)
    own.connect((LOOPBACK, gateway.port))
    own.setblocking(False)
    reader, writer = await asyncio.open_connection(sock=own, limit=1_024)
    head = f"GET /v1/events HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {bearer}\r\nLast-Event-ID: 0\r\n\r\n"
    writer.write(head.encode())
    await writer.drain()
    await reader.readexactly(len("HTTP/1.1 200"))
    return writer


async def test_events_go_on_where_they_stopped_after_rabbitmq_closed_the_connection(
    live: ServiceProcess, threads: Happenings, session: aiohttp.ClientSession, rabbitmq: SharedRabbit, vhost: Vhost
) -> None:
    listener = Listener(session, token())
    async with listener.connected(live.url):
        await threads.happen(posted(seq=1))
        await eventually(lambda: listener.offsets == [0])
        rabbitmq.close_connections(vhost.name)
        async with Happenings(vhost).publishing() as again:
            await again.happen(*(posted(seq=number) for number in range(2, 12)))
        await eventually(lambda: len(listener.events) == 11)
    assert listener.offsets == list(range(11))


async def test_events_go_on_after_rabbitmq_was_killed(
    live: ServiceProcess, threads: Happenings, session: aiohttp.ClientSession, rabbitmq: SharedRabbit, vhost: Vhost
) -> None:
    listener = Listener(session, token())
    async with listener.connected(live.url):
        await threads.happen(posted(seq=1))
        await eventually(lambda: listener.offsets == [0])
        rabbitmq.kill()
        rabbitmq.start()
        async with Happenings(vhost).publishing() as again:
            await again.happen(*(posted(seq=number) for number in range(2, 12)))
        await eventually(lambda: len(listener.events) == 11, timeout_s=40)
    assert listener.offsets == list(range(11))


async def test_a_stream_that_is_another_one_makes_everybody_read_anew(
    live: ServiceProcess, threads: Happenings, session: aiohttp.ClientSession, vhost: Vhost
) -> None:
    listener = Listener(session, token())
    async with listener.connected(live.url):
        await threads.happen(*(posted(seq=number) for number in range(1, 4)))
        await eventually(lambda: len(listener.events) == 3)
        await made_anew(vhost)
        async with Happenings(vhost).publishing() as again:
            await again.happen(posted(seq=9))
        await eventually(lambda: "resync" in [block.event for block in listener.events], timeout_s=30)
        await eventually(lambda: listener.events[-1].event == "message.posted")
    assert listener.events[-1].data["seq"] == 9


async def made_anew(vhost: Vhost) -> None:
    async with await vhost.connect() as connection:
        channel = await connection.channel()
        stream = await channel.get_queue(topology.LIVE_STREAM, ensure=False)
        await stream.delete(if_unused=False, if_empty=False)
        stream = await channel.declare_queue(topology.LIVE_STREAM, durable=True, arguments={"x-queue-type": "stream"})
        await stream.bind(topology.EVENTS, "#")


@pytest.mark.parametrize("last_event_id", ["abc", "-1", "999999", "99999999999999999999"])
async def test_an_id_that_the_stream_does_not_have_is_answered_with_resync(
    live: ServiceProcess, threads: Happenings, session: aiohttp.ClientSession, last_event_id: str
) -> None:
    await threads.happen(posted(seq=1))
    listener = Listener(session, token())
    async with listener.connected(live.url, last_event_id=last_event_id):
        await eventually(lambda: listener.events)
        assert listener.events[0].event == "resync"
        await threads.happen(posted(seq=2))
        # The first event follows too, where the gateway had not read it yet.
        await eventually(lambda: listener.events[-1].data.get("seq") == 2)
    assert [block.event for block in listener.events].count("resync") == 1


async def test_an_id_of_a_gateway_that_is_a_moment_ahead_is_waited_for(
    live: ServiceProcess, threads: Happenings, session: aiohttp.ClientSession
) -> None:
    listener = Listener(session, token())
    async with listener.connected(live.url, last_event_id="1"):
        await threads.happen(posted(seq=1))
        await threads.happen(posted(seq=2))
        await threads.happen(posted(seq=3))
        await eventually(lambda: len(listener.events) == 1)
    assert (listener.offsets, seqs(listener)) == ([2], [3])


async def test_the_connection_ends_with_the_token(live: ServiceProcess, session: aiohttp.ClientSession) -> None:
    ends_at = time.time() + 2
    listener = Listener(session, token(exp=ends_at))
    async with listener.connected(live.url):
        assert listener.status == 200
        await eventually(lambda: listener.ended)
    assert time.time() >= int(ends_at)


async def test_a_reader_that_does_not_read_is_cut_off_and_the_others_go_on(
    live: ServiceProcess, threads: Happenings, session: aiohttp.ClientSession
) -> None:
    host, port = "127.0.0.1", live.port
    reader, writer = await asyncio.open_connection(host, port, limit=1024)
    writer.write(f"GET /v1/events HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {token()}\r\n\r\n".encode())
    await reader.readuntil(b"\r\n\r\n")
    quick = Listener(session, token())
    async with quick.connected(live.url):
        long = posted(seq=1)
        entry = long.data.entry.model_copy(update={"text": "x" * 10_000})
        big = long.model_copy(update={"data": long.data.model_copy(update={"entry": entry})})
        published = 0
        while b"parley_gateway_live_cut_off_total 1.0" not in await metrics(live, session) and published < 3_000:
            await threads.happen(*(big for _ in range(100)))
            published += 100
            await some_heard(quick, published)
        assert published < 3_000
        assert not quick.ended
    writer.close()


async def metrics(gateway: ServiceProcess, session: aiohttp.ClientSession) -> bytes:
    async with session.get(f"{gateway.url}/metrics") as response:
        return await response.read()


async def test_a_guest_listens_to_their_order_where_threads_says_that_they_may(
    live: ServiceProcess, threads: Happenings, session: aiohttp.ClientSession, query_api: QueryApi
) -> None:
    listener = Listener(session, guest())
    async with listener.connected(live.url):
        assert listener.status == 404
    query_api.answers["/v1/orders/1042"] = (200, b"{}", {})
    async with listener.connected(live.url):
        await threads.happen(posted(BOB, seq=1))
        await eventually(lambda: seqs(listener) == [1])


async def test_a_stopping_gateway_ends_its_live_connections_at_once(
    new_gateway: NewGateway, session: aiohttp.ClientSession
) -> None:
    """It does not wait for them: the grace period would outlast the time that it is given here."""
    live = await new_gateway(SHUTDOWN_GRACE_S="300").ready()
    listener = Listener(session, token())
    async with listener.connected(live.url):
        await eventually(lambda: listener.blocks)
        await asyncio.to_thread(live.term, timeout_s=40)
        assert live.exit_status != -signal.SIGKILL
        await eventually(lambda: listener.ended)


async def test_a_thousand_idle_connections_cost_less_than_100_mb(
    live: ServiceProcess, threads: Happenings, session: aiohttp.ClientSession, record_property: object
) -> None:
    before = resident_bytes(live)
    listeners = [Listener(session, token(person=f"c-{number}")) for number in range(1_000)]
    async with AsyncExitStack() as stack:
        for listener in listeners:
            await stack.enter_async_context(listener.connected(live.url))
        await eventually(lambda: all(listener.status == 200 for listener in listeners))
        cost = resident_bytes(live) - before
        print(f"1,000 idle live connections: {cost / 1e6:.1f} MB")
        await threads.happen(posted(seq=1))
        await eventually(lambda: seqs(listeners[7]) == [1])
    assert cost < 100_000_000


def resident_bytes(gateway: ServiceProcess) -> int:
    with open(f"/proc/{gateway.pid}/status") as status:
        line = next(line for line in status if line.startswith("VmRSS"))
    return int(line.split()[1]) * 1024


async def test_nobody_listens_before_the_stream_is_known(
    new_gateway: NewGateway, rabbitmq: SharedRabbit, session: aiohttp.ClientSession
) -> None:
    rabbitmq.kill()
    gateway = new_gateway()
    await eventually(lambda: asyncio.to_thread(gateway.status_of, "/livez"))
    listener = Listener(session, token())
    async with listener.connected(gateway.url):
        assert listener.status == 503


async def test_connections_are_bounded(new_gateway: NewGateway, session: aiohttp.ClientSession) -> None:
    gateway = await new_gateway(LIVE_MAX_CONNECTIONS="2", LIVE_MAX_CONNECTIONS_PER_PERSON="1").ready()
    listeners = [Listener(session, token(person=person)) for person in ("c-7", "c-7", "c-8", "c-9")]
    async with AsyncExitStack() as stack:
        for listener in listeners:
            await stack.enter_async_context(listener.connected(gateway.url))
        assert [listener.status for listener in listeners] == [200, 429, 200, 503]
    again = Listener(session, token())

    async def admitted() -> bool:
        async with again.connected(gateway.url):
            return again.status == 200

    await eventually(admitted)
