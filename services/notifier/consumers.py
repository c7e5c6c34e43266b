"""The one queue that the notifier reads, and what it does with each type of message."""

import contextlib
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from typing import Final, assert_never

import structlog
from aio_pika.abc import AbstractIncomingMessage
from opentelemetry.trace import SpanKind
from pymongo.errors import AutoReconnect, OperationFailure

from services.notifier.contents import gathered, is_urgent, order_shown, source_of, version_of
from services.notifier.known import Known
from services.notifier.mails import Mails
from services.notifier.metrics import Metrics
from services.notifier.taking import Answer, Taking
from shared import envelope, traces
from shared.delivery import WorkQueue, require_publisher
from shared.errors import CannotProcess
from shared.events import (
    NOTIFICATION,
    ContactChanged,
    EntryAddressed,
    MessageRedacted,
    Notification,
    PreferencesChanged,
    ThreadRead,
)
from shared.logs import logged
from shared.mongo import is_away
from shared.topology import NOTIFIER_QUEUE

log = structlog.get_logger(__name__)

QUEUE: Final = WorkQueue(name=NOTIFIER_QUEUE, service="notifier", publishers=frozenset({"threads"}))


class Notifications:
    """Handles messages; every handling may run twice. `on_due` is called when it has made a mail due at once."""

    def __init__(
        self, *, mails: Mails, known: Known, metrics: Metrics, delay_s: float, on_due: Callable[[], None]
    ) -> None:
        self._mails, self._known, self._metrics = mails, known, metrics
        self._delay_s, self._on_due = delay_s, on_due

    async def take_some(self, messages: Sequence[AbstractIncomingMessage]) -> list[AbstractIncomingMessage]:
        """Takes the entries and the read marks in these messages in one go each; answers the messages that are still to be handled, each by itself.

        Those are of other types, or not as they should be, or could not be taken now: nothing is decided about them here.
        """
        events = [_readable(message) for message in messages]
        left = set(range(len(messages)))
        entries = {at: event for at, event in enumerate(events) if isinstance(event, EntryAddressed)}
        marks = {at: event for at, event in enumerate(events) if isinstance(event, ThreadRead)}
        # What fails, away or by a defect that one of them is about, is handled singly: each meets its own.
        with contextlib.suppress(Exception):
            troubles = await self._take(list(entries.values()))
            left -= {at for at, trouble in zip(entries, troubles, strict=True) if trouble is None}
        with contextlib.suppress(Exception):
            await self._read(list(marks.values()))
            left -= marks.keys()
        return [messages[at] for at in sorted(left)]

    async def handle(self, message: AbstractIncomingMessage) -> None:
        """Raises CannotProcess for what is no notification, and what `shared.mongo` counts as away where MongoDB is."""
        event = envelope.read(NOTIFICATION, message.body)
        try:
            if isinstance(event, EntryAddressed):
                (trouble,) = await self._take([event])
                if trouble is not None:
                    raise trouble
                return
            self._metrics.events.labels(event.type).inc()
            with traces.span(f"take {event.type}", parent=event.traceparent, kind=SpanKind.CONSUMER):
                await self._apply(event)
        except OperationFailure as error:
            if is_away(error):
                raise AutoReconnect(f"MongoDB code {error.code}") from error
            raise

    async def _apply(self, event: ThreadRead | PreferencesChanged | MessageRedacted | ContactChanged) -> None:
        match event:
            case ThreadRead():
                await self._known.read(event.data)
            case PreferencesChanged():
                await self._known.chosen(event.data)
            case MessageRedacted():
                await self._redact(event)
            case ContactChanged():
                await self._known.moved(event.data)
            case _:
                assert_never(event)

    async def _read(self, events: Sequence[ThreadRead]) -> None:
        """Keeps the marks; thousands come in a row where everything in an inbox is marked."""
        if not events:
            return
        spans = [
            traces.begin(f"take {event.type}", parent=event.traceparent, kind=SpanKind.CONSUMER) for event in events
        ]
        try:
            await self._known.read_some([event.data for event in events])
        except Exception as error:
            _end(spans, [error] * len(spans))
            raise
        _end(spans, [None] * len(spans))
        self._metrics.events.labels(events[0].type).inc(len(events))

    async def _take(self, events: Sequence[EntryAddressed]) -> list[Exception | None]:
        """What hinders each of the events; None where its entry is taken for all its recipients."""
        spans = [
            traces.begin(f"take {event.type}", parent=event.traceparent, kind=SpanKind.CONSUMER) for event in events
        ]
        takings = [_takings(event, span) for event, span in zip(events, spans, strict=True)]
        try:
            answers = iter(await self._mails.take_some([taking for of_event in takings for taking in of_event]))
        except Exception as error:
            _end(spans, [error] * len(spans))
            raise
        troubles = [self._taken(event, [next(answers) for _ in event.data.recipients]) for event in events]
        _end(spans, troubles)
        return troubles

    def _taken(self, event: EntryAddressed, answers: Sequence[Answer]) -> Exception | None:
        for answer in answers:
            if isinstance(answer, Exception):
                return answer
        kind = event.data.entry.kind
        self._metrics.events.labels(event.type).inc()
        self._metrics.taken.labels(kind).inc(answers.count(True))
        self._metrics.known.inc(answers.count(False))
        log.info(
            "entry_taken",
            event_id=event.id,
            order=logged(event.data.order_id),
            trace_id=traces.trace_id(event.traceparent),
            persons=len(answers),
            ms=round((datetime.now(UTC) - event.data.entry.accepted_at).total_seconds() * 1000, 1),
        )
        if self._delay_s == 0 or is_urgent(kind):
            self._on_due()
        return None

    async def _redact(self, event: MessageRedacted) -> None:
        """First remembered, then taken out: an entry taken between the two is caught when its mail is leased."""
        redaction = event.data
        await self._known.taken_out(redaction)
        mails = await self._mails.redact(order_id=redaction.order_id, message_id=redaction.message_id)
        log.info("text_taken_out", order=logged(redaction.order_id), message_id=redaction.message_id, mails=mails)
        self._on_due()


def _readable(message: AbstractIncomingMessage) -> Notification | None:
    """The event in the message; None where it is not as it should be."""
    try:
        require_publisher(message, QUEUE)
        event: Notification = envelope.read(NOTIFICATION, message.body)
    except CannotProcess:
        return None
    return event


def _takings(event: EntryAddressed, span: traces.Span | None) -> list[Taking]:
    """One for each recipient; what becomes of the entry is below the span."""
    entry, order = gathered(event), order_shown(event.data.order, item_count=event.data.item_count)
    if span is not None:
        entry = entry.model_copy(update={"traceparent": span.traceparent})
    recipients = [
        each.model_copy(update={"version": version_of(each, order.version)}) for each in event.data.recipients
    ]
    return [Taking(entry, recipient, order, source_of(event, recipient)) for recipient in recipients]


def _end(spans: Sequence[traces.Span | None], troubles: Sequence[Exception | None]) -> None:
    for span, trouble in zip(spans, troubles, strict=True):
        if span is not None:
            span.end(error=None if trouble is None else type(trouble).__name__)
