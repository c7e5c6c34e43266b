"""Says what happens while it happens, and hears when it shall end."""

import contextlib
import signal
import sys
import time
from collections.abc import Callable
from types import FrameType
from typing import TextIO

from deploy.local.errors import Interrupted, StackError

POLL_EVERY_S = 0.05
END_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


class Progress:
    """Lines with the time since the start in front, written at once."""

    def __init__(self, out: TextIO = sys.stdout, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._out, self._clock, self._started_at = out, clock, clock()

    @property
    def elapsed_s(self) -> float:
        return self._clock() - self._started_at

    def say(self, text: str) -> None:
        self._print(f"[{self.elapsed_s:6.1f} s] {text}")

    def plain(self, text: str) -> None:
        self._print(text)

    def _print(self, text: str) -> None:
        """A terminal or pipe that is gone must not keep the stack from being stopped in order."""
        with contextlib.suppress(OSError):
            print(text, file=self._out, flush=True)


class EndRequest:
    """Remembers that an end was asked for. A flag and not an exception, so that nothing is interrupted half-way."""

    def __init__(self) -> None:
        self.requested = False

    def listen(self) -> None:
        for number in END_SIGNALS:
            signal.signal(number, self._heard)

    def _heard(self, number: int, frame: FrameType | None) -> None:
        self.requested = True


def wait_until(
    ready: Callable[[], bool], *, what: str, timeout_s: float, alive: Callable[[], None], end: EndRequest | None = None
) -> None:
    """Returns once `ready` says so; `alive` raises where waiting on is pointless.

    Raises StackError after `timeout_s`, Interrupted when the end was asked for.
    """
    deadline = time.monotonic() + timeout_s
    while not ready():
        alive()
        if end is not None and end.requested:
            raise Interrupted
        if time.monotonic() > deadline:
            raise StackError(f"{what} was not ready after {timeout_s:.0f} s")
        time.sleep(POLL_EVERY_S)
