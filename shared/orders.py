"""The order snapshot: what a shop says about an order, over AMQP or `PUT /v1/orders/{order_id}`."""

from datetime import datetime
from typing import Annotated, Literal

from pydantic import Field, StringConstraints, TypeAdapter

from shared.envelope import Envelope
from shared.fields import (
    Contract,
    Currency,
    EmailAddress,
    Locale,
    Moment,
    Money,
    OrderId,
    OrderVersion,
    PersonId,
    ShownName,
    WebAddress,
    WholeNumber,
)

MAX_ITEMS = 2_000

OrderEventType = Literal["parley.order.placed.v1", "parley.order.updated.v1", "parley.order.cancelled.v1"]


class Customer(Contract):
    """Who bought. `guest` is true while the buyer has no account: a link in the mail then opens the thread."""

    id: PersonId
    name: ShownName
    email: EmailAddress | None = None
    locale: Locale = "en"
    guest: bool = False


class Seller(Contract):
    """Who sells; one seller may have any number of logins, all with this id as `seller_id` in their tokens."""

    id: PersonId
    name: ShownName
    email: EmailAddress | None = None
    locale: Locale = "en"


class Item(Contract):
    """One line of the order; `price` is for one piece, in the order's currency."""

    sku: Annotated[str, StringConstraints(max_length=200)]
    name: Annotated[str, StringConstraints(max_length=500)]
    quantity: Annotated[int, Field(ge=0, le=1_000_000_000), WholeNumber]
    price: Money


class OrderSnapshot(Contract):
    """The whole order as it now is. Published by the shop at every change that customer or seller should see.

    `version` grows with every change: an older one changes nothing, the same one with the same content neither. Contents are compared
    by value: moments as instants, amounts as numbers. Of the same version with other content, the one with the newer source time
    stands; where the two are equal, or one has none, the later is refused (`version_conflict`). The source time is `updated_at`, else
    the event's `time`: the moment of the change by the shop's own clock, the same in every copy. The ids of customer and seller are
    fixed by the first snapshot; only a guest may become an account.
    """

    order_id: OrderId
    version: OrderVersion
    status: Annotated[str, StringConstraints(min_length=1, max_length=64)]
    placed_at: Moment
    url: WebAddress | None = None
    customer: Customer
    seller: Seller
    items: Annotated[list[Item], Field(max_length=MAX_ITEMS)]
    total: Money
    currency: Currency
    updated_at: Moment | None = None


class OrderEvent(Envelope):
    """What a shop publishes on `shop.orders` when an order was placed, updated or cancelled: the whole snapshot, every time.

    `source` is the publishing service's own name. The three types mean the same to Parley: the snapshot says what the order now is.
    """

    type: OrderEventType
    data: OrderSnapshot


ORDER_EVENT: TypeAdapter[OrderEvent] = TypeAdapter(OrderEvent)


def order_event(snapshot: OrderSnapshot, *, source: str, now: datetime) -> OrderEvent:
    """The event that announces a snapshot; its id is made of order and version, so that a copy has the same."""
    kind: OrderEventType = "parley.order.cancelled.v1" if snapshot.status == "cancelled" else "parley.order.updated.v1"
    return OrderEvent(
        id=f"{snapshot.order_id}.{snapshot.version}",
        source=source,
        type=kind,
        subject=snapshot.order_id,
        time=now,
        data=snapshot,
    )


def order_routing_key(event: OrderEvent) -> str:
    """`order.updated` for `parley.order.updated.v1`."""
    return event.type.removeprefix("parley.").rpartition(".")[0]
