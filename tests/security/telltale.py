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

RAISES, UNMAILABLE = "raise", "unmailable"

write, render, ask = Committer.write, Renderer.render, Threads.ask


async def _write(self: Committer, works: Sequence[Work]) -> Group:
    asked = [work.message.body.decode() for work in works]
    if any(RAISES in body for body in asked):
        raise RuntimeError(f"a write was refused: {asked}")
    return await write(self, works)


def _render(self: Renderer, mail: Any, *rest: Any, **named: Any) -> Any:
    if UNMAILABLE in str(mail):
        raise ValueError(f"a template failed: {mail}")
    return render(self, mail, *rest, **named)


async def _ask(self: Threads, path: str, token: str, **named: Any) -> Any:
    if RAISES in str(named):
        raise LookupError(f"{path} {token} {named}")
    return await ask(self, path, token, **named)


if __name__ == "__main__":
    Committer.write = _write  # type: ignore[method-assign] - a fault from outside
    Renderer.render = _render  # type: ignore[method-assign] - a fault from outside
    Threads.ask = _ask  # type: ignore[method-assign] - a fault from outside
    {"gateway": gateway, "notifier": notifier, "threads": threads}[os.environ["TELLTALE"]].main()
