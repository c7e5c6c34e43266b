"""Connections that read from RabbitMQ go on trying, whatever answers at its address."""

import asyncio
import socket
import threading
from collections.abc import Iterator

import aiormq.abc
import pytest

from shared import connections
from shared.connections import EndOfConnection, ended, keep_connected, opened_channel
from tests.servers.amqp_stub import StubBroker
from tests.servers.waiting import eventually
from tests.unit.shared.losses import AT_CONSUMING, MOMENTS, Outcomes, all_at_once, hurry, on_the_services_loop


class Doorman:
    """Accepts every connection and hangs up at once, as a proxy does whose server is away."""

    def __init__(self) -> None:
        self.turned_away = 0
        self._socket = socket.create_server(("127.0.0.1", 0))
        self.port = self._socket.getsockname()[1]
        threading.Thread(target=self._run, daemon=True).start()

    def _run(self) -> None:
        while True:
            try:
                self._socket.accept()[0].close()
            except OSError:
                return
            self.turned_away += 1

    def close(self) -> None:
        self._socket.shutdown(socket.SHUT_RDWR)
        self._socket.close()


@pytest.fixture
def doorman() -> Iterator[Doorman]:
    doorman = Doorman()
    yield doorman
    doorman.close()


def test_a_proxy_whose_server_is_away_ends_no_reading(doorman: Doorman, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connections, "RECONNECT_S", 0.001)

    async def never(_: object) -> str:
        raise AssertionError("nobody answered")

    async def read_for_a_while() -> None:
        url = f"amqp://a:b@127.0.0.1:{doorman.port}/"
        reading = asyncio.create_task(connections.keep_connected(url, "test", never))
        await eventually(lambda: reading.done() or doorman.turned_away >= 100, what="a hundred attempts")
        assert not reading.done(), reading.exception()
        reading.cancel()
        await asyncio.gather(reading, return_exceptions=True)

    on_the_services_loop(read_for_a_while())


async def _consumes(connection: aiormq.abc.AbstractConnection) -> EndOfConnection:
    channel = await opened_channel(connection, publisher_confirms=False)
    await channel.basic_consume("a queue", _ignore)
    return await ended(connection, channel)


async def _ignore(_: aiormq.abc.DeliveredMessage) -> None:
    """Nothing is delivered here."""


async def _reading_goes_on_in(broker: StubBroker, serve: connections.Serve) -> None:
    async with broker:
        reading = asyncio.create_task(keep_connected(broker.url, "test", serve))
        await eventually(lambda: reading.done() or broker.consuming, what="a connection that consumes")
        assert not reading.done(), "keep_connected has ended"
        reading.cancel()
        await asyncio.wait([reading])
        assert reading.cancelled()


@pytest.fixture(scope="module")
def reading() -> Outcomes:
    return all_at_once(lambda moment: _reading_goes_on_in(moment(StubBroker()), _consumes), MOMENTS | AT_CONSUMING)


@pytest.mark.parametrize("moment", MOMENTS | AT_CONSUMING)
def test_reading_goes_on_after_a_loss_at_any_moment(moment: str, reading: Outcomes) -> None:
    assert reading[moment].result() is None


def test_reading_goes_on_after_a_defect_of_who_serves(monkeypatch: pytest.MonkeyPatch) -> None:
    hurry(monkeypatch)
    turns: list[int] = []

    async def serve(connection: aiormq.abc.AbstractConnection) -> EndOfConnection:
        turns.append(len(turns))
        if len(turns) == 1:
            raise KeyError("a defect")
        return await _consumes(connection)

    on_the_services_loop(_reading_goes_on_in(StubBroker(), serve))
