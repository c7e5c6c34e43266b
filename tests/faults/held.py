"""threads, which never comes to an end with a command that says `hold me`."""

import asyncio
from collections.abc import Sequence
from typing import Any

from services.threads import __main__ as service
from services.threads.commit import Committer, Group
from services.threads.work import Work
from shared.commands import PostMessage
from tests.faults.replacing import replace

HELD = "hold me"


def _holding(write: Any) -> Any:
    async def holding(self: Committer, works: Sequence[Work]) -> Group:
        if any(isinstance(work.command, PostMessage) and work.command.data.text == HELD for work in works):
            await asyncio.Event().wait()
        group: Group = await write(self, works)
        return group

    return holding


if __name__ == "__main__":
    replace(Committer, "write", _holding)
    service.main()
