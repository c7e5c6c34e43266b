"""What threads' query API answers, and the gateway passes on: the public JSON of orders, threads, histories and badges.

Lists answer `{"items": […], "next": "/v1/…"}`: follow `next` as it is until it is null.
"""

from typing import Annotated, Literal

from pydantic import Field

from shared.callers import Author, Role
from shared.commands import MailChoices
from shared.events import Dispute
from shared.fields import (
    CommandId,
    DisputeOutcome,
    DisputeReason,
    EntryKind,
    Grown,
    Locale,
    Moment,
    OrderId,
    Seq,
    Side,
    SoldBy,
    TimeZone,
)
from shared.orders import Item

OrderFilter = Literal["all", "unread", "with_messages", "disputed"]
ThreadFilter = Literal["all", "unread", "disputed"]
ThreadSort = Literal["newest", "waiting", "oldest_dispute"]

LIST_LIMIT_DEFAULT = 20
LIST_LIMIT_MAX = 100
HISTORY_LIMIT_DEFAULT = 50
HISTORY_LIMIT_MAX = 200
QUERY_MAX_CHARACTERS = 100

Action = Literal["post", "open_dispute", "close_dispute", "mark_read", "redact", "watch"]


class PublicAuthor(Grown):
    """Who wrote it, as both sides see it: the side and a name; no login and no address."""

    side: Side
    name: str


class DisputeView(Grown):
    """A dispute. `etag` is what `If-Match` takes; the texts are in the history at `opened_seq` and `closed_seq`."""

    id: CommandId
    state: Literal["open", "closed"]
    reason: DisputeReason
    opened_by: PublicAuthor
    opened_at: Moment
    opened_seq: Seq
    outcome: DisputeOutcome | None = None
    closed_by: PublicAuthor | None = None
    closed_at: Moment | None = None
    closed_seq: Seq | None = None
    etag: str


def public_author(author: Author) -> PublicAuthor:
    return PublicAuthor(side=author.side, name=author.name)


def dispute_etag(dispute: Dispute | None) -> str:
    """The strong ETag of the dispute as it stands; it changes with every step."""
    return '"none"' if dispute is None else f'"{dispute.id}.{dispute.state}"'


def dispute_view(dispute: Dispute) -> DisputeView:
    """The dispute as both sides see it: in answers, in lists and in live events alike."""
    return DisputeView(
        id=dispute.id,
        state=dispute.state,
        reason=dispute.reason,
        opened_by=public_author(dispute.opened_by),
        opened_at=dispute.opened_at,
        opened_seq=dispute.opened_seq,
        outcome=dispute.outcome,
        closed_by=public_author(dispute.closed_by) if dispute.closed_by is not None else None,
        closed_at=dispute.closed_at,
        closed_seq=dispute.closed_seq,
        etag=dispute_etag(dispute),
    )


class Message(Grown):
    """One entry of the history. `mine`: written by the caller; `new`: above the caller's own read mark and not theirs.

    `text` is null where it was taken out (`redacted`). `reason` and `outcome` belong to the dispute's steps.
    """

    id: CommandId
    order_id: OrderId
    seq: Seq
    kind: EntryKind
    author: PublicAuthor
    text: str | None
    redacted: bool = False
    imported: bool = False
    mine: bool
    new: bool
    at: Moment
    accepted_at: Moment
    reason: DisputeReason | None = None
    outcome: DisputeOutcome | None = None


class History(Grown):
    """A page of the history, in the order of `seq`.

    `first_new_seq` is where the "New messages" separator belongs (null: nothing is new for the caller), on whichever page that is.
    `last_seq` is the newest entry there is; `next` goes on in the direction that was asked: to older entries, or with
    `after_seq` to newer ones.
    """

    items: list[Message]
    first_new_seq: Seq | None
    last_seq: Seq
    next: str | None


class LastEntry(Grown):
    """The newest entry, as a list shows it; `excerpt` is at most 140 characters, null where redacted. `mine`: written by the caller."""

    seq: Seq
    kind: EntryKind
    author: PublicAuthor
    excerpt: str | None
    at: Moment
    mine: bool = False


class SeenBy(Grown):
    """How far the other sides have read: each one's furthest mark, which never goes back (0: nothing yet).

    Null: not one of the other sides of this conversation. A customer and a seller see each other; where the shop itself sells, the customer
    and the shop do. In a marketplace the shop sees both, and neither sees how far its staff have read.
    """

    customer: Seq | None = None
    seller: Seq | None = None
    shop: Seq | None = None


class ThreadSummary(Grown):
    """A thread in a few figures.

    `unread` is what is new for the caller's inbox (a badge), `new_for_me` what is above the caller's own mark. `waiting_since`:
    since when the customer waits for an answer. `seen_by`: how far the other sides have read.
    """

    last_seq: Seq
    unread: int
    new_for_me: int
    last: LastEntry | None
    dispute: DisputeView | None
    waiting_since: Moment | None
    active_at: Moment | None
    seen_by: SeenBy = SeenBy()


class PartyView(Grown):
    """A party as the caller may see it; `id` is left out for the other side's customer. The shop itself as the seller is `~shop`."""

    id: str | None = None
    name: str
    guest: bool | None = None


class OrderSummary(Grown):
    """An order as a list shows it. `sold_by` says whether the shop itself sells it, by its staff, or a seller in its marketplace."""

    order_id: OrderId
    status: str
    placed_at: Moment
    url: str | None
    customer: PartyView
    seller: PartyView
    sold_by: SoldBy = "seller"
    first_item: str | None
    item_count: int
    total: str
    currency: str


class OrderDetails(OrderSummary):
    """The order's last snapshot."""

    version: int
    items: list[Item]


class SnippetPart(Grown):
    """A piece of a snippet; `hit`: it is what was sought, as it is written there."""

    text: str
    hit: bool = False


class Snippet(Grown):
    """Why a search found a thread: the newest text with a word that was sought, around the first hit, at most 160 characters."""

    seq: Seq
    author: PublicAuthor
    mine: bool
    parts: list[SnippetPart]


class ThreadRow(Grown):
    """A row of both lists, My account > Orders and My account > Messages. `messages` is the path of the history.

    `snippet` is for a search alone, and null where the order's number, people and first item have every word that was sought.
    """

    order: OrderSummary
    thread: ThreadSummary
    messages: str
    snippet: Snippet | None = None


class ThreadPage(Grown):
    """A page of rows. For a search, `searched` says how many threads were looked through: `next` searches on where it stopped.

    `cursor` is the parameter in `next` by itself, for clients that make their addresses from parts.
    """

    items: list[ThreadRow]
    next: str | None
    cursor: str | None = None
    searched: int | None = None


class OrderView(Grown):
    """The order at one's fingertips: its details, its thread, and what the caller may do."""

    order: OrderDetails
    thread: ThreadSummary
    available_actions: list[Action]
    watching: bool | None = None
    messages: str


class OrderIntake(Grown):
    """What became of a version of an order, for services; kept for 90 days.

    `stands`: this version is the order as it is. `superseded`: it came, and a newer version stands. `refused`: what was sent under this
    version is not in; `reason` (`version_conflict`, `parties_changed`, `invalid`, …) and `detail` say why, until something of the version
    is taken. `unknown`: nothing of it was decided on. `standing_version` is the version that stands now, null where the order is unknown.
    """

    order_id: OrderId
    version: int
    state: Literal["stands", "superseded", "refused", "unknown"]
    reason: str | None = None
    detail: str | None = None
    standing_version: int | None


class Unread(Grown):
    """What is new in the caller's inbox. Counted up to 100 threads; `more` says that there are further ones."""

    threads: int
    messages: int
    more: bool


class OpenDisputes(Grown):
    threads: int
    more: bool


class Me(Grown):
    """Who the caller is, and the badges."""

    id: str
    role: Role
    name: str
    inbox: Side | None
    seller_id: str | None = None
    order_id: OrderId | None = None
    unread: Unread
    open_disputes: OpenDisputes


class Preferences(Grown):
    """What the caller gets by mail, in which language (null: the order's), and in which time zone (null: the shop's)."""

    mails: MailChoices
    locale: Locale | None
    time_zone: TimeZone | None = None


class OrderPreferences(Grown):
    """What the caller gets by mail about one order; `everywhere` is what they get about all others."""

    order_id: OrderId
    mails: MailChoices
    everywhere: MailChoices


Limit = Annotated[int, Field(ge=1, le=LIST_LIMIT_MAX)]
HistoryLimit = Annotated[int, Field(ge=1, le=HISTORY_LIMIT_MAX)]
