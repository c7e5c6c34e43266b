"""Where the mails of a thread's people go, and since when: what the notifier is told of a change. Pure.

A stored order says for customer and seller at which version its snapshots last changed what is said of them (`contacts`). The first snapshot
changes nothing: no entry was addressed before it.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final, Literal

import structlog
from pydantic import ValidationError

from shared.callers import SHOP_SELLER_ID, Caller
from shared.contracts.contacts import ContactRole, ContactVersion, order_version
from shared.fields import Locale, OrderId
from shared.logs import logged
from shared.mongo import Document
from shared.orders import Customer, Seller

log = structlog.get_logger(__name__)

Party = Literal["customer", "seller"]
PARTIES: Final[tuple[Party, ...]] = ("customer", "seller")
# What of a stored order is needed to tell.
FIELDS: Final[Document] = {"version": 1, "changes": 1, "contacts": 1, "snapshot.customer": 1, "snapshot.seller": 1}


@dataclass(frozen=True, slots=True)
class Contact:
    """One person's place in a thread (None: in all of the shop's) from this version on; without an address (`email` None) nothing is mailed."""

    thread_id: OrderId | None
    role: ContactRole
    person: str
    version: ContactVersion
    name: str
    email: str | None
    locale: Locale
    guest: bool = False


def version_of(order: Document) -> ContactVersion:
    """The version of what a stored order says of its people."""
    return order_version(order["version"], order.get("changes", 0))


def changes_of(new: Document, stored: Document) -> int:
    """How often a snapshot of the new one's version was replaced by another of the same."""
    return int(stored.get("changes", 0)) + 1 if new["version"] == stored["version"] else 0


def changed_at(new: Document, stored: Document) -> dict[str, ContactVersion]:
    """For each party, the version at which it was last changed, once `new` stands where `stored` stood.

    Release 0.1 kept no such thing: an order that it stored last may have been changed by it without a word, so it counts as changed.
    """
    known: Mapping[str, ContactVersion] | None = stored.get("contacts")
    if known is None:
        return dict.fromkeys(PARTIES, version_of(new))
    changed = [role for role in PARTIES if new["snapshot"].get(role) != stored["snapshot"].get(role)]
    return {**known, **dict.fromkeys(changed, version_of(new))}


def since(order: Document, version: ContactVersion) -> list[Contact]:
    """The contacts of a stored order that were changed at this version or later, as they stand; one that cannot be read is missing."""
    known: Mapping[str, ContactVersion] = order.get("contacts") or {}
    found = []
    for role in PARTIES:
        stored = order["snapshot"].get(role)
        if stored is None or stored.get("id") == SHOP_SELLER_ID or known.get(role, "") < version:
            continue
        try:
            found.append(_party(order["_id"], role, known[role], stored))
        except ValidationError as error:
            log.error("contact_not_readable", order=logged(order["_id"]), role=role, errors=error.error_count())
    return found


def _party(order_id: OrderId, role: Party, version: ContactVersion, stored: Document) -> Contact:
    party = Customer.model_validate(stored) if role == "customer" else Seller.model_validate(stored)
    guest = isinstance(party, Customer) and party.guest
    if role == "seller":
        caller = Caller(role="seller", id=party.id, name=party.name, seller_id=party.id)
    else:
        caller = Caller(role="guest" if guest else "customer", id=party.id, name=party.name, order_id=order_id)
    return Contact(order_id, role, caller.mailbox, version, party.name, party.email, party.locale, guest)
