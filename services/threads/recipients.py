"""Who is mailed about an entry, pure: both parties but its author, watchers, and the administrators' address while there is a dispute.

Where the shop itself sells, the administrators' address is a party's: it gets every entry of the customer's.
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace

from services.threads.addresses import mailbox
from services.threads.thread import Entry
from shared.callers import Caller
from shared.contracts.choices import Choice, decide
from shared.contracts.contacts import ContactVersion
from shared.fields import Locale, OrderId, Side, SoldBy, TimeZone
from shared.orders import OrderSnapshot


@dataclass(frozen=True, slots=True)
class Watcher:
    """An administrator who watches a thread; `person` is their caller key, `version` says which of their watches it is."""

    order_id: str
    person: str
    name: str
    email: str
    locale: Locale
    version: ContactVersion


@dataclass(frozen=True, slots=True)
class Choices:
    """What a person wants by mail, in which language (None: as the order says) and time zone (None: the shop's); `since` is when each was chosen."""

    messages: bool = True
    disputes: bool = True
    locale: Locale | None = None
    time_zone: TimeZone | None = None
    since: Mapping[Choice, str] = field(default_factory=dict)

    def said_of(self, choice: Choice) -> tuple[bool, str]:
        return (self.messages if choice == "messages" else self.disputes), self.since.get(choice, "")


@dataclass(frozen=True, slots=True)
class Addressee:
    """One person to be mailed; `version` is that of the address."""

    person: str
    inbox: Side
    name: str
    email: str
    locale: Locale
    version: ContactVersion
    guest: bool = False


ScopesOf = Callable[[Addressee, OrderId], Iterable[str]]
"""Whose choices count for an addressee in the thread of an order."""


def parties_by_mail(order: OrderSnapshot, version: ContactVersion) -> tuple[Addressee, ...]:
    """Customer and seller, as far as they have an address."""
    return tuple(each for each in (_customer(order, version), _seller(order, version)) if each is not None)


def addressees(
    entry: Entry,
    parties: Iterable[Addressee],
    *,
    sold_by: SoldBy = "seller",
    watchers: Iterable[Watcher],
    administrators: Addressee | None,
) -> list[Addressee]:
    """Everybody whom the entry concerns and who has an address, before preferences. Imported entries concern nobody any more."""
    if entry.imported or entry.redacted:
        return []
    everybody = [*parties]
    if administrators is not None and (sold_by == "shop" or _concerns_administrators(entry)):
        everybody.append(administrators)
    everybody += [_watcher(each) for each in watchers]
    return [each for each in everybody if not _wrote(entry, each)]


def wanted(
    people: Iterable[Addressee], entry: Entry, choices: Mapping[str, Choices], scopes_of: ScopesOf
) -> list[Addressee]:
    """Those who have not switched off mails of this kind, themselves or for their address, in the language of their choice."""
    kind: Choice = "messages" if entry.kind == "text" else "disputes"
    kept = []
    for each in people:
        found = [choices[scope] for scope in scopes_of(each, entry.order_id) if scope in choices]
        if decide(choice.said_of(kind) for choice in found):
            own = choices.get(each.person)
            kept.append(replace(each, locale=(own.locale if own is not None else None) or each.locale))
    return kept


def one_a_mailbox(people: Iterable[Addressee]) -> list[Addressee]:
    """Of those with the same address the first: one mailbox gets an entry once, whoever its owner is in the thread."""
    first: dict[str, Addressee] = {}
    for each in people:
        first.setdefault(mailbox(each.email), each)
    return list(first.values())


def _concerns_administrators(entry: Entry) -> bool:
    dispute = entry.after.dispute
    return entry.kind != "text" or (dispute is not None and dispute.state == "open")


def _wrote(entry: Entry, addressee: Addressee) -> bool:
    """A party's address stands for its whole side, and so does the administrators'; a watcher is one person."""
    if addressee.person.startswith("admin:"):
        return entry.author.person == addressee.person
    return entry.author.side == addressee.inbox


def _watcher(watcher: Watcher) -> Addressee:
    return Addressee(watcher.person, "shop", watcher.name, watcher.email, watcher.locale, watcher.version)


def _customer(order: OrderSnapshot, version: ContactVersion) -> Addressee | None:
    customer = order.customer
    if customer.email is None:
        return None
    role = "guest" if customer.guest else "customer"
    caller = Caller(role=role, id=customer.id, name=customer.name, order_id=order.order_id)
    return Addressee(
        caller.mailbox, "customer", customer.name, customer.email, customer.locale, version, customer.guest
    )


def _seller(order: OrderSnapshot, version: ContactVersion) -> Addressee | None:
    seller = order.seller
    if seller is None or seller.email is None:
        return None
    caller = Caller(role="seller", id=seller.id, name=seller.name, seller_id=seller.id)
    return Addressee(caller.mailbox, "seller", seller.name, seller.email, seller.locale, version)
