"""The orders as their shop last described them: which snapshot stands, and whose order it is."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

import structlog
from pydantic import TypeAdapter, ValidationError
from pymongo import DESCENDING
from pymongo.errors import DuplicateKeyError

from services.threads import contacts, order_versions
from services.threads.access import Parties
from services.threads.contacts import Contact
from services.threads.order_versions import Snapshot
from services.threads.recent import Recent
from services.threads.recipients import Addressee, parties_by_mail
from shared.callers import SHOP_SELLER_ID
from shared.contracts.contacts import ContactVersion, order_version
from shared.fields import Moment, OrderId
from shared.logs import logged
from shared.mongo import Database, Document
from shared.orders import UNNAMED_SHOP, OrderSnapshot, SoldOrder

log = structlog.get_logger(__name__)

ITEMS_IN_A_MAIL: Final = 5
KEPT_FOR_MAIL: Final = 2_000
PARTIES: Final[Document] = {
    "customer_id": 1,
    "seller_id": 1,
    "guest": 1,
    "version": 1,
    "digest": 1,
    "snapshot.placed_at": 1,
}
MOMENT: Final[TypeAdapter[datetime]] = TypeAdapter(Moment)


@dataclass(frozen=True, slots=True)
class Kept:
    """Whether the snapshot stands now, and whether it is new: what stood before was another one, or older."""

    stands: bool
    is_new: bool


@dataclass(frozen=True, slots=True)
class OrderForMail:
    """The order with as many items as a mail shows, also as JSON, how many there are, and its parties."""

    snapshot: OrderSnapshot
    item_count: int
    json: bytes
    parties: tuple[Addressee, ...]
    digest: str | None = None

    @classmethod
    def of(
        cls,
        snapshot: OrderSnapshot,
        item_count: int,
        version: ContactVersion,
        digest: str | None = None,
        *,
        shop: str = UNNAMED_SHOP,
    ) -> "OrderForMail":
        """What is the same for all its entries is made once. `version` is that of its parties' addresses, `digest` the stored order's.

        `shop` is what the shop is called.
        """
        json = SoldOrder.of(snapshot, shop=shop).model_dump_json(exclude_none=True).encode()
        return cls(snapshot, item_count, json, parties_by_mail(snapshot, version), digest)


class Orders:
    def __init__(self, database: Database, *, shop: str = UNNAMED_SHOP) -> None:
        """`shop` is what the shop is called, where it sells an order itself."""
        self._orders, self._threads, self._shop = database["orders"], database["threads"], shop
        self._for_mail: Recent[OrderId, OrderForMail] = Recent(KEPT_FOR_MAIL)

    async def keep(self, snapshot: OrderSnapshot, *, source_time: str | None = None) -> Kept:
        """Keeps the snapshot unless a newer one stands; says whether it now stands. May run twice.

        Raises OrderRefused where the same version has other content and no newer source time, or the order would change hands.
        """
        new = document_of(snapshot, source_time)
        while True:
            stored = await self._orders.find_one({"_id": snapshot.order_id}, {"snapshot.items": 0})
            if stored is None:
                try:
                    await self._orders.insert_one({**new, "contacts": {}})
                    return Kept(stands=True, is_new=True)
                except DuplicateKeyError:
                    continue
            verdict = order_versions.compare(snapshot.order_id, _read(new), await self._standing(stored))
            if verdict != "replaces":
                return Kept(stands=verdict == "stands", is_new=False)
            new["changes"] = contacts.changes_of(new, stored)
            new["contacts"] = contacts.changed_at(new, stored)
            as_read = {name: stored.get(name) for name in ("_id", "version", "digest", "source_time")}
            if (await self._orders.replace_one(as_read, new)).matched_count:
                return Kept(stands=True, is_new=True)

    async def _standing(self, stored: Document) -> Snapshot:
        """What stands. Release 0.1 kept a digest of the order as it was spelled: of such a one the values are read."""
        if "value_digest" not in stored:
            whole = await self._orders.find_one({"_id": stored["_id"]}, {"snapshot": 1})
            try:
                read = read_snapshot(whole["snapshot"] if whole is not None else {})
                stored = stored | {"value_digest": order_versions.content_digest(read)}
            except ValidationError as error:
                log.error("order_not_readable", order=logged(stored["_id"]), errors=error.error_count())
                stored = stored | {"value_digest": stored["digest"]}
        return _read(stored)

    async def contacts_since(self, snapshot: OrderSnapshot) -> list[Contact]:
        """Where its people's mails go by what stands, as far as this snapshot or a newer one changed that.

        Also of one that was superseded: whoever changed it may have ended between the change and the word of it.
        """
        stored = await self._orders.find_one({"_id": snapshot.order_id}, contacts.FIELDS)
        return [] if stored is None else contacts.since(stored, order_version(snapshot.version))

    async def address_of(self, person: str) -> str | None:
        """Where mails to this guest or customer go: of several orders the newest says it. None for all others, and where there is none."""
        role, _, name = person.partition(":")
        match role:
            case "guest":
                order_id = name
            case "customer":
                mine = {"lists": f"{person}/all"}
                newest = await self._threads.find_one(mine, {"_id": 1}, sort=[("placed", DESCENDING)])
                order_id = "" if newest is None else newest["_id"]
            case _:
                return None
        return await self.address_of_customer(order_id)

    async def address_of_customer(self, order_id: OrderId) -> str | None:
        """Where the mails of this order's customer go; None where there is no such order, or no address."""
        found = await self._orders.find_one({"_id": order_id}, {"snapshot.customer.email": 1})
        address: str | None = found["snapshot"]["customer"].get("email") if found is not None else None
        return address

    async def parties(self, order_ids: Sequence[OrderId]) -> dict[OrderId, Parties]:
        """Whose orders these are; one that is unknown, or cannot be shown to anybody, is missing."""
        found = await self._orders.find({"_id": {"$in": list(order_ids)}}, PARTIES).to_list()
        return {document["_id"]: parties_of(document) for document in found if can_be_shown(document)}

    async def for_mail(self, orders: Iterable[Parties]) -> dict[OrderId, OrderForMail]:
        """The orders as a mail shows them; one that cannot be read is missing. One of the same version and digest is what was read before."""
        found: dict[OrderId, OrderForMail] = {}
        unread: list[OrderId] = []
        for each in orders:
            kept = self._for_mail.find(each.order_id)
            if kept is not None and (kept.snapshot.version, kept.digest) == (each.version, each.digest):
                found[each.order_id] = kept
            else:
                unread.append(each.order_id)
        return found | await self._read_for_mail(unread)

    async def _read_for_mail(self, order_ids: Sequence[OrderId]) -> dict[OrderId, OrderForMail]:
        if not order_ids:
            return {}
        fields = {"snapshot": 1, "digest": 1, "version": 1, "changes": 1, "item_count": {"$size": "$snapshot.items"}}
        few_items = {"$set": {"snapshot.items": {"$slice": ["$snapshot.items", ITEMS_IN_A_MAIL]}}}
        pipeline: list[dict[str, Any]] = [
            {"$match": {"_id": {"$in": list(order_ids)}}},
            {"$project": fields},
            few_items,
        ]
        documents = await (await self._orders.aggregate(pipeline)).to_list()
        read: dict[OrderId, OrderForMail] = {}
        for document in documents:
            try:
                snapshot = read_snapshot(document["snapshot"])
                read[document["_id"]] = OrderForMail.of(
                    snapshot,
                    document["item_count"],
                    contacts.version_of(document),
                    document["digest"],
                    shop=self._shop,
                )
            except ValidationError as error:
                log.error("order_not_readable", order=logged(document["_id"]), errors=error.error_count())
                continue
            self._for_mail.keep(document["_id"], read[document["_id"]])
        return read


def read_snapshot(stored: Document) -> OrderSnapshot:
    """A stored snapshot. Raises ValidationError. The first release took the gateway's name of the shop for a seller's, and stored it."""
    seller = stored.get("seller")
    if isinstance(seller, dict) and seller.get("id") == SHOP_SELLER_ID:
        return SoldOrder.model_validate(stored).snapshot()
    return OrderSnapshot.model_validate(stored)


def can_be_shown(document: Document) -> bool:
    """False for an order that an older release kept although its date leaves the calendar in UTC: no list and no page has it.

    Nobody may write where nobody can read, so it counts as unknown until its shop publishes a version that can be shown.
    """
    try:
        MOMENT.validate_python(document["snapshot"]["placed_at"])
    except ValidationError:
        return False
    return True


def parties_of(document: Document) -> Parties:
    return Parties(
        order_id=document["_id"],
        customer_id=document["customer_id"],
        seller_id=document["seller_id"],
        guest=document["guest"],
        version=document["version"],
        digest=document["digest"],
    )


def document_of(snapshot: OrderSnapshot, source_time: str | None = None) -> Document:
    """As it is stored. What stands beside the content is not among it: workers of 0.1 refuse a stored order with fields of ours."""
    return {
        "_id": snapshot.order_id,
        "version": snapshot.version,
        "digest": order_versions.spelled_digest(snapshot),
        "value_digest": order_versions.content_digest(snapshot),
        "customer_id": snapshot.customer.id,
        "seller_id": snapshot.seller_id,
        "guest": snapshot.customer.guest,
        "snapshot": snapshot.model_dump(mode="json", exclude=set(order_versions.BESIDE_THE_CONTENT)),
        **({"source_time": source_time} if source_time is not None else {}),
    }


def _read(document: Document) -> Snapshot:
    return Snapshot(
        version=document["version"],
        digest=document["value_digest"],
        source_time=document.get("source_time"),
        customer_id=document["customer_id"],
        seller_id=document["seller_id"],
        guest=document["guest"],
    )
