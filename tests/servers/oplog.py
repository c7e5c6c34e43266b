"""In which order a database took its writes: from MongoDB's own log of them, for tests of what "before" means."""

from dataclasses import dataclass
from typing import Any

from pymongo import AsyncMongoClient

Document = dict[str, Any]


@dataclass(frozen=True)
class Write:
    """One write to one document. `at` is its place in the order of all writes; `document` is it as it stood then, but for parts of fields."""

    at: int
    collection: str
    document: Document


async def writes(client: AsyncMongoClient[Document], database: str) -> list[Write]:
    """All writes to the collections of this database, in their order. The client must be one that may read the log."""
    prefix = f"{database}."
    found = client["local"]["oplog.rs"].find({"ns": {"$gte": prefix, "$lt": f"{database}/"}}, sort=[("$natural", 1)])
    stands: dict[tuple[str, object], Document] = {}
    made: list[Write] = []
    async for entry in found:
        if entry["op"] not in ("i", "u"):
            continue
        collection = entry["ns"].removeprefix(prefix)
        key = (collection, (entry.get("o2") or entry["o"])["_id"])
        stands[key] = _after(stands.get(key, {}), entry)
        made.append(Write(len(made), collection, stands[key]))
    return made


def _after(before: Document, entry: Document) -> Document:
    if entry["op"] == "i" or "_id" in entry["o"]:
        return dict(entry["o"])
    return _changed(before, entry["o"]["diff"])


def _changed(before: Document, difference: Document) -> Document:
    """`u`, `i`, `d` are fields that were set, made and deleted; `sNAME` is a difference within one. Of lists the old state stays."""
    kept = {name: value for name, value in before.items() if name not in difference.get("d", {})}
    after: Document = {**kept, **difference.get("u", {}), **difference.get("i", {})}
    for name, within in difference.items():
        if name.startswith("s") and not within.get("a"):
            after[name[1:]] = _changed(after.get(name[1:], {}), within)
    return after
