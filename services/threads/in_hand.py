"""What a worker has taken and not acknowledged yet."""

import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime

import structlog

from services.threads.subscription import Delivery, Subscription
from services.threads.work import Work
from shared.logs import logged
from shared.traces import trace_id

log = structlog.get_logger(__name__)


@dataclass(eq=False, slots=True)
class InHand:
    """Deliveries that are settled together, and the commands in them. `is_alone`: nothing else may be in hand meanwhile."""

    deliveries: Sequence[Delivery]
    works: Sequence[Work] = ()
    is_alone: bool = False
    is_settled: bool = False
    began: float = field(default_factory=time.perf_counter)

    @property
    def subscription(self) -> Subscription:
        return self.deliveries[-1].subscription

    @property
    def subscriptions(self) -> set[Subscription]:
        return {delivery.subscription for delivery in self.deliveries}

    @property
    def ids(self) -> set[str]:
        return {work.command.id for work in self.works}

    @property
    def shows_life(self) -> bool:
        """Whether one of these shows that more may be taken: a fresh one, or one that is not acknowledged after it was worked on."""
        return not self.is_settled or any(delivery.is_fresh for delivery in self.deliveries)

    def set_aside(self, work: Work) -> "InHand":
        """The command by itself: whoever has it acknowledges it, and this hand does not."""
        aside = [delivery for delivery in self.deliveries if delivery.message is work.message]
        self.deliveries = [delivery for delivery in self.deliveries if delivery.message is not work.message]
        self.works = [each for each in self.works if each is not work]
        return InHand(aside, [work], began=self.began)

    async def acknowledge(self) -> None:
        """All at once, and says so: one line a command; `ms` is since the gateway accepted it."""
        self.is_settled = True
        for work in self.works:
            if work.span is not None:
                work.span.end()
        for subscription in self.subscriptions:
            tags = [delivery.tag for delivery in self.deliveries if delivery.subscription is subscription]
            await subscription.acknowledge(tags)
        now = datetime.now(UTC)
        for work in self.works:
            command = work.command
            log.info(
                "command_settled",
                type=command.type,
                command_id=command.id,
                order=logged(work.order_id),
                trace_id=trace_id(command.traceparent),
                ms=round((now - command.time).total_seconds() * 1000, 1),
            )
