"""Answers for gateways that wait: sent once, neither persistent nor mandatory, because the outcome can always be asked for."""

import asyncio
import contextlib

from shared import topology
from shared.commands import CommandOutcome
from shared.groups import GroupPublisher
from shared.publishing import NotPublished, Outgoing

REPLY_DEADLINE_S = 2.0


class Replies:
    def __init__(self, publisher: GroupPublisher) -> None:
        self._publisher = publisher
        self._gathered: list[Outgoing] = []
        self._under_way: set[asyncio.Task[None]] = set()

    def send(self, reply_to: str | None, outcome: CommandOutcome) -> None:
        """Answers in the background, together with whatever else is answered just now.

        Nobody waits for it, and a lost one costs the caller a 202 instead of a 201.
        """
        if reply_to is None:
            return
        self._gathered.append(_reply(reply_to, outcome))
        if len(self._gathered) == 1:
            task = asyncio.create_task(self._send())
            self._under_way.add(task)
            task.add_done_callback(self._under_way.discard)

    async def _send(self) -> None:
        gathered, self._gathered = self._gathered, []
        with contextlib.suppress(NotPublished):
            await self._publisher.publish_group(gathered, deadline_s=REPLY_DEADLINE_S)


def _reply(reply_to: str, outcome: CommandOutcome) -> Outgoing:
    return Outgoing(
        exchange=topology.REPLIES,
        routing_key=reply_to,
        body=outcome.model_dump_json(exclude_none=True).encode(),
        message_id=f"{outcome.command_id}.reply",
        content_type="application/json",
        correlation_id=outcome.command_id,
        mandatory=False,
        persistent=False,
    )
