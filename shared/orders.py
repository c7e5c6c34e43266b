"""The order snapshot: what a shop says about an order, over AMQP or `PUT /v1/orders/{order_id}`."""

from datetime import datetime
from typing import Annotated, Any, Final, Literal

from pydantic import AfterValidator, Field, StringConstraints, TypeAdapter, ValidationInfo, model_validator

from shared.callers import SHOP_SELLER_ID
from shared.contracts import cloudevents
from shared.contracts.cloudevents import Attribute, JsonMediaType, Timestamp, UriReference
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
    SoldBy,
    WebAddress,
    WholeNumber,
)

MAX_ITEMS = 2_000
UNNAMED_SHOP: Final = "Shop"

OrderEventType = Literal["parley.order.placed.v1", "parley.order.updated.v1", "parley.order.cancelled.v1"]


def _not_the_shop(value: str) -> str:
    if value == SHOP_SELLER_ID:
        raise ValueError(f"must not be {SHOP_SELLER_ID}: leave seller out where the shop itself sells")
    return value


def sold_by(seller_id: str) -> SoldBy:
    """Who sells, by the seller's id as it stands in events, answers and documents."""
    return "shop" if seller_id == SHOP_SELLER_ID else "seller"


SellerId = Annotated[
    PersonId, AfterValidator(_not_the_shop), Field(json_schema_extra={"not": {"const": SHOP_SELLER_ID}})
]


class Customer(Contract):
    """Who bought. `guest` is true while the buyer has no account: a link in the mail then opens the thread."""

    id: PersonId
    name: ShownName
    email: EmailAddress | None = None
    locale: Locale = "en"
    guest: bool = False


class Seller(Contract):
    """Who sells in a marketplace; one seller may have any number of logins, all with this id as `seller_id` in their tokens."""

    id: SellerId
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

    Without `seller` the shop itself sells: its staff (the role `admin`) answer, and its mailbox gets the customer's messages.
    """

    order_id: OrderId
    version: OrderVersion
    status: Annotated[str, StringConstraints(min_length=1, max_length=64)]
    placed_at: Moment
    url: WebAddress | None = None
    customer: Customer
    seller: Seller | None = None
    items: Annotated[list[Item], Field(max_length=MAX_ITEMS)]
    total: Money
    currency: Currency
    updated_at: Timestamp | None = None

    @property
    def seller_id(self) -> PersonId:
        """As it stands in events, answers and documents: `~shop` for the shop itself."""
        return SHOP_SELLER_ID if self.seller is None else self.seller.id

    @property
    def sold_by(self) -> SoldBy:
        return sold_by(self.seller_id)


class NamedSeller(Seller):
    """The seller as Parley's own messages name it: the shop itself is one too, with the id `~shop`."""

    id: PersonId


class SoldOrder(OrderSnapshot):
    """An order in Parley's own messages. It always has a `seller`, because readers of the first release know no order without one."""

    seller: NamedSeller

    @classmethod
    def of(cls, snapshot: OrderSnapshot, *, shop: str) -> "SoldOrder":
        """The snapshot with its seller; `shop` is what the shop is called, where it sells the order itself."""
        seller = {"id": SHOP_SELLER_ID, "name": shop} if snapshot.seller is None else dict(snapshot.seller)
        return cls.model_construct(**{**dict(snapshot), "seller": NamedSeller.model_construct(**seller)})

    def snapshot(self) -> OrderSnapshot:
        """The order as the shop described it."""
        is_the_shops = self.seller.id == SHOP_SELLER_ID
        seller = None if is_the_shops else Seller.model_construct(**dict(self.seller))
        return OrderSnapshot.model_construct(**{**dict(self), "seller": seller})


class OrderEvent(Envelope):
    """What a shop publishes on `shop.orders` when an order was placed, updated or cancelled: the whole snapshot, every time.

    `source` is the publishing service's own name. The three types mean the same to Parley: the snapshot says what the order now is.
    Structured, or binary with the attributes in headers (`ce-…`, `cloudEvents_…`, `cloudEvents:…`); `time` may be left out; the data is
    JSON, as `data` or `data_base64`, and `datacontenttype` any media type of it. A batch is not taken.
    """

    specversion: Literal["1.0"]
    id: Attribute
    source: UriReference
    type: OrderEventType
    time: Timestamp | None = None  # type: ignore[assignment]  # what shops send may leave it out; what we send does not
    datacontenttype: JsonMediaType = "application/json"  # type: ignore[assignment]  # a shop's may be another one of JSON
    data: OrderSnapshot

    @model_validator(mode="before")
    @classmethod
    def _is_a_cloud_event(cls, value: Any, info: ValidationInfo) -> Any:
        return cloudevents.checked(value) if info.mode == "json" and isinstance(value, dict) else value


class RelayedOrderEvent(OrderEvent):
    """The same, published by the gateway for `PUT /v1/orders/{order_id}`."""

    data: SoldOrder


ORDER_EVENT: TypeAdapter[OrderEvent] = TypeAdapter(OrderEvent)
RELAYED_ORDER_EVENT: TypeAdapter[RelayedOrderEvent] = TypeAdapter(RelayedOrderEvent)


def order_event(snapshot: OrderSnapshot, *, source: str, now: datetime) -> OrderEvent:
    """The event that announces a snapshot; its id is made of order and version, so that a copy has the same."""
    kind: OrderEventType = "parley.order.cancelled.v1" if snapshot.status == "cancelled" else "parley.order.updated.v1"
    return OrderEvent(
        specversion="1.0",
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
