"""Named points in a service, wrapped from outside: at one of them the process is killed, ended, frozen, or meets an error, once.

What shall happen stands in a file (FAULT_FILE) that is written while the service runs. Whichever process reaches the point first takes
the order, by renaming the file; so several processes may share one. A name that is gone from the service stops the wrapper at its start.
"""

import functools
import inspect
import os
import signal
from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from itertools import count
from pathlib import Path
from typing import Any, Final

from tests.servers.pace import lasting

FILE: Final = "FAULT_FILE"
SIGNALS: Final[dict[str, signal.Signals]] = {
    "kill -9": signal.SIGKILL,
    "SIGTERM": signal.SIGTERM,
    "SIGSTOP": signal.SIGSTOP,
}
EXCEPTION: Final = "exception"
DEFECT: Final = "defect"
FAULTS: Final = (*SIGNALS, EXCEPTION, DEFECT)

# Long enough for the server to see SIGTERM, and to begin its shutdown while the work still stands at the point.
SIGTERM_HOLD_S: Final = 0.3


class Defective(RuntimeError):
    """An error of the service's own making, which nothing in it expects."""


def always(*_args: object, **_named: object) -> bool:
    return True


@dataclass(frozen=True)
class Point:
    """A step of a service: the method of a class that takes it, and the error that it may meet in the world.

    `counts` says, by the arguments, which of the calls are meant; `happened` says, by the result, whether the step was taken.
    """

    name: str
    owner: type
    method: str
    error: Callable[[], Exception]
    counts: Callable[..., bool] = always
    happened: Callable[[Any], bool] = always

    @property
    def names(self) -> tuple[str, str]:
        return f"before {self.name}", f"after {self.name}"

    def attach(self) -> None:
        """Wraps the method. Raises LookupError where there is none: then the table of points must be mended."""
        original = method(self.owner, self.method, self.name)
        wrap = self._asynchronous if inspect.iscoroutinefunction(original) else self._synchronous
        setattr(self.owner, self.method, functools.wraps(original)(wrap(original)))

    def _asynchronous(self, original: Callable[..., Any]) -> Callable[..., Any]:
        async def wrapped(*args: Any, **named: Any) -> Any:
            if not self.counts(*args, **named):
                return await original(*args, **named)
            await reach(f"before {self.name}", self.error)
            result = await original(*args, **named)
            if self.happened(result):
                await reach(f"after {self.name}", self.error)
            return result

        return wrapped

    def _synchronous(self, original: Callable[..., Any]) -> Callable[..., Any]:
        def wrapped(*args: Any, **named: Any) -> Any:
            if not self.counts(*args, **named):
                return original(*args, **named)
            happen(f"before {self.name}", self.error)
            result = original(*args, **named)
            happen(f"after {self.name}", self.error)
            return result

        return wrapped


def method(owner: type, name: str, point: str) -> Callable[..., Any]:
    found: Callable[..., Any] | None = vars(owner).get(name)
    if found is None:
        raise LookupError(f"{owner.__qualname__}.{name} is gone: where is `{point}` now?")
    return found


def names(points: Iterable[Point]) -> list[str]:
    return [name for point in points for name in point.names]


async def reach(point: str, error: Callable[[], Exception]) -> None:
    """Does what was ordered for this point, if anything was."""
    if happen(point, error) == "SIGTERM":
        await lasting(SIGTERM_HOLD_S)


def happen(point: str, error: Callable[[], Exception]) -> str | None:
    fault = _taken(point)
    if fault in SIGNALS:
        os.kill(os.getpid(), SIGNALS[fault])
    elif fault == EXCEPTION:
        raise error()
    elif fault == DEFECT:
        raise Defective(f"a defect {point}")
    return fault


def _taken(point: str) -> str | None:
    """The fault that was ordered for this point, which nobody else gets then."""
    path = Path(os.environ[FILE])
    try:
        order = path.read_text()
        wanted, fault, skip, _ = order.split("|")
        if wanted != point:
            return None
        _reached[order] += 1
        if _reached[order] <= int(skip):
            return None
        path.rename(taken_file(path, os.getpid()))
    except FileNotFoundError:
        return None
    return fault


_reached: Counter[str] = Counter()


class Orders:
    """The harness's end: one order at a time, and who took it."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._number = count(1)

    def give(self, point: str, fault: str, *, skip: int = 0) -> None:
        """Whoever reaches the point first takes the order; with `skip`, who has passed there so often since."""
        for old in self.path.parent.glob(f"{self.path.name}.taken.*"):
            old.unlink()
        new = self.path.with_name(f"{self.path.name}.new")
        new.write_text(f"{point}|{fault}|{skip}|{next(self._number)}")
        new.rename(self.path)

    def withdraw(self) -> None:
        self.path.unlink(missing_ok=True)

    @property
    def taken_by(self) -> int | None:
        """The process id of whoever reached the point; None as long as nobody has."""
        found = [int(each.suffix.removeprefix(".")) for each in self.path.parent.glob(f"{self.path.name}.taken.*")]
        return found[0] if found else None


def taken_file(path: Path, pid: int) -> Path:
    return path.with_name(f"{path.name}.taken.{pid}")
