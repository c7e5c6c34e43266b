"""What people chose: preferences for mails, and which threads administrators watch."""

import contextlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from pymongo import ReturnDocument
from pymongo.errors import DuplicateKeyError

from services.threads.contacts import Contact
from services.threads.recipients import Choices, Watcher
from services.threads.stamped import write_newer
from shared.commands import MailChoices, PreferencesToSet, WatchToSet
from shared.contracts.choices import CHOICES, decide, thread_scope
from shared.contracts.keys import join_key
from shared.fields import OrderId
from shared.mongo import Database, Document
from shared.queries import OrderPreferences, Preferences

_START: Document = {"messages": True, "disputes": True, "locale": None, "time_zone": None}


@dataclass(frozen=True, slots=True)
class Chosen:
    """What stands in a scope after a wish. `stamp` grows with every change, also where an older wish came late: it is all the choices' stamps."""

    scope: str
    choices: Choices
    stamp: str


class People:
    def __init__(self, database: Database) -> None:
        self._preferences = database["preferences"]
        self._watches = database["watches"]

    async def choices(self, scopes: Iterable[str]) -> dict[str, Choices]:
        """What was chosen in these scopes; one in which nothing ever was is missing."""
        found = self._preferences.find({"_id": {"$in": list(scopes)}})
        return {document["_id"]: _choices(document) for document in await found.to_list()}

    async def choose(self, wish: PreferencesToSet, *, stamp: str, scope: str | None = None) -> Chosen:
        """Applies what the wish says of each choice unless a newer wish about that one stands. Answers what stands then. May run twice.

        `scope` is the person whose wish it is, where nothing else is said.
        """
        said = _said(wish)
        change = [part for name in _START for part in _chosen(name, said, stamp, of_link=bool(wish.renewed))]
        chosen: Chosen | None = None
        while chosen is None:
            with contextlib.suppress(DuplicateKeyError):  # two first wishes at once: the second try finds the other's
                chosen = await self._change(scope or wish.person, dict(change), upsert=True)
        return chosen

    async def take_back(self, undo: str, *, stamp: str, scope: str) -> Chosen | None:
        """Takes back what a link's wish of the stamp `undo` switched off, as far as nothing else was chosen since. May run twice.

        None where nothing was ever chosen in the scope.
        """
        change = [part for name in CHOICES for part in _taken_back(name, undo, stamp)]
        return await self._change(scope, dict(change), upsert=False)

    async def _change(self, scope: str, change: Document, *, upsert: bool) -> Chosen | None:
        document = await self._preferences.find_one_and_update(
            {"_id": scope}, [{"$set": change}], upsert=upsert, return_document=ReturnDocument.AFTER
        )
        if document is None:
            return None
        stamps = document.get("stamps") or {"": document.get("stamp", "")}
        return Chosen(scope, _choices(document), ",".join(sorted(stamps.values(), reverse=True)))

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


def _chosen(name: str, said: Document, stamp: str, *, of_link: bool) -> list[tuple[str, Any]]:
    """One choice, its newest stamp, and since when it counts: the wish's where that is newer, else what stands, or what everybody begins with.

    What a mail's link switches off keeps what it was before (`before`), as long as nothing else is chosen: one more click takes it back.
    """
    # Documents from before choices had stamps of their own have one for all of them.
    stands = {"$ifNull": [f"$stamps.{name}", {"$ifNull": ["$stamp", ""]}]}
    value = {"$ifNull": [f"${name}", {"$literal": _START[name]}]}
    since = {"$ifNull": [f"$since.{name}", stands]}
    if name not in said:
        return [(name, value), (f"stamps.{name}", stands), (f"since.{name}", since)]
    before: Any = {"$ifNull": [f"$before.{name}", {"value": value, "since": since}]} if of_link else "$$REMOVE"
    newer = {"$lt": [stands, stamp]}
    return [
        (name, {"$cond": [newer, {"$literal": said[name]}, value]}),
        (f"stamps.{name}", {"$cond": [newer, stamp, stands]}),
        (f"since.{name}", {"$cond": [newer, stamp, since]}),
        (f"before.{name}", {"$cond": [newer, before, _or_none(f"before.{name}")]}),
    ]


def _taken_back(name: str, undo: str, stamp: str) -> list[tuple[str, Any]]:
    """As before the click. It counts since it did then, so that it does not outdo what was chosen elsewhere meanwhile."""
    is_meant = {"$and": [{"$eq": [f"$stamps.{name}", undo]}, {"$ne": [{"$type": f"$before.{name}"}, "missing"]}]}
    return [
        (name, {"$cond": [is_meant, f"$before.{name}.value", f"${name}"]}),
        (f"stamps.{name}", {"$cond": [is_meant, stamp, _or_none(f"stamps.{name}")]}),
        (f"since.{name}", {"$cond": [is_meant, f"$before.{name}.since", _or_none(f"since.{name}")]}),
        (f"before.{name}", {"$cond": [is_meant, "$$REMOVE", _or_none(f"before.{name}")]}),
    ]


def _or_none(field: str) -> Document:
    """The field as it stands, also where it is not there."""
    return {"$ifNull": [f"${field}", "$$REMOVE"]}


def _said(wish: PreferencesToSet) -> Document:
    """The choices that the wish is about."""
    wishes: Document = {name: getattr(wish, name) for name in _START}
    said = {name: value for name, value in wishes.items() if value is not None}
    forgotten = {"locale": wish.forget_locale, "time_zone": bool(wish.forget_time_zone)}
    return said | {name: None for name, is_forgotten in forgotten.items() if is_forgotten}


def _choices(document: Document) -> Choices:
    since = document.get("since") or document.get("stamps") or dict.fromkeys(CHOICES, document.get("stamp", ""))
    return Choices(
        messages=document["messages"],
        disputes=document["disputes"],
        locale=document.get("locale"),
        time_zone=document.get("time_zone"),
        since={choice: str(since.get(choice, "")) for choice in CHOICES},
    )


def effective(own: Choices | None, said: Iterable[Choices]) -> Preferences:
    """What is mailed by all that was said, in the language and time zone that the person chose."""
    own = own or Choices()
    return Preferences(mails=decided(said), locale=own.locale, time_zone=own.time_zone)


def decided(said: Iterable[Choices]) -> MailChoices:
    """What is mailed by all that was said."""
    known = list(said)
    by_choice = {choice: decide(each.said_of(choice) for each in known) for choice in CHOICES}
    return MailChoices(messages=by_choice["messages"], disputes=by_choice["disputes"])


def of_order(order_id: OrderId, chosen: Mapping[str, Choices], person: str) -> OrderPreferences:
    """What the person gets about this order, by what was chosen in all their scopes."""
    here = thread_scope(order_id, person)
    everywhere = decided(choices for scope, choices in chosen.items() if scope != here)
    return OrderPreferences(order_id=order_id, mails=decided(chosen.values()), everywhere=everywhere)


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
