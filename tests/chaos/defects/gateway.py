"""Defects of the gateway."""

import asyncio
import contextlib
from typing import Any, Final

from services.gateway import __main__ as service
from services.gateway.command_ids import CommandIds
from shared.pipeline import PipelinePublisher
from shared.publishing import NotPublished, PublishUnknown
from tests.chaos.defects import Apply, replace, seed

_under_way: set[Any] = set()


def accepts_before_the_confirm() -> None:
    def make(original: Any) -> Any:
        async def publish(self: Any, message: Any, **named: Any) -> None:
            async def unheard() -> None:
                with contextlib.suppress(NotPublished, PublishUnknown):
                    await original(self, message, **named)

            task = asyncio.ensure_future(unheard())
            _under_way.add(task)
            task.add_done_callback(_under_way.discard)

        return publish

    replace(PipelinePublisher, "publish", make)


def gives_every_request_a_new_id() -> None:
    def for_key(self: CommandIds, caller_key: str, *_args: Any) -> str:
        return self.new(caller_key)

    replace(CommandIds, "for_key", lambda _original: for_key)


DEFECTS: Final[dict[str, Apply]] = {
    "accepts before the confirm": accepts_before_the_confirm,
    "gives every request a new id": gives_every_request_a_new_id,
}


def main() -> None:
    seed(DEFECTS)
    service.main()


if __name__ == "__main__":
    main()
