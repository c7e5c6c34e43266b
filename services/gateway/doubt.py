"""Whether RabbitMQ confirms what is published: by results, since a connection may stand while nothing is taken.

After its disk was full, RabbitMQ 3.10 stays up, answers heartbeats and confirms nothing until it is started again.
"""

import asyncio
import time
import uuid
from collections.abc import Coroutine
from typing import Final

import structlog

from shared import topology
from shared.publishing import NotPublished, Outgoing, Publisher, PublishUnknown

log = structlog.get_logger(__name__)

CANARY_EVERY_S: Final = 15.0
CANARY_AGAIN_S: Final = 2.0
CANARY_DEADLINE_S: Final = 1.5


class Doubt:
    """Holds publishes back while RabbitMQ is silent.

    After one that went unanswered, only one at a time is let out until one is confirmed; the others are refused at once. They would
    else pile up in the connection's buffer, each with an unknown outcome. `watch` publishes a canary now and then, and more often while
    there is doubt: so an idle gateway knows too, and a gateway that nobody sends writes to any more comes back by itself.
    """

    def __init__(self, publisher: Publisher) -> None:
        self._publisher = publisher
        self._since: float | None = None
        self._trying = False

    def lasts_s(self) -> float:
        """For how long RabbitMQ has been silent; 0 where the last publish was answered."""
        return 0.0 if self._since is None else max(time.monotonic() - self._since, 0.001)

    async def trial(self, publish: Coroutine[None, None, None]) -> None:
        """Publishes, or raises NotPublished where another publish is trying already."""
        if self._since is not None and self._trying:
            publish.close()
            raise NotPublished("RabbitMQ does not answer at the moment")
        trying, self._trying = self._since is not None, self._trying or self._since is not None
        try:
            await publish
            self._end()
        except PublishUnknown:
            self._begin()
            raise
        finally:
            if trying:
                self._trying = False

    def _begin(self) -> None:
        if self._since is None:
            self._since = time.monotonic()
            log.error("nothing_confirmed")

    def _end(self) -> None:
        if self._since is not None:
            log.info("confirmed_again", after_s=round(self.lasts_s(), 1))
            self._since = None

    async def watch(self) -> None:
        """Until cancelled."""
        while True:
            await asyncio.sleep(CANARY_EVERY_S if self._since is None else CANARY_AGAIN_S)
            await self._look()

    async def _look(self) -> None:
        """What was certainly not taken says nothing: RabbitMQ may be away, blocked, or without the canary's queue."""
        canary = Outgoing(topology.SHOP_ORDERS, topology.CANARY_KEY, b"canary", message_id=f"canary/{uuid.uuid4().hex}")
        try:
            await self.trial(self._publisher.publish(canary, deadline_s=CANARY_DEADLINE_S))
        except (NotPublished, PublishUnknown) as error:
            log.debug("canary_not_confirmed", reason=str(error))
