"""Defects of the notifier."""

import asyncio
from dataclasses import replace as changed
from typing import Any, Final
from uuid import uuid4

from services.notifier import __main__ as service
from services.notifier import indexes, mails, steps
from services.notifier.consumers import Notifications
from services.notifier.mails import Lease, Mails
from services.notifier.outcomes import Sent
from services.notifier.rendering import Rendered, Renderer
from services.notifier.taking import Takings
from tests.chaos.defects import Apply, replace, seed
from tests.faults import notifier

_under_way: set[Any] = set()


def leases_without_a_fence() -> None:
    replace(
        mails, "_held", lambda _original: lambda leases, _states: {"_id": {"$in": [each.mail_id for each in leases]}}
    )


def gives_each_try_a_new_message_id() -> None:
    def make(original: Any) -> Any:
        def as_it_was(self: Renderer, mail: Any, content: bytes) -> Rendered:
            kept: Rendered = original(self, mail, content)
            fresh = f"<{uuid4().hex}@{kept.message_id.rpartition('@')[2]}"
            return changed(
                kept, content=kept.content.replace(kept.message_id.encode(), fresh.encode()), message_id=fresh
            )

        return as_it_was

    replace(Renderer, "as_it_was", make)


def does_not_record_a_doubt() -> None:
    def ambiguous(*, why: str, **_named: Any) -> Any:
        return steps.released(why=why)

    replace(steps, "ambiguous", lambda _original: ambiguous)


def marks_sent_before_it_transmits() -> None:
    def make(original: Any) -> Any:
        async def transmitting(self: Mails, lease: Lease, **named: Any) -> bool:
            held: bool = await original(self, lease, **named)
            if held:
                await self.mark(lease, Sent("250 surely"), pause_s=0)
            return held

        return transmitting

    replace(Mails, "transmitting", make)


def takes_an_event_twice() -> None:
    """Neither the filter nor an index says what was taken before."""

    def without_guard(original: Any) -> Any:
        def taking(self: Takings, each: Any) -> Any:
            where, update = original(self, each)
            return {name: value for name, value in where.items() if name != "taken"}, update

        return taking

    def without_index(found: Any) -> Any:
        left = [model for model in found["mails"] if model.document["name"] != "taken_once"]
        if len(left) == len(found["mails"]):
            raise LookupError("there is no index taken_once")
        return {**found, "mails": left}

    replace(Takings, "_taking", without_guard)
    replace(indexes, "INDEXES", without_index)


def never_takes_back_a_lease() -> None:
    async def lapse(_self: Mails, **_named: Any) -> None:
        return None

    replace(Mails, "lapse", lambda _original: lapse)


def acknowledges_before_it_takes() -> None:
    def make(original: Any) -> Any:
        async def take_some(self: Notifications, messages: Any) -> list[Any]:
            async def take() -> None:
                for message in await original(self, messages):
                    await self.handle(message)

            task = asyncio.ensure_future(take())
            _under_way.add(task)
            task.add_done_callback(_under_way.discard)
            return []

        return take_some

    replace(Notifications, "take_some", make)


DEFECTS: Final[dict[str, Apply]] = {
    "leases without a fence": leases_without_a_fence,
    "gives each try a new Message-ID": gives_each_try_a_new_message_id,
    "does not record a doubt": does_not_record_a_doubt,
    "marks sent before it transmits": marks_sent_before_it_transmits,
    "takes an event twice": takes_an_event_twice,
    "never takes back a lease": never_takes_back_a_lease,
    "acknowledges before it takes": acknowledges_before_it_takes,
}


def main() -> None:
    notifier.attach()
    seed(DEFECTS)
    service.main()


if __name__ == "__main__":
    main()
