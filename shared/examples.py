"""One example of every message: what docs/asyncapi.yaml shows, and what the golden files under tests/contracts/ were made of."""

from datetime import UTC, datetime
from typing import Any, Final

from shared import commands, events
from shared.callers import SHOP_SELLER_ID, Author, Caller
from shared.contracts.contacts import order_version
from shared.envelope import Envelope
from shared.orders import Customer, Item, OrderEvent, OrderSnapshot, Seller, SoldOrder

NOW: Final = datetime(2026, 11, 23, 9, 30, 0, 120_000, tzinfo=UTC)
ORDER_ID: Final = "1042"
STAMP: Final = "019cb2d4-5a00-7c3e-8f21-3d5f6a7b8c9d"
POST_ID: Final = "aebagbafaydqqcikbmga2dqpcaireeyuculbogazdi"
UNSUBSCRIBE_TOKEN: Final = "eyJ0eXAiOiJwYXJsZXktdW5zdWJzY3JpYmUrand0In0.e30.c2ln"  # noqa: S105 - it opens nothing
ADDRESS_KEY: Final = "4vhd5uxh6yclvtbzg2wqm4lq6u"
EARLIER_ID: Final = "aebagbafaydqqcikbmga2dqpcaireeyuculboga2dm"
DISPUTE_ID: Final = "aebagbafaydqqcikbmga2dqpcaireeyuculbogb7ie"

CUSTOMER: Final = Caller(role="customer", id="c-7", name="Ada Lovelace")
SELLER: Final = Caller(role="seller", id="u-3", name="Bob", seller_id="s-1")
ADMIN: Final = Caller(role="admin", id="a-1", name="Grace")
SERVICE: Final = Caller(role="service", id="old-desk", name="old-desk")

BY_CUSTOMER: Final = Author(side="customer", person="customer", name="Ada Lovelace")
BY_SELLER: Final = Author(side="seller", person="seller:u-3", name="Bob")
BY_STAFF: Final = Author(side="shop", person="admin:a-1", name="Grace")

ORDER: Final = OrderSnapshot(
    order_id=ORDER_ID,
    version=3,
    status="shipped",
    placed_at=datetime(2026, 11, 20, 17, 5, tzinfo=UTC),
    url="https://shop.example/orders/1042",
    customer=Customer(id="c-7", name="Ada Lovelace", email="ada@example.com", locale="en"),
    seller=Seller(id="s-1", name="Fine Lamps", email="lamps@example.com", locale="de"),
    items=[Item(sku="L-20", name="Reading lamp", quantity=2, price="19.90")],
    total="39.80",
    currency="EUR",
)
# The same, sold by the shop itself.
OWN_ORDER: Final = SoldOrder.of(ORDER.model_copy(update={"seller": None}), shop="Lamp House")

DISPUTE: Final = events.Dispute(
    id=DISPUTE_ID, state="open", reason="damaged", opened_by=BY_CUSTOMER, opened_at=NOW, opened_seq=3
)
CLOSED_DISPUTE: Final = events.Dispute(
    **{
        **DISPUTE.model_dump(),
        "state": "closed",
        "outcome": "refunded",
        "closed_by": BY_CUSTOMER,
        "closed_at": NOW,
        "closed_seq": 4,
    }
)


def _command(kind: type[commands.CommandEnvelope], **data: Any) -> Envelope:
    return kind.model_validate(
        {"id": POST_ID, "stamp": STAMP, "time": NOW, "subject": data.get("order_id"), "data": data}
    )


def _entry(kind: str, seq: int, text: str | None, author: Author, id: str = POST_ID) -> events.Said:  # noqa: A002 - the contract's name
    return events.Said.model_validate(
        {
            "id": id,
            "seq": seq,
            "kind": kind,
            "author": author,
            "text": text,
            "accepted_at": NOW,
            "committed_at": NOW,
        }
    )


def _made(entry: events.Said, dispute: events.Dispute | None) -> dict[str, Any]:
    counts = (
        {"customer": 2, "seller": entry.seq - 2, "shop": 0}
        if entry.seq > 2
        else {"customer": 1, "seller": 1, "shop": 0}
    )
    state = {"seq": entry.seq, "entries_by_side": counts, "dispute": dispute, "waiting_since": None}
    return {**_PARTIES, "entry": entry, "thread": state}


def _made_by_staff(entry: events.Said) -> dict[str, Any]:
    """The second entry of an order that the shop itself sells."""
    state = {"seq": 2, "entries_by_side": {"customer": 1, "seller": 0, "shop": 1}}
    parties = {"order_id": ORDER_ID, "customer_id": "c-7", "seller_id": SHOP_SELLER_ID, "sold_by": "shop"}
    return {**parties, "entry": entry, "thread": state}


def _event(kind: type[events.EventEnvelope], id: str, data: dict[str, Any]) -> Envelope:  # noqa: A002 - the contract's name
    return kind.model_validate({"id": id, "time": NOW, "subject": data.get("order_id"), "data": data})


_PARTIES: Final = {"order_id": ORDER_ID, "customer_id": "c-7", "seller_id": "s-1", "sold_by": "seller"}
_ANSWER: Final = _entry("text", 2, "It left our shop yesterday.", BY_STAFF)

CHANGED_AT: Final = datetime(2026, 11, 23, 9, 29, 58, 500_000, tzinfo=UTC)
ORDER_EVENTS: Final[list[Envelope]] = [
    OrderEvent(
        specversion="1.0",
        id="1042.3",
        source="demo-shop",
        type=kind,
        subject=ORDER_ID,
        time=NOW,
        data=ORDER.model_copy(update={"updated_at": CHANGED_AT}),
    )
    for kind in ("parley.order.placed.v1", "parley.order.updated.v1", "parley.order.cancelled.v1")
]

COMMANDS: Final[list[Envelope]] = [
    _command(
        commands.PostMessage, order_id=ORDER_ID, caller=CUSTOMER, text="Where is my lamp?", after=EARLIER_ID, seen_seq=3
    ),
    _command(commands.OpenDispute, order_id=ORDER_ID, caller=CUSTOMER, reason="damaged", text="The shade is broken."),
    _command(
        commands.CloseDispute,
        order_id=ORDER_ID,
        caller=CUSTOMER,
        outcome="refunded",
        note="Thank you.",
        expected=f'"{DISPUTE_ID}.open"',
    ),
    _command(commands.MarkRead, order_id=ORDER_ID, caller=SELLER, up_to_seq=4),
    _command(
        commands.MarkThreadsRead, caller=SELLER, threads=[{"order_id": ORDER_ID, "up_to_seq": 4}], all_threads=False
    ),
    _command(
        commands.SetPreferences,
        person="guest:1042",
        messages=False,
        disputes=False,
        locale="de",
        renewed=True,
        address_key=ADDRESS_KEY,
        order_id=ORDER_ID,
        time_zone="Europe/Berlin",
    ),
    _command(
        commands.WatchThread, order_id=ORDER_ID, caller=ADMIN, watching=True, email="grace@example.com", locale="en"
    ),
    _command(commands.RedactMessage, order_id=ORDER_ID, caller=ADMIN, message_id=EARLIER_ID, reason="a card number"),
    _command(
        commands.ImportMessage,
        order_id=ORDER_ID,
        caller=SERVICE,
        author=BY_CUSTOMER,
        text="An old question.",
        written_at=datetime(2024, 5, 1, 8, 0, tzinfo=UTC),
    ),
]

EVENTS: Final[list[Envelope]] = [
    _event(events.MessagePosted, POST_ID, _made_by_staff(_ANSWER)),
    _event(
        events.DisputeOpened,
        DISPUTE_ID,
        _made(_entry("dispute_opened", 3, "The shade is broken.", BY_CUSTOMER, DISPUTE_ID), DISPUTE),
    ),
    _event(
        events.DisputeClosed, POST_ID, _made(_entry("dispute_closed", 4, "Thank you.", BY_CUSTOMER), CLOSED_DISPUTE)
    ),
    _event(events.MessageRedacted, f"{POST_ID}.redacted", {**_PARTIES, "message_id": POST_ID, "seq": 2}),
    _event(
        events.ThreadRead,
        f"{POST_ID}.{ORDER_ID}",
        {**_PARTIES, "inbox": "seller", "person": "seller:u-3", "up_to_seq": 4, "unread": 0, "furthest_seq": 4},
    ),
]

EVENTS.append(
    _event(
        events.OrderRejected,
        "refused-53e8d1f0a7b94c2d",
        {
            "order_id": ORDER_ID,
            "version": 3,
            "event_id": "1042.3",
            "message_id": "1042.3",
            "publisher": "shop",
            "reason": "version_conflict",
            "detail": "order 1042: version 3 stands with other content; give the change a higher version, or a newer updated_at",
        },
    )
)

NOTIFICATIONS: Final[list[Envelope]] = [
    _event(
        events.EntryAddressed,
        POST_ID,
        {
            **_made_by_staff(_ANSWER),
            "order": OWN_ORDER,
            "item_count": 1,
            "recipients": [
                {
                    "person": "customer:c-7",
                    "inbox": "customer",
                    "name": "Ada Lovelace",
                    "email": "ada@example.com",
                    "locale": "en",
                    "unsubscribe_token": UNSUBSCRIBE_TOKEN,
                    "version": order_version(3),
                    "address_key": ADDRESS_KEY,
                }
            ],
        },
    ),
    _event(
        events.PreferencesChanged,
        POST_ID,
        {
            "person": "customer:c-7",
            "stamp": STAMP,
            "messages": False,
            "disputes": True,
            "locale": "de",
            "since": {"messages": STAMP, "disputes": ""},
            "time_zone": "Europe/Berlin",
        },
    ),
    events.ContactChanged(
        id="1042.customer.0000000000000004.000000",
        subject=ORDER_ID,
        time=NOW,
        data=events.ContactData(
            thread_id=ORDER_ID,
            role="customer",
            person="customer:c-7",
            version=order_version(4),
            name="Ada Lovelace",
            email="ada.lovelace@example.com",
            locale="en",
            address_key=ADDRESS_KEY,
            unsubscribe_token=UNSUBSCRIBE_TOKEN,
        ),
    ),
]

REPLY: Final = commands.CommandOutcome(
    command_id=POST_ID,
    order_id=ORDER_ID,
    state="done",
    status=200,
    result={"order_id": ORDER_ID, "up_to_seq": 4, "unread": 0},
)

EVERY_MESSAGE: Final[list[Envelope]] = [*ORDER_EVENTS, *COMMANDS, *EVENTS, *NOTIFICATIONS]
