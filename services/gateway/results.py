"""What writes answer with when they are done, beyond the messages, disputes and preferences of shared.queries."""

from typing import Literal

from shared.errors import Problem
from shared.fields import Grown, OrderId, OrderVersion, Seq


class MarkResult(Grown):
    """Where the caller's mark now is, and what is new in their inbox."""

    order_id: OrderId
    up_to_seq: Seq
    unread: int


class ThreadNotMarked(Grown):
    """A thread whose mark could not be set, and why."""

    order_id: OrderId
    problem: Problem


class MarksResult(Grown):
    """What became of each thread, or where everything was marked of the first hundred, and how many were marked."""

    threads: list[MarkResult | ThreadNotMarked]
    marked: int


class WatchResult(Grown):
    """Whether the caller watches the thread now."""

    watching: bool


class OrderTaken(Grown):
    """The order event that RabbitMQ has; `Location` says what becomes of it."""

    order_id: OrderId
    version: OrderVersion


class OrderDecided(OrderTaken):
    """What became of the snapshot: `stands` is false where a newer one stands, which is no fault of anybody's."""

    stands: bool


class GuestSession(Grown):
    """A bearer token for one thread, for `expires_in` seconds."""

    access_token: str
    token_type: Literal["Bearer"] = "Bearer"  # noqa: S105 - the name of a scheme
    expires_in: int
    order_id: OrderId
