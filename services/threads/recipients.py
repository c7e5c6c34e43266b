"""Who is mailed about an entry, pure: both parties but its author, watchers, and the administrators' address while there is a dispute."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from services.threads.thread import Entry
from shared.callers import Caller
from shared.fields import Locale, Side
from shared.orders import OrderSnapshot

SHOP_MAILBOX = "shop"


@dataclass(frozen=True, slots=True)
class Watcher:
    """An administrator who watches a thread; `person` is their caller key."""

    order_id: str
    person: str
    name: str
    email: str
    locale: Locale


@dataclass(frozen=True, slots=True)
class Choices:
    """What a person wants by mail, and in which language (None: as the order says)."""

    messages: bool = True
    disputes: bool = True
    locale: Locale | None = None


@dataclass(frozen=True, slots=True)
class Addressee:
    """One person to be mailed."""

    person: str
    inbox: Side
    name: str
    email: str
    locale: Locale
    guest: bool = False


EVERYTHING = Choices()


def parties_by_mail(order: OrderSnapshot) -> tuple[Addressee, ...]:
    """Customer and seller, as far as they have an address."""
    return tuple(each for each in (_customer(order), _seller(order)) if each is not None)


def addressees(
    entry: Entry, parties: Iterable[Addressee], *, watchers: Iterable[Watcher], administrators: Addressee | None
) -> list[Addressee]:
    """Everybody whom the entry concerns and who has an address, before preferences. Imported entries concern nobody any more."""
    if entry.imported or entry.redacted:
        return []
    everybody = [*parties] + [Addressee(each.person, "shop", each.name, each.email, each.locale) for each in watchers]
    if administrators is not None and _concerns_administrators(entry):
        everybody.append(administrators)
    return [each for each in everybody if not _wrote(entry, each)]


def wanted(people: Iterable[Addressee], entry: Entry, choices: Mapping[str, Choices]) -> list[Addressee]:
    """Those who have not switched off mails of this kind, in the language of their choice."""
    kept = []
    for each in people:
        choice = choices.get(each.person, EVERYTHING)
        if choice.messages if entry.kind == "text" else choice.disputes:
            kept.append(
                Addressee(each.person, each.inbox, each.name, each.email, choice.locale or each.locale, each.guest)
            )
    return kept


def _concerns_administrators(entry: Entry) -> bool:
    dispute = entry.after.dispute
    return entry.kind != "text" or (dispute is not None and dispute.state == "open")


def _wrote(entry: Entry, addressee: Addressee) -> bool:
    """A party's address stands for its whole side, and so does the administrators'; a watcher is one person."""
    if addressee.person.startswith("admin:"):
        return entry.author.person == addressee.person
    return entry.author.side == addressee.inbox


def _customer(order: OrderSnapshot) -> Addressee | None:
    customer = order.customer
    if customer.email is None:
        return None
    role = "guest" if customer.guest else "customer"
    caller = Caller(role=role, id=customer.id, name=customer.name, order_id=order.order_id)
    return Addressee(caller.mailbox, "customer", customer.name, customer.email, customer.locale, customer.guest)


def _seller(order: OrderSnapshot) -> Addressee | None:
    seller = order.seller
    if seller.email is None:
        return None
    caller = Caller(role="seller", id=seller.id, name=seller.name, seller_id=seller.id)
    return Addressee(caller.mailbox, "seller", seller.name, seller.email, seller.locale)
