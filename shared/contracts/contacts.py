"""Where mails about a thread go: whose address it is, which of two states of it is the newer, and its key. Pure."""

from typing import Annotated, Final, Literal

from pydantic import StringConstraints

from shared.contracts.keys import MAIN_SHOP, join_key

ContactRole = Literal["customer", "seller", "shop", "watcher"]
ContactVersion = Annotated[str, StringConstraints(min_length=1, max_length=64)]

# Whose mails those to the shop's own mailbox are.
SHOP_MAILBOX: Final = "shop"
# Where an order's id would stand: the shop's mailbox is the same for all its threads. No order id begins so.
ALL_THREADS: Final = "*"


def order_version(version: int, changes: int = 0) -> ContactVersion:
    """The version of a contact that an order's snapshot names, to be compared as text: a newer snapshot's is greater.

    `version` is the snapshot's; `changes` counts how often a snapshot of this same version was replaced. The greatest version, 2^53, has
    16 digits.
    """
    return f"{version:016d}.{changes:06d}"


def contact_place(person: str) -> str:
    """The place in a thread of the person with this mailbox (`Caller.mailbox`): guest and account are one customer, a watcher is themselves."""
    role = person.partition(":")[0]
    match role:
        case "customer" | "guest":
            return "customer"
        case "seller":
            return role
        case _:
            return person


def contact_key(role: ContactRole, person: str, thread_id: str | None, *, shop_id: str = MAIN_SHOP) -> str:
    """The key of a contact. A thread has one customer, one seller, and any number of watchers; the shop's mailbox is that of all threads.

    A customer who begins as a guest and becomes an account is one contact.
    """
    if role == "shop":
        return join_key(ALL_THREADS, role, shop_id=shop_id)
    if thread_id is None:
        raise ValueError(f"a {role} is one of a thread")
    return join_key(thread_id, person if role == "watcher" else role, shop_id=shop_id)
