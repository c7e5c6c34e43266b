"""A service with defects whose exceptions quote what people wrote, as a refused write or a failed template does.

`TELLTALE=threads python -m tests.security.telltale`; whoever writes RAISES or UNMAILABLE meets them.
"""

import os
from collections.abc import Sequence
from typing import Any

from services.gateway import __main__ as gateway
from services.gateway.threads import Threads
from services.notifier import __main__ as notifier
from services.notifier.rendering import Renderer
from services.threads import __main__ as threads
from services.threads.commit import Committer, Group
from services.threads.work import Work
from tests.faults.replacing import replace

RAISES, UNMAILABLE = "raise", "unmailable"


def _write(write: Any) -> Any:
    async def telling(self: Committer, works: Sequence[Work]) -> Group:
        asked = [work.message.body.decode() for work in works]
        if any(RAISES in body for body in asked):
            raise RuntimeError(f"a write was refused: {asked}")
        group: Group = await write(self, works)
        return group

    return telling


def _render(render: Any) -> Any:
    def telling(self: Renderer, mail: Any, *rest: Any, **named: Any) -> Any:
        if UNMAILABLE in str(mail):
            raise ValueError(f"a template failed: {mail}")
        return render(self, mail, *rest, **named)

    return telling


def _ask(ask: Any) -> Any:
    async def telling(self: Threads, path: str, token: str, **named: Any) -> Any:
        if RAISES in f"{path} {named}":
            raise LookupError(f"{path} {token} {named}")
        return await ask(self, path, token, **named)

    return telling


if __name__ == "__main__":
    replace(Committer, "write", _write)
    replace(Renderer, "render", _render)
    replace(Threads, "ask", _ask)
    {"gateway": gateway, "notifier": notifier, "threads": threads}[os.environ["TELLTALE"]].main()
