"""What deciding starts from, asked of MongoDB in one question.

A question costs the worker and MongoDB a quarter of a millisecond of CPU each, however little is asked: for a post that comes alone, five of
them were most of what it cost.
"""

from collections.abc import Collection
from dataclasses import dataclass, field
from typing import Any

from services.threads.access import Parties
from services.threads.entries import newest_seqs_stages, read_entry
from services.threads.orders import PARTIES, can_be_shown, parties_of
from services.threads.outcomes import Outcome, counting, read_outcome
from services.threads.people import read_watcher, watching
from services.threads.recipients import Watcher
from services.threads.thread import Entry
from shared.fields import OrderId
from shared.mongo import Database, Document


@dataclass(frozen=True, slots=True)
class Found:
    """What is known of commands, by id, and of orders, by order id; what is unknown (or an order that cannot be shown) is missing. `seqs` are those of newest entries."""

    entries: dict[str, Entry] = field(default_factory=dict)
    outcomes: dict[str, Outcome] = field(default_factory=dict)
    parties: dict[OrderId, Parties] = field(default_factory=dict)
    seqs: dict[OrderId, int] = field(default_factory=dict)
    watchers: list[Watcher] = field(default_factory=list)


class LookUp:
    def __init__(self, database: Database) -> None:
        self._entries = database["entries"]

    async def read(self, ids: Collection[str], order_ids: Collection[OrderId]) -> Found:
        """Everything of what a majority has, as each of the stores by itself would find it."""
        cursor = await self._entries.aggregate(_stages(list(ids), list(order_ids)))
        found = Found()
        for document in await cursor.to_list():
            _sort_in(document, found)
        return found


def _stages(ids: list[str], order_ids: list[OrderId]) -> list[Document]:
    of_orders = {"$match": {"_id": {"$in": order_ids}}}
    return [
        *_as("entry", [{"$match": {"_id": {"$in": ids}}}]),
        *_and("outcomes", "outcome", [{"$match": counting(ids)}]),
        *(
            [
                *_and("orders", "order", [of_orders, {"$project": PARTIES}]),
                *_and("entries", "newest", newest_seqs_stages(order_ids)),
                *_and("watches", "watch", [{"$match": watching(order_ids)}]),
            ]
            if order_ids
            else []
        ),
    ]


def _and(collection: str, name: str, stages: list[Document]) -> list[Document]:
    return [{"$unionWith": {"coll": collection, "pipeline": _as(name, stages)}}]


def _as(name: str, stages: list[Document]) -> list[Document]:
    return [*stages, {"$replaceWith": {name: "$$ROOT"}}]


def _sort_in(document: Document, found: Found) -> None:
    ((name, each),) = document.items()
    one: dict[str, Any] = each
    match name:
        case "entry":
            found.entries[one["_id"]] = read_entry(one)
        case "outcome":
            found.outcomes[one["_id"]] = read_outcome(one)
        case "order":
            if can_be_shown(one):
                found.parties[one["_id"]] = parties_of(one)
        case "newest":
            found.seqs[one["_id"]] = one["seq"]
        case "watch":
            found.watchers.append(read_watcher(one))
        case _:
            raise ValueError(f"no part of the question is called {name}")
