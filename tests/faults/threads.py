"""threads with named points: `FAULT_FILE=… python -m tests.faults.threads`, or killed at one from its start on (`FAULT_AT=after inserted`)."""

import os
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from pymongo.errors import AutoReconnect

from services.threads import __main__ as service
from services.threads.commit import Committer
from services.threads.consumers import CommandConsumer
from services.threads.entries import Log
from services.threads.mark_runs import MarkRuns
from services.threads.marks import Marks
from services.threads.outcomes import Outcomes
from services.threads.projection import Projection
from services.threads.replies import Replies
from services.threads.subscription import Subscription
from shared.groups import GroupPublisher
from shared.publishing import NotPublished, Outgoing
from shared.topology import EVENTS
from tests.faults.points import FILE, Orders, Point, names


def _has_event(_publisher: GroupPublisher, messages: Sequence[Outgoing], **_named: object) -> bool:
    return any(message.exchange == EVENTS for message in messages)


def _has_marks(_committer: Committer, messages: Sequence[Outgoing], **_named: object) -> bool:
    return any(message.exchange == EVENTS and message.routing_key == "thread.read" for message in messages)


def _away() -> Exception:
    return AutoReconnect("a fault from outside")


def _closed() -> Exception:
    return ConnectionResetError("a fault from outside")


def _unconfirmed() -> Exception:
    return NotPublished("a fault from outside")


POINTS: Final = (
    Point("delivered", CommandConsumer, "_arrive", _closed),
    Point("inserted", Log, "_insert", _away),
    Point("projected", Projection, "write_entries", _away),
    Point("answered", Replies, "send", _away),
    Point("published", GroupPublisher, "publish_group", _unconfirmed, counts=_has_event),
    Point("marked", Log, "mark_finished", _away),
    Point("acknowledged", Subscription, "acknowledge", _closed),
)
# Beside "projected", of a post that says what its author had seen.
SEEN_POINTS: Final = (Point("marks advanced", Marks, "advance", _away),)
# Of a command that makes no entry. Posts never come here, so the grid's cells do not.
EFFECT_POINTS: Final = (
    Point("run begun", MarkRuns, "go_on", _away),
    Point("slice planned", MarkRuns, "plan", _away),
    Point("slice marked", Marks, "set", _away),
    Point("slice told", Committer, "_publish", _unconfirmed, counts=_has_marks),
    Point("slice stored", MarkRuns, "advance", _away),
    Point("run ended", MarkRuns, "end", _away),
    Point("outcome kept", Outcomes, "keep_applied", _away),
)
KILL_POINTS: Final = ("after delivered", *(f"after {point.name}" for point in (*POINTS[1:], *SEEN_POINTS)))


def attach() -> None:
    for point in (*POINTS, *SEEN_POINTS, *EFFECT_POINTS):
        point.attach()


def main() -> None:
    if (point := os.environ.get("FAULT_AT")) is not None:
        if point not in names([*POINTS, *SEEN_POINTS, *EFFECT_POINTS]):
            raise SystemExit(f"no point is called {point!r}")
        os.environ[FILE] = str(Path(tempfile.mkdtemp(prefix="fault-")) / "order")
        Orders(Path(os.environ[FILE])).give(point, "kill -9")
    attach()
    service.main()


if __name__ == "__main__":
    main()
