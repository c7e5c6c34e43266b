"""The one queue that the notifier reads, and what it does with each type of message."""

import asyncio
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from typing import Final, assert_never

import structlog
from aio_pika.abc import AbstractIncomingMessage
from faststream import AckPolicy
from faststream.rabbit import Channel, RabbitBroker, RabbitMessage, RabbitQueue
from opentelemetry.trace import SpanKind
from pymongo.errors import AutoReconnect, OperationFailure

from services.notifier.contents import gathered, is_urgent, order_shown
from services.notifier.known import Known
from services.notifier.mails import Mails
from services.notifier.metrics import Metrics
from shared import envelope, traces
from shared.delivery import RECONNECT_S, Settler, WorkQueue, with_options
from shared.events import NOTIFICATION, EntryAddressed, MessageRedacted, Notification, PreferencesChanged, ThreadRead
from shared.logs import logged
from shared.mongo import is_away
from shared.topology import NOTIFIER_QUEUE

log = structlog.get_logger(__name__)

QUEUE: Final = WorkQueue(name=NOTIFIER_QUEUE, service="notifier", publishers=frozenset({"threads"}))
STOP_LIMIT_S: Final = 3.0
RETRY_PAUSE_S: Final = 1.0

Handler = Callable[[AbstractIncomingMessage], Awaitable[None]]


class Notifications:
    """Handles one message; every handling may run twice. `on_due` is called when it has made a mail due at once."""

    def __init__(
        self, *, mails: Mails, known: Known, metrics: Metrics, delay_s: float, on_due: Callable[[], None]
    ) -> None:
        self._mails, self._known, self._metrics = mails, known, metrics
        self._delay_s, self._on_due = delay_s, on_due

    async def handle(self, message: AbstractIncomingMessage) -> None:
        """Raises CannotProcess for what is no notification, and what `shared.mongo` counts as away where MongoDB is."""
        event = envelope.read(NOTIFICATION, message.body)
        self._metrics.events.labels(event.type).inc()
        try:
            with traces.span(f"take {event.type}", parent=event.traceparent, kind=SpanKind.CONSUMER) as traceparent:
                await self._apply(event.model_copy(update={"traceparent": traceparent}) if traces.is_on() else event)
        except OperationFailure as error:
            if is_away(error):
                raise AutoReconnect(f"MongoDB code {error.code}") from error
            raise

    async def _apply(self, event: Notification) -> None:
        match event:
            case EntryAddressed():
                await self._take(event)
            case ThreadRead():
                await self._known.read(event.data)
            case PreferencesChanged():
                await self._known.chosen(event.data)
            case MessageRedacted():
                await self._redact(event)
            case _:
                assert_never(event)

    async def _take(self, event: EntryAddressed) -> None:
        entry, order = gathered(event), order_shown(event.data.order, item_count=event.data.item_count)
        takings = (self._mails.take(entry, recipient, order) for recipient in event.data.recipients)
        for taken in await asyncio.gather(*takings):
            if taken:
                self._metrics.taken.labels(entry.kind).inc()
            else:
                self._metrics.known.inc()
        log.info(
            "entry_taken",
            event_id=event.id,
            order=logged(event.data.order_id),
            trace_id=traces.trace_id(event.traceparent),
            persons=len(event.data.recipients),
            ms=round((datetime.now(UTC) - event.data.entry.accepted_at).total_seconds() * 1000, 1),
        )
        if self._delay_s == 0 or is_urgent(entry.kind):
            self._on_due()

    async def _redact(self, event: MessageRedacted) -> None:
        """First remembered, then taken out: an entry taken between the two is caught when its mail is leased."""
        redaction = event.data
        await self._known.taken_out(redaction)
        mails = await self._mails.redact(order_id=redaction.order_id, message_id=redaction.message_id)
        log.info("text_taken_out", order=logged(redaction.order_id), message_id=redaction.message_id, mails=mails)
        self._on_due()


class Consumer:
    """Reads `notifier.events` on a connection of its own, as a FastStream subscriber that declares nothing and decodes nothing."""

    def __init__(self, amqp_url: str, *, settler: Settler, handle: Handler, prefetch: int) -> None:
        self._settler, self._handle = settler, handle
        self._channel = Channel(prefetch_count=prefetch)
        self._started = False
        self._broker = RabbitBroker(
            with_options(amqp_url, "notifier-consumer"),
            fail_fast=False,
            reconnect_interval=RECONNECT_S,
            graceful_timeout=STOP_LIMIT_S,
            decoder=_undecoded,
            apply_types=False,
            logger=None,
        )
        self._broker.subscriber(
            RabbitQueue(QUEUE.name, declare=False),
            channel=self._channel,
            ack_policy=AckPolicy.MANUAL,
            no_reply=True,
        )(self._settle)

    async def _settle(self, message: RabbitMessage) -> None:
        await self._settler.settle(message.raw_message, self._handle)

    async def run(self) -> None:
        """Attaches to the queue, however long it takes until RabbitMQ is there; after that, the library re-attaches by itself."""
        while True:
            try:
                await self._broker.start()
            except Exception as error:
                # Away, or not let in, or no such queue: RabbitMQ may yet become what it must be, and readiness says it is not.
                log.warning("consumer_not_attached", queue=QUEUE.name, error=type(error).__name__)
                await self._broker.stop()
                await asyncio.sleep(RETRY_PAUSE_S)
            else:
                self._started = True
                log.info("consumer_attached", queue=QUEUE.name)
                return

    async def stop(self) -> None:
        """Takes nothing more; what is being handled may end."""
        self._started = False
        await self._broker.stop()

    async def is_attached(self) -> bool:
        """Whether RabbitMQ delivers to us. May wait for as long as the connection is away.

        Asked only after the start: FastStream would open a second channel for whoever asks for one that is just being opened.
        """
        if not self._started:
            return False
        channel = await self._broker.config.channel_manager.get_channel(self._channel)
        underlay = await channel.get_underlay_channel()
        return not underlay.is_closed and bool(underlay.consumers)


async def _undecoded(message: RabbitMessage) -> RabbitMessage:
    """Spares FastStream's reading of the JSON: the handler reads it once, with the contract, from the raw body."""
    return message
