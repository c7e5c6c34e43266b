"""One delivered command on its way: what it asks, and what has become of it so far."""

import hashlib
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Final

from aio_pika.abc import AbstractIncomingMessage
from opentelemetry.trace import SpanKind

from services.threads.access import Parties
from shared import topology, traces
from shared.commands import (
    COMMAND,
    CloseDispute,
    Command,
    ImportMessage,
    MarkThreadsRead,
    OpenDispute,
    PostMessage,
    SetPreferences,
)
from shared.delivery import WorkQueue, require_publisher, retry, retry_headers
from shared.envelope import MEDIA_TYPE, read
from shared.errors import CannotProcess
from shared.publishing import HeaderValue, Outgoing

QUEUE: Final = WorkQueue(topology.COMMANDS_QUEUE, service="threads", publishers=frozenset({"gateway"}))

# Outcomes are kept for 90 days, so an older command could be decided a second time.
OUTCOME_LIFE: Final = timedelta(days=90)

# A post waits for its author's previous one for at most 10 s. Rounds are counted, not seconds: where a long queue holds the
# previous post up, it holds this one up as well.
# A round is the tier, a moment in which the worker looks again, and the way.
MAX_WAITS: Final = 10_000 // (2 * topology.WAIT_TIER_MS)
WAITS_HEADER: Final = "x-waits"


@dataclass(frozen=True, slots=True)
class Work:
    """A command, the message that brought it, and the digest that tells whether a known id comes with other content."""

    message: AbstractIncomingMessage
    command: Command
    digest: str
    span: traces.Span | None = None

    @property
    def order_id(self) -> str | None:
        command = self.command
        return None if isinstance(command, MarkThreadsRead) else command.data.order_id

    @property
    def caller_key(self) -> str:
        command = self.command
        return command.data.person if isinstance(command, SetPreferences) else command.data.caller.key

    @property
    def waits_for(self) -> str | None:
        """The id of the author's previous post, which must be committed first."""
        return self.command.data.after if isinstance(self.command, PostMessage) else None

    @property
    def is_renewed(self) -> bool:
        """Whether a copy with a newer stamp is the same wish once more, and no repetition."""
        return isinstance(self.command, SetPreferences) and bool(self.command.data.renewed)

    def is_of_another_seller(self, parties: Parties | None) -> bool:
        """Whether a login that acts for several sellers asks here in the name of one whose order this is not. Its ids tell no sellers apart."""
        if isinstance(self.command, SetPreferences) or parties is None:
            return False
        caller = self.command.data.caller
        return caller.role == "seller" and caller.seller_id != parties.seller_id

    @property
    def makes_entry(self) -> bool:
        return isinstance(self.command, PostMessage | OpenDispute | CloseDispute | ImportMessage)


def take(message: AbstractIncomingMessage, *, now: datetime) -> Work:
    """The command in a delivery. Raises CannotProcess where it is none, not the gateway's, or older than outcomes are kept."""
    require_publisher(message, QUEUE)
    command = read(COMMAND, message.body)
    if command.time < now - OUTCOME_LIFE:
        raise CannotProcess(
            "too_old", f"accepted {command.time.isoformat()}; outcomes are kept {OUTCOME_LIFE.days} days"
        )
    return _traced(Work(message, command, digest_of(command)))


def _traced(work: Work) -> Work:
    """Where traces are on: with a span of its own, below the one that published the command; what follows is below this one."""
    command = work.command
    span = traces.begin(f"apply {command.type}", parent=command.traceparent, kind=SpanKind.CONSUMER)
    if span is None:
        return work
    return replace(work, command=command.model_copy(update={"traceparent": span.traceparent}), span=span)


def digest_of(command: Command) -> str:
    """Of what was asked, without who asked (the id is already theirs), how a repetition is to be taken, and what its author had seen by then."""
    content = command.data.model_dump_json(exclude={"caller", "renewed", "seen_seq", *_unsaid(command)})
    return hashlib.blake2b(f"{command.type}\n{content}".encode(), digest_size=16).hexdigest()


def _unsaid(command: Command) -> set[str]:
    """Fields that came later, and of which this command says nothing: a repetition of one from before them has the same digest."""
    later = ("order_id", "time_zone", "forget_time_zone") if isinstance(command, SetPreferences) else ()
    return {name for name in later if getattr(command.data, name) is None}


def waits(message: AbstractIncomingMessage) -> int:
    value = message.headers.get(WAITS_HEADER, 0)
    return value if isinstance(value, int) else 0


def waiting(work: Work) -> Outgoing:
    """The command on its way through the waiting tier; this is no retry of its own trouble, so its attempts stay."""
    message = work.message
    headers: dict[str, HeaderValue] = {
        **retry_headers(message, QUEUE, _attempt(message)),
        WAITS_HEADER: waits(message) + 1,
    }
    tier = topology.retry_queue(QUEUE.name, topology.WAIT_TIER_MS)
    return Outgoing(
        exchange=QUEUE.retry_exchange,
        routing_key=tier,
        body=message.body,
        message_id=f"{message.message_id}",
        headers=headers,
        content_type=MEDIA_TYPE,
        reply_to=message.reply_to,
        correlation_id=message.correlation_id,
    )


def put_off(work: Work) -> Outgoing:
    """The command on its way round through the shortest retry tier, since its person has so many in hand: no trouble of its own either."""
    message = work.message
    return Outgoing(
        exchange=QUEUE.retry_exchange,
        routing_key=topology.retry_queue(QUEUE.name, topology.RETRY_TIERS_MS[0]),
        body=message.body,
        message_id=f"{message.message_id}",
        headers=retry_headers(message, QUEUE, _attempt(message)),
        content_type=MEDIA_TYPE,
        reply_to=message.reply_to,
        correlation_id=message.correlation_id,
    )


def later(work: Work) -> Outgoing | None:
    """The command on its way through its next retry tier, or None where it has passed them all."""
    return retry(work.message, QUEUE)


def _attempt(message: AbstractIncomingMessage) -> int:
    value = message.headers.get("x-attempt", 0)
    return value if isinstance(value, int) else 0
