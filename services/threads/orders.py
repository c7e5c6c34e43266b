"""The orders as their shop last described them: which snapshot stands, and whose order it is."""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

from pymongo.errors import DuplicateKeyError

from services.threads.access import Parties
from shared.errors import CannotProcess
from shared.fields import OrderId
from shared.mongo import Database, Document
from shared.orders import OrderSnapshot

ITEMS_IN_A_MAIL: Final = 5


@dataclass(frozen=True, slots=True)
class OrderForMail:
    """The order with as many items as a mail shows, and how many there are."""

    snapshot: OrderSnapshot
    item_count: int


class Orders:
    def __init__(self, database: Database) -> None:
        self._orders = database["orders"]

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
        found = self._orders.find({"_id": {"$in": list(order_ids)}}, {"customer_id": 1, "seller_id": 1, "guest": 1})
        return {document["_id"]: parties_of(document) for document in await found.to_list()}

    async def for_mail(self, order_ids: Sequence[OrderId]) -> dict[OrderId, OrderForMail]:
        """The orders as a mail shows them."""
        fields = {"snapshot": 1, "item_count": {"$size": "$snapshot.items"}}
        few_items = {"$set": {"snapshot.items": {"$slice": ["$snapshot.items", ITEMS_IN_A_MAIL]}}}
        pipeline: list[dict[str, Any]] = [
            {"$match": {"_id": {"$in": list(order_ids)}}},
            {"$project": fields},
            few_items,
        ]
        found = await (await self._orders.aggregate(pipeline)).to_list()
        return {
            document["_id"]: OrderForMail(OrderSnapshot.model_validate(document["snapshot"]), document["item_count"])
            for document in found
        }


def parties_of(document: Document) -> Parties:
    return Parties(
        order_id=document["_id"],
        customer_id=document["customer_id"],
        seller_id=document["seller_id"],
        guest=document["guest"],
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
