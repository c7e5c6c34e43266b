"""The orders as their shop last described them: which snapshot stands, and whose order it is."""

import hashlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Final

import structlog
from pydantic import ValidationError
from pymongo.errors import DuplicateKeyError

from services.threads.access import Parties
from services.threads.recent import Recent
from services.threads.recipients import Addressee, parties_by_mail
from shared.errors import CannotProcess
from shared.fields import OrderId
from shared.logs import logged
from shared.mongo import Database, Document
from shared.orders import OrderSnapshot

log = structlog.get_logger(__name__)

ITEMS_IN_A_MAIL: Final = 5
KEPT_FOR_MAIL: Final = 2_000
PARTIES: Final[Document] = {"customer_id": 1, "seller_id": 1, "guest": 1, "version": 1}


@dataclass(frozen=True, slots=True)
class OrderForMail:
    """The order with as many items as a mail shows, also as JSON, how many there are, and its parties."""

    snapshot: OrderSnapshot
    item_count: int
    json: bytes
    parties: tuple[Addressee, ...]

    @classmethod
    def of(cls, snapshot: OrderSnapshot, item_count: int) -> "OrderForMail":
        """What is the same for all its entries is made once."""
        json = snapshot.model_dump_json(exclude_none=True).encode()
        return cls(snapshot, item_count, json, parties_by_mail(snapshot))


class Orders:
    def __init__(self, database: Database) -> None:
        self._orders = database["orders"]
        self._for_mail: Recent[OrderId, OrderForMail] = Recent(KEPT_FOR_MAIL)

    async def keep(self, snapshot: OrderSnapshot) -> bool:
        """Keeps the snapshot unless a newer one stands; says whether it now stands. May run twice.

        Raises CannotProcess where the same version has other content, or the order would change hands.
        """
        new = _document(snapshot)
        while True:
            stored = await self._orders.find_one({"_id": snapshot.order_id}, {"snapshot": 0})
            if stored is None:
                try:
                    await self._orders.insert_one(new)
                    return True
                except DuplicateKeyError:
                    continue
            if snapshot.version < stored["version"]:
                return False
            if snapshot.version == stored["version"]:
                _require_same(stored, new)
                return True
            _require_same_parties(stored, new)
            replaced = await self._orders.replace_one(
                {"_id": snapshot.order_id, "version": stored["version"], "digest": stored["digest"]}, new
            )
            if replaced.matched_count:
                return True

    async def parties(self, order_ids: Sequence[OrderId]) -> dict[OrderId, Parties]:
        """Whose orders these are; one that is unknown is missing."""
        found = self._orders.find({"_id": {"$in": list(order_ids)}}, PARTIES)
        return {document["_id"]: parties_of(document) for document in await found.to_list()}

    async def for_mail(self, orders: Iterable[Parties]) -> dict[OrderId, OrderForMail]:
        """The orders as a mail shows them; one that cannot be read is missing. One of the same version was read before, and is the same."""
        found: dict[OrderId, OrderForMail] = {}
        unread: list[OrderId] = []
        for each in orders:
            kept = self._for_mail.find(each.order_id)
            if kept is not None and kept.snapshot.version == each.version:
                found[each.order_id] = kept
            else:
                unread.append(each.order_id)
        return found | await self._read_for_mail(unread)

    async def _read_for_mail(self, order_ids: Sequence[OrderId]) -> dict[OrderId, OrderForMail]:
        if not order_ids:
            return {}
        fields = {"snapshot": 1, "item_count": {"$size": "$snapshot.items"}}
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
                read[document["_id"]] = _for_mail(document)
            except ValidationError as error:
                log.error("order_not_readable", order=logged(document["_id"]), errors=error.error_count())
                continue
            self._for_mail.keep(document["_id"], read[document["_id"]])
        return read


def _for_mail(document: Document) -> OrderForMail:
    return OrderForMail.of(OrderSnapshot.model_validate(document["snapshot"]), document["item_count"])


def parties_of(document: Document) -> Parties:
    return Parties(
        order_id=document["_id"],
        customer_id=document["customer_id"],
        seller_id=document["seller_id"],
        guest=document["guest"],
        version=document["version"],
    )


def _document(snapshot: OrderSnapshot) -> Document:
    content = snapshot.model_dump_json()
    return {
        "_id": snapshot.order_id,
        "version": snapshot.version,
        "digest": hashlib.blake2b(content.encode(), digest_size=16).hexdigest(),
        "customer_id": snapshot.customer.id,
        "seller_id": snapshot.seller.id,
        "guest": snapshot.customer.guest,
        "snapshot": snapshot.model_dump(mode="json"),
    }


def _require_same(stored: Document, new: Document) -> None:
    if stored["digest"] != new["digest"]:
        raise CannotProcess(
            "version_conflict", f"order {new['_id']}: version {new['version']} stands with other content"
        )


def _require_same_parties(stored: Document, new: Document) -> None:
    """Only a guest may become an account; any other change would hand a history to somebody else."""
    same_customer = stored["customer_id"] == new["customer_id"] and (stored["guest"] or not new["guest"])
    becomes_account = stored["guest"] and not new["guest"]
    if stored["seller_id"] != new["seller_id"] or not (same_customer or becomes_account):
        raise CannotProcess(
            "parties_changed", f"order {new['_id']}: customer and seller are fixed by the first snapshot"
        )
