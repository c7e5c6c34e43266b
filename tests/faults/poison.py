"""threads, killed by SIGKILL whenever a command says `kill -9 me`, and given a defect by one that says `raise`."""

import os
import signal
from collections.abc import Sequence

from services.threads import __main__ as service
from services.threads.commit import Committer, Group
from services.threads.work import Work
from shared.commands import PostMessage

KILLS = "kill -9 me"
RAISES = "raise"

original = Committer.write


async def poisoned(self: Committer, works: Sequence[Work]) -> Group:
    texts = {work.command.data.text for work in works if isinstance(work.command, PostMessage)}
    if KILLS in texts:
        os.kill(os.getpid(), signal.SIGKILL)
    if RAISES in texts:
        raise RuntimeError("a defect")
    return await original(self, works)


if __name__ == "__main__":
    Committer.write = poisoned  # type: ignore[method-assign]  # a fault from outside
    service.main()
