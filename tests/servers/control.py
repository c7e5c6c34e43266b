"""What a test may do to a server: stop it, kill it, freeze it, and bring it back."""

from typing import Any, Protocol

import pytest


class Control(Protocol):
    """`start` returns when clients can connect again, at the same address and with the data that was safe."""

    def start(self) -> None: ...
    def stop(self) -> None: ...
    def kill(self) -> None: ...
    def pause(self) -> None: ...
    def resume(self) -> None: ...


class NotOurs:
    """The server was given by address (TEST_AMQP_URL, TEST_MONGO_URL): nobody may stop it, so such tests are skipped."""

    def start(self) -> None:
        self._skip()

    def stop(self) -> None:
        self._skip()

    def kill(self) -> None:
        self._skip()

    def pause(self) -> None:
        self._skip()

    def resume(self) -> None:
        self._skip()

    @staticmethod
    def _skip() -> None:
        pytest.skip("this test stops a server, and the one it has was given by its address")


class InContainer:
    """A server in a Docker container, whose ports were bound to fixed ones so that a restart keeps the address."""

    def __init__(self, container: Any, wait_ready: Any) -> None:
        self._container, self._wait_ready = container, wait_ready

    def start(self) -> None:
        self._container.start()
        self._wait_ready()

    def stop(self) -> None:
        self._container.stop()

    def kill(self) -> None:
        self._container.kill()

    def pause(self) -> None:
        self._container.pause()

    def resume(self) -> None:
        self._container.unpause()
