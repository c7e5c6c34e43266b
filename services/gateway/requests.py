"""What callers may send: bodies and query parameters. A field that is not named here is refused."""

from collections import Counter
from typing import Annotated, Literal, Self
from zoneinfo import available_timezones

from pydantic import AfterValidator, Field, RootModel, StringConstraints, model_validator

from shared import queries
from shared.commands import MAX_THREADS_IN_ONE_COMMAND
from shared.fields import (
    SHOWN_TEXT_SCHEMA,
    CommandId,
    Contract,
    DisputeOutcome,
    DisputeReason,
    Locale,
    Moment,
    NewText,
    NoteText,
    OrderId,
    PersonId,
    Seq,
    ShownName,
    Side,
    TimeZone,
)
from shared.tokens import MAX_TOKEN_CHARACTERS
from shared.visible import shows

# JSON Schema's words for rules that the field types check in Python.
NO_NUL = {"pattern": r"^[^\u0000]*$"}
ONE_LINE = {"pattern": r"^[^\u0000-\u001f\u007f-\u009f\u2028\u2029]*$"}

Note = Annotated[NoteText, Field(json_schema_extra=NO_NUL)]


def _printable_ascii(value: str) -> str:
    if not value.isascii() or not value.isprintable():
        raise ValueError("must be printable ASCII characters")
    return value


Key = Annotated[
    str,
    StringConstraints(min_length=1, max_length=255),
    AfterValidator(_printable_ascii),
    Field(json_schema_extra={"pattern": r"^[\x20-\x7e]+$"}),
]


class NewMessage(Contract):
    """A message to post. `after` is the id of the author's previous one: this one is not committed before it, for at most 10 s.

    `seen_seq` is the newest entry that the author has seen: their read mark moves there, never further and never back. A number that the
    thread has not come to counts as its newest entry.
    """

    text: NewText
    after: CommandId | None = None
    seen_seq: Seq | None = None


class NewDispute(Contract):
    """A dispute to open: why, and in the customer's words."""

    reason: DisputeReason
    text: NewText


class DisputeClosing(Contract):
    """How the dispute ends, and what there is to say about it."""

    outcome: DisputeOutcome
    note: Note = ""


class ReadMark(Contract):
    """Everything up to and including `up_to_seq` is read; 0 marks the thread unread."""

    up_to_seq: Seq


class ThreadReadMark(ReadMark):
    """A read mark of one of several threads."""

    order_id: OrderId


MAX_NAMED_DUPLICATES = 5


def _each_thread_once(marks: tuple[ThreadReadMark, ...]) -> tuple[ThreadReadMark, ...]:
    counts = Counter(mark.order_id for mark in marks)
    doubled = [order_id for order_id, count in counts.items() if count > 1]
    if doubled:
        more = "" if len(doubled) <= MAX_NAMED_DUPLICATES else f" and {len(doubled) - MAX_NAMED_DUPLICATES} more"
        raise ValueError(f"each thread once; more than once: {', '.join(doubled[:MAX_NAMED_DUPLICATES])}{more}")
    return marks


class SomeThreadsRead(Contract):
    """Read marks of the threads named, each thread once."""

    threads: Annotated[
        tuple[ThreadReadMark, ...],
        Field(min_length=1, max_length=MAX_THREADS_IN_ONE_COMMAND),
        AfterValidator(_each_thread_once),
    ]


class AllThreadsRead(Contract):
    """Everything in the caller's inbox, up to the moment of acceptance."""

    all: Literal[True]


class ReadMarks(RootModel[SomeThreadsRead | AllThreadsRead]):
    """Read marks of some threads, or of all."""


class ChosenMails(Contract):
    """Which events come by mail; what is left out stays as it is."""

    messages: bool | None = None
    disputes: bool | None = None


def _known_zone(value: str) -> str:
    if value not in available_timezones():
        raise ValueError("must be a time zone of the IANA database, like Europe/Berlin or UTC")
    return value


class ChosenPreferences(Contract):
    """What comes by mail, in which language and time zone; what is left out stays as it is."""

    mails: ChosenMails = ChosenMails()
    locale: Locale | None = None
    time_zone: Annotated[TimeZone, AfterValidator(_known_zone)] | None = None


class ChosenOrderPreferences(Contract):
    """What comes by mail about one order; what is left out stays as it is."""

    mails: ChosenMails


class Redaction(Contract):
    """Why a text is taken out; kept with the command, not shown in the thread."""

    reason: Note = ""


class ImportedAuthor(Contract):
    """Who wrote an old message: the side, the login there (any constant one for the customer), and the name shown."""

    side: Side
    id: Annotated[PersonId, Field(json_schema_extra=ONE_LINE)]
    name: ShownName


class ImportedMessage(Contract):
    """An old message of another system. `external_id` is its id there: the same one again is the same message."""

    external_id: Key
    author: ImportedAuthor
    text: NewText
    written_at: Moment


class GuestLink(Contract):
    """The token from the fragment of a guest's link."""

    token: Annotated[str, StringConstraints(min_length=1, max_length=MAX_TOKEN_CHARACTERS)]


def _searchable(value: str) -> str:
    if "\x00" in value or not shows(value):
        raise ValueError("must contain a character that can be seen, and no NUL")
    return value


Search = Annotated[
    str,
    StringConstraints(min_length=1, max_length=queries.QUERY_MAX_CHARACTERS),
    AfterValidator(_searchable),
    Field(json_schema_extra=SHOWN_TEXT_SCHEMA),
]
Cursor = Annotated[str, StringConstraints(min_length=1, max_length=1_000, pattern=r"^[A-Za-z0-9._~=-]+$")]


class OrdersQuery(Contract):
    """Which orders to list."""

    filter: queries.OrderFilter = "all"
    q: Search | None = None
    cursor: Cursor | None = None
    limit: queries.Limit = queries.LIST_LIMIT_DEFAULT


class ThreadsQuery(Contract):
    """Which threads to list, and in which order."""

    filter: queries.ThreadFilter = "all"
    q: Search | None = None
    sort: queries.ThreadSort = "newest"
    cursor: Cursor | None = None
    limit: queries.Limit = queries.LIST_LIMIT_DEFAULT


class HistoryQuery(Contract):
    """Which part of the history: the newest, what is older than `before_seq`, or what is newer than `after_seq`."""

    before_seq: Annotated[int, Field(ge=1, le=2**53)] | None = None
    after_seq: Seq | None = None
    limit: queries.HistoryLimit = queries.HISTORY_LIMIT_DEFAULT

    @model_validator(mode="after")
    def _one_direction(self) -> Self:
        if self.before_seq is not None and self.after_seq is not None:
            raise ValueError("ask with before_seq or with after_seq, not both")
        return self
