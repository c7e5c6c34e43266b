"""threads, ended by SIGKILL at a named point: `FAULT_AT=inserted python -m tests.faults.threads`."""

import os
import signal
from collections.abc import Awaitable, Callable
from typing import Any

from services.threads import __main__ as service
from services.threads.commit import Committer
from services.threads.entries import Log
from services.threads.finish import Finisher
from services.threads.projection import Projection
from services.threads.subscription import Subscription

# point: the class and method after (or, with "before", in front of) which the process ends
POINTS: dict[str, tuple[type, str, str]] = {
    "delivered": (Committer, "commit", "before"),
    "inserted": (Log, "_insert", "after"),
    "projected": (Projection, "write_entries", "after"),
    "published": (Finisher, "_publish_all", "after"),
    "marked": (Log, "mark_finished", "after"),
    "acknowledged": (Subscription, "acknowledge", "after"),
}


def die() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def wrap(point: str) -> None:
    """Replaces the method by one that kills the process before or after it."""
    owner, name, when = POINTS[point]
    original: Callable[..., Awaitable[Any]] = getattr(owner, name)

    async def deadly(self: Any, *args: Any, **named: Any) -> Any:
        if when == "before":
            die()
        result = await original(self, *args, **named)
        die()
        return result

    setattr(owner, name, deadly)


if __name__ == "__main__":
    wrap(os.environ["FAULT_AT"])
    service.main()
