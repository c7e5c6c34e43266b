"""What people chose: preferences for mails, and which threads administrators watch."""

import contextlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from pymongo import ReturnDocument
from pymongo.errors import DuplicateKeyError

from services.threads.contacts import Contact
from services.threads.recipients import Choices, Watcher
from services.threads.stamped import write_newer
from shared.commands import PreferencesToSet, WatchToSet
from shared.contracts.keys import join_key
from shared.fields import OrderId
from shared.mongo import Database, Document

_START: Document = {"messages": True, "disputes": True, "locale": None}


@dataclass(frozen=True, slots=True)
class Chosen:
    """What stands after a wish. `stamp` grows with every change, also where an older wish came late: it is all the choices' stamps."""

    choices: Choices
    stamp: str


class People:
    def __init__(self, database: Database) -> None:
        self._preferences = database["preferences"]
        self._watches = database["watches"]

    async def choices(self, persons: Iterable[str]) -> dict[str, Choices]:
        """What these people chose; whoever never chose anything is missing, and gets everything."""
        found = self._preferences.find({"_id": {"$in": list(persons)}})
        return {document["_id"]: _choices(document) for document in await found.to_list()}

    async def choose(self, wish: PreferencesToSet, *, stamp: str) -> Chosen:
        """Applies what the wish says of each choice unless a newer wish about that one stands. Answers what stands then. May run twice."""
        wishes: Document = {"messages": wish.messages, "disputes": wish.disputes, "locale": wish.locale}
        fields = {name: value for name, value in wishes.items() if value is not None}
        if wish.forget_locale:
            fields["locale"] = None
        change = [{"$set": dict(part for name in _START for part in _chosen(name, fields, stamp))}]
        document: Document | None = None
        while document is None:
            with contextlib.suppress(DuplicateKeyError):  # two first wishes at once: the second try finds the other's
                document = await self._preferences.find_one_and_update(
                    {"_id": wish.person}, change, upsert=True, return_document=ReturnDocument.AFTER
                )
        return Chosen(_choices(document), ",".join(sorted(document["stamps"].values(), reverse=True)))

    async def watchers(self, order_ids: Sequence[OrderId]) -> list[Watcher]:
        return [read_watcher(document) for document in await self._watches.find(watching(order_ids)).to_list()]

    async def watch(self, wish: WatchToSet, *, stamp: str) -> Contact:
        """Starts or stops a watch unless a newer wish stands; where its mails go by what stands then. May run twice."""
        person = wish.caller.key
        fields = {
            "order_id": wish.order_id,
            "person": person,
            "watching": wish.watching,
            "name": wish.caller.name,
            "email": wish.email,
            "locale": wish.locale,
        }
        watch_id = join_key(wish.order_id, person)
        await write_newer(self._watches, watch_id, fields, stamp=stamp)
        return _watchers_contact(await self._watches.find_one({"_id": watch_id}) or {**fields, "stamp": stamp})


def _chosen(name: str, fields: Document, stamp: str) -> list[tuple[str, Any]]:
    """One choice and its own stamp: the wish's where that is newer, else what stands, or what everybody begins with."""
    # Documents from before choices had stamps of their own have one for all of them.
    stands = {"$ifNull": [f"$stamps.{name}", {"$ifNull": ["$stamp", ""]}]}
    value = {"$ifNull": [f"${name}", {"$literal": _START[name]}]}
    if name not in fields:
        return [(name, value), (f"stamps.{name}", stands)]
    newer = {"$lt": [stands, stamp]}
    return [
        (name, {"$cond": [newer, {"$literal": fields[name]}, value]}),
        (f"stamps.{name}", {"$cond": [newer, stamp, stands]}),
    ]


def _choices(document: Document) -> Choices:
    return Choices(messages=document["messages"], disputes=document["disputes"], locale=document["locale"])


def watching(order_ids: Sequence[OrderId]) -> Document:
    """The watches of these threads."""
    return {"order_id": {"$in": list(order_ids)}, "watching": True}


def _watchers_contact(watch: Document) -> Contact:
    email = watch["email"] if watch["watching"] else None
    return Contact(watch["order_id"], "watcher", watch["person"], watch["stamp"], watch["name"], email, watch["locale"])


def read_watcher(document: Document) -> Watcher:
    return Watcher(
        order_id=document["order_id"],
        person=document["person"],
        name=document["name"],
        email=document["email"],
        locale=document["locale"],
        version=document["stamp"],
    )
