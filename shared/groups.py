"""Publishing many messages at once, whose confirms are awaited together: for one caller who has them all at hand.

Each by itself would cost a task, a slot and a deadline; a group pays them once.
"""

import asyncio
from collections.abc import Iterator, Sequence
from typing import Final

import structlog

from shared.pipeline import Answer, Pipe, PipelinePublisher, is_answered
from shared.publishing import Outgoing

log = structlog.get_logger(__name__)

# What is on its way to the socket at any moment; a group of messages of the usual size is far below it.
PIECE_BYTES: Final = 4 * 1024 * 1024


class GroupPublisher(PipelinePublisher):
    """A publisher that also takes groups."""

    async def publish_group(self, messages: Sequence[Outgoing], *, deadline_s: float) -> list[bool]:
        """Publishes the messages in this order, each once; says of each whether RabbitMQ confirmed it within the deadline.

        One that is not confirmed may have been taken all the same. One whose copy is on its way already (by its id and exchange) is not
        sent a second time: the copy's confirm counts. Raises NotPublished where RabbitMQ takes nothing at the start.
        """
        pipe = self._open_pipe()
        ends = asyncio.get_running_loop().time() + deadline_s
        answers: list[Answer | None] = []
        for piece in _pieces(messages):
            sent = [self._answer_to_come(pipe, message) for message in piece]
            answers += sent
            if not await _are_answered(sent, ends):
                log.warning("confirms_late", count=len(messages))
                break
        is_confirmed = [_is_confirmed(answer) for answer in answers]
        return is_confirmed + [False] * (len(messages) - len(answers))

    def _answer_to_come(self, pipe: Pipe, message: Outgoing) -> Answer | None:
        """None where the id is that of another message which is on its way."""
        earlier = pipe.on_its_way(message)
        if earlier is None:
            return pipe.send(message, self._user)
        return earlier.answer if earlier.exchange == message.exchange else None


async def _are_answered(answers: Sequence[Answer | None], ends: float) -> bool:
    """Waits for them until then at most; for the last one first, by whose answer most of the others have theirs."""
    for answer in reversed(answers):
        if answer is not None and not answer.done() and not await is_answered(answer, ends):
            return False
    return True


def _is_confirmed(answer: Answer | None) -> bool:
    return answer is not None and answer.done() and answer.exception() is None


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
