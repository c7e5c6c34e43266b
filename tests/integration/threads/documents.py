"""Fills threads' database as the worker leaves it: orders, entries, projection and marks, by the same decisions and writes."""

import base64
import hashlib
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta

from services.threads.access import Parties, side_of
from services.threads.entries import Log
from services.threads.marks import Marks, Reader, Wish
from services.threads.orders import Orders
from services.threads.projection import Projection
from services.threads.thread import Entry, EntryCommand, Made, Thread, decide
from shared.callers import Author, Caller
from shared.commands import (
    CloseDispute,
    DisputeToClose,
    DisputeToOpen,
    ImportMessage,
    MessageToImport,
    MessageToPost,
    OpenDispute,
    PostMessage,
)
from shared.fields import DisputeOutcome, DisputeReason
from shared.mongo import Database
from shared.orders import Customer, Item, OrderSnapshot, Seller

START = datetime(2026, 3, 1, 9, 0, tzinfo=UTC)


def customer(number: str = "c-1") -> Caller:
    return Caller(role="customer", id=number, name=f"Customer {number}")


def guest(order_id: str, number: str = "g-1") -> Caller:
    return Caller(role="guest", id=number, name=f"Guest {number}", order_id=order_id)


def seller(login: str = "anna", of: str = "s-1") -> Caller:
    return Caller(role="seller", id=login, name=f"Seller {login}", seller_id=of)


def admin(login: str = "root") -> Caller:
    return Caller(role="admin", id=login, name=f"Admin {login}")


SERVICE = Caller(role="service", id="erp", name="ERP")


def command_id(number: int) -> str:
    return base64.b32encode(hashlib.sha256(str(number).encode()).digest()).decode().lower()[:42]


def stamp(number: int) -> str:
    return f"01900000-0000-7000-8000-{number:012x}"


def snapshot(
    order_id: str,
    *,
    customer_id: str = "c-1",
    seller_id: str = "s-1",
    guest: bool = False,
    version: int = 1,
    placed_at: datetime = START,
    items: tuple[str, ...] = ("Lamp",),
    customer_name: str | None = None,
) -> OrderSnapshot:
    return OrderSnapshot(
        order_id=order_id,
        version=version,
        status="shipped",
        placed_at=placed_at,
        url=f"https://shop.example/orders/{order_id}",
        customer=Customer(
            id=customer_id, name=customer_name or f"Customer {customer_id}", email="buyer@mail.example", guest=guest
        ),
        seller=Seller(id=seller_id, name=f"Seller {seller_id}", email="seller@mail.example"),
        items=[Item(sku="x", name=name, quantity=1, price="19.90") for name in items],
        total="39.80",
        currency="EUR",
    )


@dataclass
class Shop:
    """A shop with its threads. Time passes by a second with everything that happens."""

    database: Database
    threads: dict[str, Thread] = field(default_factory=dict)
    entries: list[Entry] = field(default_factory=list)
    ticks: int = 0

    def __post_init__(self) -> None:
        self.log, self.projection = Log(self.database), Projection(self.database)
        self.marks = Marks(self.database, log=self.log, projection=self.projection)

    async def place(self, order: OrderSnapshot) -> None:
        """Places or updates an order."""
        parties = Parties(order.order_id, order.customer.id, order.seller_id, order.customer.guest)
        known = self.threads.get(order.order_id, Thread(parties, certain=True))
        self.threads[order.order_id] = replace(known, parties=parties)
        await Orders(self.database).keep(order)
        await self.projection.write_order(order)

    async def post(self, order_id: str, caller: Caller, text: str = "Hello", *, seen_seq: int | None = None) -> Entry:
        asked = MessageToPost(order_id=order_id, caller=caller, text=text, seen_seq=seen_seq)
        return await self._apply(PostMessage(**self._head(), data=asked))

    async def open_dispute(self, order_id: str, caller: Caller, reason: DisputeReason = "damaged") -> Entry:
        asked = DisputeToOpen(order_id=order_id, caller=caller, reason=reason, text="It came broken")
        return await self._apply(OpenDispute(**self._head(), data=asked))

    async def close_dispute(self, order_id: str, caller: Caller, outcome: DisputeOutcome = "refunded") -> Entry:
        asked = DisputeToClose(order_id=order_id, caller=caller, outcome=outcome, note="Done")
        return await self._apply(CloseDispute(**self._head(), data=asked))

    async def bring(self, order_id: str, author: Author, text: str, *, written_at: datetime) -> Entry:
        asked = MessageToImport(order_id=order_id, caller=SERVICE, author=author, text=text, written_at=written_at)
        return await self._apply(ImportMessage(**self._head(), data=asked))

    async def read(self, order_id: str, caller: Caller, up_to_seq: int) -> None:
        """Sets the caller's mark and that of their inbox."""
        self.ticks += 1
        parties = self.threads[order_id].parties
        side = side_of(caller, parties)
        assert side is not None
        await self.marks.set(Reader(caller, side), [Wish(parties, up_to_seq)], stamp=stamp(self.ticks))

    def _head(self) -> dict[str, object]:
        self.ticks += 1
        now = START + timedelta(seconds=self.ticks)
        return {"id": command_id(self.ticks), "stamp": stamp(self.ticks), "time": now}

    async def _apply(self, command: EntryCommand) -> Entry:
        order_id = command.data.order_id
        decision = decide(command, self.threads[order_id], digest="d", now=command.time)
        assert isinstance(decision, Made), decision
        await self.log.insert([[decision.entry]])
        await self.projection.write_entries([decision.entry])
        self.threads[order_id] = decision.thread
        self.entries.append(decision.entry)
        return decision.entry
