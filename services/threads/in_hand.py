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
    """Deliveries that are settled together, and the commands in them."""

    deliveries: Sequence[Delivery]
    works: Sequence[Work] = ()
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

    def log_settled(self) -> None:
        """One line a command; `ms` is since the gateway accepted it."""
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
