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
from tests.faults.replacing import replace

KILLS = "kill -9 me"
RAISES = "raise"
RAISES_FOR_ALL = "raise for all"


def _poisoned(write: Any) -> Any:
    async def poisoned(self: Committer, works: Sequence[Work]) -> Group:
        texts = {work.command.data.text for work in works if isinstance(work.command, PostMessage)}
        if KILLS in texts:
            os.kill(os.getpid(), signal.SIGKILL)
        if RAISES_FOR_ALL in texts:
            raise RuntimeError("a defect")
        group: Group = await write(self, works)
        return group

    return poisoned


def _misjudged(decide: Any) -> Any:
    def misjudged(command: EntryCommand, *state: Any, **about: Any) -> Any:
        if isinstance(command, PostMessage) and command.data.text == RAISES:
            raise RuntimeError("a defect")
        return decide(command, *state, **about)

    return misjudged


if __name__ == "__main__":
    replace(Committer, "write", _poisoned)
    replace(writer, "decide", _misjudged)
    service.main()
