"""Who may do what to a thread (DESIGN section 5), pure: the worker decides by this table, and callers are shown what it says."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final, assert_never, get_args

from shared.callers import Caller
from shared.errors import not_found, refuse
from shared.fields import DisputeOutcome, Side, SoldBy
from shared.orders import sold_by
from shared.queries import Action

EVERY_SIDE: Final[frozenset[Side]] = frozenset(("customer", "seller", "shop"))

ALLOWED: Final[Mapping[Action, frozenset[Side]]] = {
    "post": EVERY_SIDE,
    "open_dispute": frozenset(("customer", "shop")),
    "close_dispute": frozenset(("customer", "shop")),
    "mark_read": EVERY_SIDE,
    "redact": frozenset(("shop",)),
    "watch": frozenset(("shop",)),
}

# Who may close a dispute as what. To reject one is a decision, and the shop's; all else is something that either can truly report.
CLOSES_AS: Final[Mapping[DisputeOutcome, frozenset[Side]]] = {
    "resolved": frozenset(("customer", "shop")),
    "refunded": frozenset(("customer", "shop")),
    "replaced": frozenset(("customer", "shop")),
    "withdrawn": frozenset(("customer", "shop")),
    "rejected": frozenset(("shop",)),
}

IN_WORDS: Final[Mapping[Action, str]] = {
    "post": "write here",
    "open_dispute": "open a dispute",
    "close_dispute": "close a dispute",
    "mark_read": "mark messages as read",
    "redact": "take a text out",
    "watch": "watch a thread",
}


@dataclass(frozen=True, slots=True)
class Parties:
    """Between whom an order is. `guest`: the customer has no account yet, so a guest's link opens the thread.

    Where the shop itself sells, `seller_id` is `~shop`, and nobody sees the order as a seller. `version` and `digest` are those of the
    snapshot which says so, where it was asked for.
    """

    order_id: str
    customer_id: str
    seller_id: str
    guest: bool
    version: int | None = None
    digest: str | None = None

    @property
    def sold_by(self) -> SoldBy:
        return sold_by(self.seller_id)


def side_of(caller: Caller, parties: Parties) -> Side | None:
    """The side on which the caller sees this order; None where for them it does not exist."""
    match caller.role:
        case "customer":
            sees = caller.id == parties.customer_id
        case "guest":
            sees = parties.guest and (caller.order_id, caller.id) == (parties.order_id, parties.customer_id)
        case "seller":
            sees = parties.sold_by == "seller" and caller.seller_id == parties.seller_id
        case "admin":
            sees = True
        case "service":
            sees = False
        case _:
            assert_never(caller.role)
    return caller.side if sees else None


def may(caller: Caller, action: Action, parties: Parties) -> bool:
    """Whether the caller may do this to the order's thread at all, whatever state its dispute is in."""
    return side_of(caller, parties) in ALLOWED[action]


def available_actions(caller: Caller, parties: Parties, *, dispute_open: bool) -> list[Action]:
    """What the caller may do now: the table, less the step of a dispute that its state does not take."""
    out_of_turn: Action = "open_dispute" if dispute_open else "close_dispute"
    actions: tuple[Action, ...] = get_args(Action)
    return [action for action in actions if action != out_of_turn and may(caller, action, parties)]


def require(caller: Caller, action: Action, parties: Parties) -> Side:
    """The side that the caller acts for.

    Raises not_found where the order does not exist for the caller, not_allowed where they see it but may not do this.
    """
    side = side_of(caller, parties)
    if side is None:
        raise not_found(parties.order_id)
    if side not in ALLOWED[action]:
        raise refuse("not_allowed", f"As the {side} of this order you may not {IN_WORDS[action]}.")
    return side


def is_mailed(person: str, parties: Parties) -> bool:
    """Whether the person with this mailbox (`Caller.mailbox`) may have mails about this order: a party, or one of the shop's staff.

    A guest's link may be followed when they have an account by then: they are the same customer.
    """
    own = {f"customer:{parties.customer_id}", f"guest:{parties.order_id}", f"seller:{parties.seller_id}"}
    return person in own or person.startswith("admin:")


def require_outcome(side: Side, outcome: DisputeOutcome) -> None:
    """Raises not_allowed where a dispute's end is not this side's to say."""
    if side in CLOSES_AS[outcome]:
        return
    open_to_them = [each for each, sides in CLOSES_AS.items() if side in sides]
    which = f"{', '.join(open_to_them[:-1])} or {open_to_them[-1]}"
    raise refuse(
        "not_allowed", f"As the {side} of this order you may not close a dispute as {outcome}, but as {which}."
    )


def inbox_key(caller: Caller) -> str | None:
    """The inbox whose lists and badges the caller sees: all logins of a seller share one, and so do all admins. None for a service."""
    match caller.role:
        case "customer" | "guest":
            return f"customer:{caller.id}"
        case "seller":
            return f"seller:{caller.seller_id}"
        case "admin":
            return "shop"
        case "service":
            return None
        case _:
            assert_never(caller.role)
