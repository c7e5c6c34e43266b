"""What became of each order snapshot, by order and version: for services that ask, kept for 90 days.

A refusal says what stood when it was made: as long as that stands, what was refused is not in. One document a version, of bounded size.
"""

from datetime import UTC, datetime
from typing import Any, Final

from shared.contracts.keys import MAIN_SHOP, join_key
from shared.errors import CannotProcess
from shared.fields import OrderId
from shared.mongo import Database, Document
from shared.queries import OrderIntake

COLLECTION: Final = "intake"
DETAIL_CHARACTERS: Final = 500
STANDING: Final = {"version": 1, "value_digest": 1}


class Intake:
    """May be written twice: what is said of one delivery is the same each time."""

    def __init__(self, database: Database) -> None:
        self._intake = database[COLLECTION]

    async def taken(self, order_id: OrderId, version: int, *, stands: bool, is_new: bool) -> None:
        """A snapshot that is new wipes out an earlier refusal of its version; a copy, or an older one, says nothing new of it."""
        document = _document(order_id, version, "stands" if stands else "superseded")
        key = {"_id": document.pop("_id")}
        if is_new:
            await self._intake.replace_one(key, document, upsert=True)
        else:
            await self._intake.update_one(key, {"$setOnInsert": document}, upsert=True)

    async def refused(
        self, order_id: OrderId, version: int, refusal: CannotProcess, *, standing: Document | None
    ) -> None:
        """`standing` is what the snapshot contradicts: its version and digest."""
        document = _document(order_id, version, "refused") | {
            "reason": refusal.reason,
            "detail": refusal.detail[:DETAIL_CHARACTERS],
            "standing": standing,
        }
        await self._intake.replace_one({"_id": document.pop("_id")}, document, upsert=True)


async def find(database: Database, order_id: OrderId, version: int) -> OrderIntake:
    """What became of this version, and which version stands now; `unknown` where nothing was decided in the last 90 days."""
    order = await database["orders"].find_one({"_id": order_id}, STANDING)
    kept = await database[COLLECTION].find_one({"_id": _key(order_id, version)})
    said: dict[str, Any] = {"order_id": order_id, "version": version, "standing_version": order and order["version"]}
    if kept is not None and kept["state"] == "refused" and _still_refused(kept["standing"], version, order):
        return OrderIntake(**said, state="refused", reason=kept["reason"], detail=kept["detail"])
    if order is not None and order["version"] == version:
        return OrderIntake(**said, state="stands")
    is_older = kept is not None and order is not None and version < order["version"]
    return OrderIntake(**said, state="superseded" if is_older else "unknown")


def _still_refused(standing: Document | None, version: int, order: Document | None) -> bool:
    """Whether nothing of this version came in after the refusal."""
    if order is None or order["version"] != version:
        return True
    if standing is None or standing["version"] != version:
        return False
    return bool(order.get("value_digest", standing["digest"]) == standing["digest"])


def _key(order_id: OrderId, version: int) -> str:
    return join_key(order_id, str(version))


def _document(order_id: OrderId, version: int, state: str) -> Document:
    return {
        "_id": _key(order_id, version),
        "shop_id": MAIN_SHOP,
        "order_id": order_id,
        "version": version,
        "state": state,
        "at": datetime.now(UTC),
    }
