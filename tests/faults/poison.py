"""threads, killed by SIGKILL whenever a command says `kill -9 me`; given a defect of the decision by one that says `raise`, and of the
whole group by `raise for all`."""

import os
import signal
from collections.abc import Sequence
from typing import Any

from services.threads import __main__ as service
from services.threads import writer
from services.threads.commit import Committer, Group
from services.threads.thread import EntryCommand
from services.threads.work import Work
from shared.commands import PostMessage

KILLS = "kill -9 me"
RAISES = "raise"
RAISES_FOR_ALL = "raise for all"

original, decide = Committer.write, writer.decide


async def poisoned(self: Committer, works: Sequence[Work]) -> Group:
    texts = {work.command.data.text for work in works if isinstance(work.command, PostMessage)}
    if KILLS in texts:
        os.kill(os.getpid(), signal.SIGKILL)
    if RAISES_FOR_ALL in texts:
        raise RuntimeError("a defect")
    return await original(self, works)


def misjudged(command: EntryCommand, *state: Any, **about: Any) -> Any:
    if isinstance(command, PostMessage) and command.data.text == RAISES:
        raise RuntimeError("a defect")
    return decide(command, *state, **about)


if __name__ == "__main__":
    Committer.write = poisoned  # type: ignore[method-assign]  # a fault from outside
    writer.decide = misjudged  # the same
    service.main()
