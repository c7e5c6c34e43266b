"""threads, which never comes to an end with a command that says `hold me`."""

import asyncio
from collections.abc import Sequence

from services.threads import __main__ as service
from services.threads.commit import Committer, Group
from services.threads.work import Work
from shared.commands import PostMessage

HELD = "hold me"

original = Committer.write


async def holding(self: Committer, works: Sequence[Work]) -> Group:
    if any(isinstance(work.command, PostMessage) and work.command.data.text == HELD for work in works):
        await asyncio.Event().wait()
    return await original(self, works)


if __name__ == "__main__":
    Committer.write = holding  # type: ignore[method-assign] - a fault from outside
    service.main()
