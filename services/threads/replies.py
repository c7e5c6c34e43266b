"""Answers for gateways that wait: sent once, neither persistent nor mandatory, because the outcome can always be asked for."""

import asyncio

from shared import topology
from shared.commands import CommandOutcome
from shared.delivery import NotPublished, Outgoing, Publisher, PublishUnknown

REPLY_DEADLINE_S = 2.0


class Replies:
    def __init__(self, publisher: Publisher) -> None:
        self._publisher = publisher
        self._under_way: set[asyncio.Task[None]] = set()

    def send(self, reply_to: str | None, outcome: CommandOutcome) -> None:
        """Answers in the background; nobody waits for it, and a lost one costs the caller a 202 instead of a 201."""
        if reply_to is None:
            return
        task = asyncio.create_task(self._send(reply_to, outcome))
        self._under_way.add(task)
        task.add_done_callback(self._under_way.discard)

    async def _send(self, reply_to: str, outcome: CommandOutcome) -> None:
        message = Outgoing(
            exchange=topology.REPLIES,
            routing_key=reply_to,
            body=outcome.model_dump_json(exclude_none=True).encode(),
            message_id=f"{outcome.command_id}.reply",
            content_type="application/json",
            correlation_id=outcome.command_id,
            mandatory=False,
            persistent=False,
        )
        try:
            await self._publisher.publish(message, deadline_s=REPLY_DEADLINE_S)
        except (NotPublished, PublishUnknown):
            return
