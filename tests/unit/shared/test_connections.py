"""Connections that read from RabbitMQ go on trying, whatever answers at its address."""

import asyncio
import socket
import threading
from collections.abc import Iterator

import pytest
import uvloop

from shared import connections
from tests.servers.waiting import eventually


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

    # On the loop that the services run on: on asyncio's own, the end of the connection is always seen a moment later.
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(read_for_a_while())
