"""What the caller's role alone decides, pure. Everything that depends on the order, threads decides when it applies the command."""

from shared.callers import Caller
from shared.errors import not_found, refuse
from shared.fields import OrderId


def on_thread(caller: Caller, order_id: OrderId) -> Caller:
    """The caller, who may have something to do with this thread. Raises not_found for a service, and for a guest of another order."""
    if caller.role == "service" or (caller.role == "guest" and caller.order_id != order_id):
        raise not_found(order_id)
    return caller


def with_inbox(caller: Caller) -> Caller:
    """The caller, who is a person. A service has no inbox, no marks and no mails."""
    if caller.role == "service":
        raise refuse("forbidden", "A service has no inbox. Use the token of a customer, a seller or an administrator.")
    return caller


def staff(caller: Caller) -> Caller:
    """The caller, who is one of the shop's staff."""
    if caller.role != "admin":
        raise refuse("forbidden", "Only the shop's administrators may do that. Use a token with the role admin.")
    return caller


def service(caller: Caller) -> Caller:
    """The caller, who is one of the shop's services."""
    if caller.role != "service":
        raise refuse("forbidden", "Only the shop's services may do that. Use a token with the role service.")
    return caller
