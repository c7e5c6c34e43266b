"""From stored documents to the public JSON (shared.queries), pure: what each side may see, and what is new for whom."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Final
from urllib.parse import quote

from services.threads import access
from services.threads.access import Parties
from services.threads.projection import furthest_of
from services.threads.thread import new_entries
from shared import queries
from shared.callers import MARKS_SEEN, SHOP_SELLER_ID, Caller
from shared.commands import MailChoices
from shared.events import Dispute
from shared.fields import OrderId, Side, SoldBy
from shared.orders import sold_by
from shared.queries import (
    DisputeView,
    LastEntry,
    Message,
    OrderDetails,
    OrderSummary,
    OrderView,
    PartyView,
    Preferences,
    PublicAuthor,
    SeenBy,
    ThreadRow,
    ThreadSummary,
)

Stored = Mapping[str, Any]

NO_PERSONS: Final[Iterable[Stored]] = ()


@dataclass(frozen=True, slots=True)
class Mark:
    """Up to where a person has read, and how many entries up to there are their own. Nobody begins with one."""

    seq: int = 0
    own: int = 0

    @classmethod
    def read(cls, stored: Stored | None) -> "Mark":
        return cls() if stored is None else cls(seq=stored["seq"], own=stored["own"])


def parties_of(thread: Stored) -> Parties:
    order = thread["order"]
    return Parties(
        order_id=thread["_id"],
        customer_id=order["customer"]["id"],
        seller_id=order["seller"]["id"],
        guest=order["customer"]["guest"],
    )


def messages_path(order_id: OrderId) -> str:
    return f"/v1/orders/{quote(order_id, safe=':~')}/messages"


def author_view(author: Stored) -> PublicAuthor:
    return PublicAuthor(side=author["side"], name=author["name"])


def dispute_view(stored: Stored | None) -> DisputeView | None:
    """The dispute as both sides see it: authors without their logins."""
    return None if stored is None else queries.dispute_view(Dispute.model_validate(stored))


def new_for(person: str, thread: Stored, mark: Mark) -> int:
    """How many entries of others are above the person's own mark: from kept numbers, without looking at an entry."""
    after = thread.get("after", {})
    return new_entries(
        seq=thread.get("seq", 0),
        imported=after.get("imported", 0),
        own=entries_of(person, after),
        mark_seq=mark.seq,
        mark_own=mark.own,
    )


def entries_of(person: str, after: Stored) -> int:
    """How many entries (imported ones aside) this person had made after an entry."""
    return next((each["count"] for each in after.get("persons", NO_PERSONS) if each["person"] == person), 0)


def thread_summary(thread: Stored, caller: Caller, mark: Mark) -> ThreadSummary:
    after, last = thread.get("after", {}), last_entry(thread.get("last"), caller.person)
    return ThreadSummary(
        last_seq=thread.get("seq", 0),
        unread=thread.get("unread", {}).get(caller.side, 0),
        new_for_me=new_for(caller.person, thread, mark),
        last=last,
        dispute=dispute_view(after.get("dispute")),
        waiting_since=after.get("waiting_since"),
        active_at=None if last is None else last.at,
        seen_by=seen_by(thread, caller.side),
    )


def seen_by(thread: Stored, side: Side | None) -> SeenBy:
    """How far the others have read, as far as this side may know."""
    if side is None:
        return SeenBy()
    marks, others = thread.get("marks", {}), MARKS_SEEN[parties_of(thread).sold_by][side]
    return SeenBy.model_validate({each: furthest_of(marks.get(each)) for each in others})


def last_entry(last: Stored | None, person: str) -> LastEntry | None:
    if last is None:
        return None
    return LastEntry(
        seq=last["seq"],
        kind=last["kind"],
        author=author_view(last["author"]),
        excerpt=last["excerpt"],
        at=last["at"],
        mine=last["author"]["person"] == person,
    )


def customer_view(customer: Stored, side: Side) -> PartyView:
    """A seller sees the customer's name alone: their id belongs to the shop."""
    return PartyView(
        id=None if side == "seller" else customer["id"], name=customer["name"], guest=customer.get("guest", False)
    )


def _sold_by(seller: Stored | None) -> SoldBy:
    return "shop" if seller is None else sold_by(seller["id"])


def seller_view(seller: Stored | None, shop: str) -> PartyView:
    """The seller; where the shop itself sells, `shop` is what it is called."""
    if seller is None or _sold_by(seller) == "shop":
        return PartyView(id=SHOP_SELLER_ID, name=shop)
    return PartyView(id=seller["id"], name=seller["name"])


def order_summary(thread: Stored, side: Side, *, shop: str) -> OrderSummary:
    order = thread["order"]
    return OrderSummary(
        order_id=thread["_id"],
        status=order["status"],
        placed_at=order["placed_at"],
        url=order["url"],
        customer=customer_view(order["customer"], side),
        seller=seller_view(order["seller"], shop),
        sold_by=_sold_by(order["seller"]),
        first_item=order["first_item"],
        item_count=order["item_count"],
        total=order["total"],
        currency=order["currency"],
    )


def order_details(thread: Stored, snapshot: Stored, side: Side, *, shop: str) -> OrderDetails:
    """The whole snapshot as this side sees it: no address, whosever it is. Its date is the projection's, in UTC as in every list."""
    items = snapshot["items"]
    return OrderDetails(
        order_id=snapshot["order_id"],
        version=snapshot["version"],
        status=snapshot["status"],
        placed_at=thread["order"]["placed_at"],
        url=snapshot.get("url"),
        customer=customer_view(snapshot["customer"], side),
        seller=seller_view(snapshot["seller"], shop),
        sold_by=_sold_by(snapshot["seller"]),
        first_item=items[0]["name"] if items else None,
        item_count=len(items),
        total=snapshot["total"],
        currency=snapshot["currency"],
        items=items,
    )


def thread_row(thread: Stored, caller: Caller, side: Side, mark: Mark, *, shop: str) -> ThreadRow:
    return ThreadRow(
        order=order_summary(thread, side, shop=shop),
        thread=thread_summary(thread, caller, mark),
        messages=messages_path(thread["_id"]),
    )


def order_view(
    thread: Stored, snapshot: Stored, caller: Caller, side: Side, mark: Mark, *, watching: bool | None, shop: str
) -> OrderView:
    summary = thread_summary(thread, caller, mark)
    is_open = summary.dispute is not None and summary.dispute.state == "open"
    return OrderView(
        order=order_details(thread, snapshot, side, shop=shop),
        thread=summary,
        available_actions=access.available_actions(caller, parties_of(thread), dispute_open=is_open),
        watching=watching,
        messages=messages_path(thread["_id"]),
    )


def message(entry: Stored, person: str | None, mark: Mark) -> Message:
    """An entry as this person sees it. Own and imported entries are new for nobody; an imported one shows its own time."""
    mine, imported = entry["author"]["person"] == person, entry["imported"]
    return Message(
        id=entry["_id"],
        order_id=entry["order_id"],
        seq=entry["seq"],
        kind=entry["kind"],
        author=author_view(entry["author"]),
        text=entry["text"],
        redacted=entry["redacted"],
        imported=imported,
        mine=mine,
        new=entry["seq"] > mark.seq and not mine and not imported,
        at=entry["accepted_at"] if imported else entry["committed_at"],
        accepted_at=entry["accepted_at"],
        reason=entry.get("reason"),
        outcome=entry.get("outcome"),
    )


def preferences(stored: Stored | None) -> Preferences:
    """What the person chose, or the defaults: all mails, in the order's language."""
    if stored is None:
        return Preferences(mails=MailChoices(), locale=None)
    choices = MailChoices(messages=stored["messages"], disputes=stored["disputes"])
    return Preferences(mails=choices, locale=stored.get("locale"), time_zone=stored.get("time_zone"))
