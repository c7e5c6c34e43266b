"""Publishing many messages at once, whose confirms are awaited together: for one caller who has them all at hand.

Each by itself would cost a task, a slot and a deadline; a group pays them once.
"""

import asyncio
from collections.abc import Iterator, Sequence
from typing import Final

import structlog

from shared.delivery import Outgoing
from shared.pipeline import PipelinePublisher

log = structlog.get_logger(__name__)

# What is on its way to the socket at any moment; a group of messages of the usual size is far below it.
PIECE_BYTES: Final = 4 * 1024 * 1024

Confirm = asyncio.Future[object]


class GroupPublisher(PipelinePublisher):
    """A publisher that also takes groups."""

    async def publish_group(self, messages: Sequence[Outgoing], *, deadline_s: float) -> list[bool]:
        """Publishes the messages in this order, each once; says of each whether RabbitMQ confirmed it within the deadline.

        One that is not confirmed may have been taken all the same. Raises NotPublished where RabbitMQ is not reachable at the start.
        """
        pipe = await self._open_pipe()
        confirms: list[Confirm] = []
        try:
            async with asyncio.timeout(deadline_s):
                for piece in _pieces(messages):
                    sent = [pipe.send(message, self._user) for message in piece]
                    confirms += sent
                    await asyncio.gather(*sent, return_exceptions=True)
        except TimeoutError:
            log.warning("confirms_late", count=len(messages))
        is_confirmed = [_is_confirmed(confirm) for confirm in confirms]
        return is_confirmed + [False] * (len(messages) - len(confirms))


def _is_confirmed(confirm: Confirm) -> bool:
    return confirm.done() and not confirm.cancelled() and confirm.exception() is None


def _pieces(messages: Sequence[Outgoing]) -> Iterator[list[Outgoing]]:
    piece: list[Outgoing] = []
    room = PIECE_BYTES
    for message in messages:
        piece.append(message)
        room -= len(message.body)
        if room <= 0:
            yield piece
            piece, room = [], PIECE_BYTES
    if piece:
        yield piece
