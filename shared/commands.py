"""Commands: what the gateway asks threads to do. Published by the gateway alone, one handler each."""

from typing import Annotated, Literal

from pydantic import Field, TypeAdapter

from shared.callers import Author, Caller
from shared.envelope import Envelope
from shared.errors import Problem
from shared.fields import (
    CommandId,
    DisputeOutcome,
    DisputeReason,
    Grown,
    Locale,
    MessageText,
    Moment,
    NoteText,
    OrderId,
    Seq,
    TimeZone,
)

MAX_THREADS_IN_ONE_COMMAND = 100


STAMP_PATTERN = r"^[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$"
Stamp = Annotated[str, Field(pattern=STAMP_PATTERN)]


class CommandEnvelope(Envelope):
    """A command's envelope.

    `id` is the command's id: the same for every retry under one Idempotency-Key, and the id of the entry that it makes.
    `stamp` is a UUIDv7 minted when this copy was accepted; of two read marks or preferences, the newer stamp wins.
    `time` is the moment of acceptance.
    """

    id: CommandId
    source: Literal["parley/gateway"] = "parley/gateway"
    stamp: Stamp


class Asked(Grown):
    """What every command about one order says."""

    order_id: OrderId
    caller: Caller


class MessageToPost(Asked):
    """`after` is the id of its author's previous post: this one is not committed before that one, for at most 10 s.

    `seen_seq` is the newest entry that the author had seen when they wrote: their mark moves there, never further and never back.
    """

    text: MessageText
    after: CommandId | None = None
    seen_seq: Seq | None = None


class DisputeToOpen(Asked):
    reason: DisputeReason
    text: MessageText
    expected: str | None = None


class DisputeToClose(Asked):
    """`expected` is the dispute's ETag that the caller saw (`If-Match`); another one by now is refused (412)."""

    outcome: DisputeOutcome
    note: NoteText = ""
    expected: str | None = None


class MarkToSet(Asked):
    """Everything up to and including `up_to_seq` is read; 0 marks the whole thread unread."""

    up_to_seq: Seq


class ThreadMark(Grown):
    order_id: OrderId
    up_to_seq: Seq


class MarksToSet(Grown):
    """Marks of several threads, or with `all_threads` of every thread in the caller's inbox, up to the moment of acceptance."""

    caller: Caller
    threads: Annotated[tuple[ThreadMark, ...], Field(max_length=MAX_THREADS_IN_ONE_COMMAND)] = ()
    all_threads: bool = False


class MailChoices(Grown):
    """Which events a person wants by mail."""

    messages: bool = True
    disputes: bool = True


class PreferencesToSet(Grown):
    """Preferences of the mailbox `person` (`Caller.mailbox`); what is None stays as it is.

    `forget_locale` goes back to the language that the order names. `renewed`: another copy under the same id, with a newer stamp, is
    no repetition of this one but the same wish once more, and counts as the newest. A guest's choices are kept for the guest's address
    too: for `address_key`, where a mail's link says which one, else for the order's. `undo` is the stamp of a wish whose effect is taken
    back, as far as it still stands; nothing else is said then. With an `order_id` all of it is about the mails of that order's thread
    alone; no language and no time zone goes with it. `forget_time_zone` goes back to the shop's own.
    """

    person: Annotated[str, Field(min_length=3, max_length=200)]
    messages: bool | None = None
    disputes: bool | None = None
    locale: Locale | None = None
    forget_locale: bool = False
    renewed: bool | None = None
    address_key: Annotated[str, Field(min_length=1, max_length=64)] | None = None
    undo: Stamp | None = None
    order_id: OrderId | None = None
    time_zone: TimeZone | None = None
    forget_time_zone: bool | None = None


class WatchToSet(Asked):
    """An administrator watches the thread (its mails come to them) or stops watching it."""

    watching: bool
    email: str | None = None
    locale: Locale = "en"


class MessageToRedact(Asked):
    """Takes the text of the entry `message_id` out, for good."""

    message_id: CommandId
    reason: NoteText = ""


class MessageToImport(Asked):
    """An old message of another system, with its own time and author; nobody is mailed.

    Imports come first: once a thread has an entry that was not imported, they are refused.
    """

    author: Author
    text: MessageText
    written_at: Moment


class PostMessage(CommandEnvelope):
    """A person writes into the thread of an order."""

    type: Literal["parley.command.message.post.v1"] = "parley.command.message.post.v1"
    data: MessageToPost


class OpenDispute(CommandEnvelope):
    """The customer or an administrator opens a dispute. Opening one that is open is the same dispute."""

    type: Literal["parley.command.dispute.open.v1"] = "parley.command.dispute.open.v1"
    data: DisputeToOpen


class CloseDispute(CommandEnvelope):
    """The customer or an administrator closes the open dispute."""

    type: Literal["parley.command.dispute.close.v1"] = "parley.command.dispute.close.v1"
    data: DisputeToClose


class MarkRead(CommandEnvelope):
    """A person has read a thread up to an entry, or marks it unread."""

    type: Literal["parley.command.thread.read.v1"] = "parley.command.thread.read.v1"
    data: MarkToSet


class MarkThreadsRead(CommandEnvelope):
    """A person has read several threads, or all."""

    type: Literal["parley.command.threads.read.v1"] = "parley.command.threads.read.v1"
    data: MarksToSet


class SetPreferences(CommandEnvelope):
    """A person chooses which events come by mail, and in which language; also what an unsubscribe link does."""

    type: Literal["parley.command.preferences.set.v1"] = "parley.command.preferences.set.v1"
    data: PreferencesToSet


class WatchThread(CommandEnvelope):
    """An administrator watches a thread, or stops."""

    type: Literal["parley.command.thread.watch.v1"] = "parley.command.thread.watch.v1"
    data: WatchToSet


class RedactMessage(CommandEnvelope):
    """An administrator takes a text out."""

    type: Literal["parley.command.message.redact.v1"] = "parley.command.message.redact.v1"
    data: MessageToRedact


class ImportMessage(CommandEnvelope):
    """A shop service brings an old message of another system."""

    type: Literal["parley.command.message.import.v1"] = "parley.command.message.import.v1"
    data: MessageToImport


Command = Annotated[
    PostMessage
    | OpenDispute
    | CloseDispute
    | MarkRead
    | MarkThreadsRead
    | SetPreferences
    | WatchThread
    | RedactMessage
    | ImportMessage,
    Field(discriminator="type"),
]
COMMAND: TypeAdapter[Command] = TypeAdapter(Command)


class CommandOutcome(Grown):
    """What became of a command: `accepted` (confirmed by RabbitMQ, not applied yet), `done` with the result, `rejected` with the
    problem, or `parked` (a defect on our side: an operator must look at the dead-letter queue). Also the reply on `parley.replies`.
    """

    command_id: CommandId
    order_id: OrderId | None = None
    state: Literal["accepted", "done", "rejected", "parked"]
    status: int
    result: dict[str, object] | None = None
    problem: Problem | None = None


OUTCOME: TypeAdapter[CommandOutcome] = TypeAdapter(CommandOutcome)


def routing_key(message: Envelope) -> str:
    """`message.post` for `parley.command.message.post.v1`, `message.posted` for `parley.message.posted.v1`."""
    return message.type.removeprefix("parley.").removeprefix("command.").rpartition(".")[0]
