"""What people chose: preferences for mails, and which threads administrators watch."""

from collections.abc import Iterable, Sequence

from services.threads.recipients import EVERYTHING, Choices, Watcher
from services.threads.stamped import write_newer
from shared.commands import PreferencesToSet, WatchToSet
from shared.fields import OrderId
from shared.mongo import Database, Document

_START: Document = {"messages": True, "disputes": True, "locale": None}


class People:
    def __init__(self, database: Database) -> None:
        self._preferences = database["preferences"]
        self._watches = database["watches"]

    async def choices(self, persons: Iterable[str]) -> dict[str, Choices]:
        """What these people chose; whoever never chose anything is missing, and gets everything."""
        found = self._preferences.find({"_id": {"$in": list(persons)}})
        return {document["_id"]: _choices(document) for document in await found.to_list()}

    async def choose(self, wish: PreferencesToSet, *, stamp: str) -> Choices:
        """Applies a wish unless a newer one stands; what it leaves open stays. Answers what stands then. May run twice."""
        wishes: Document = {"messages": wish.messages, "disputes": wish.disputes, "locale": wish.locale}
        fields = {name: value for name, value in wishes.items() if value is not None}
        if wish.forget_locale:
            fields["locale"] = None
        start = {name: value for name, value in _START.items() if name not in fields}
        await write_newer(self._preferences, wish.person, fields, stamp=stamp, at_first=start)
        return (await self.choices([wish.person])).get(wish.person, EVERYTHING)

    async def watchers(self, order_ids: Sequence[OrderId]) -> list[Watcher]:
        found = self._watches.find({"order_id": {"$in": list(order_ids)}, "watching": True})
        return [_watcher(document) for document in await found.to_list()]

    async def watch(self, wish: WatchToSet, *, stamp: str) -> None:
        """Starts or stops a watch unless a newer wish stands. May run twice."""
        person = wish.caller.key
        fields = {
            "order_id": wish.order_id,
            "person": person,
            "watching": wish.watching,
            "name": wish.caller.name,
            "email": wish.email,
            "locale": wish.locale,
        }
        await write_newer(self._watches, f"{wish.order_id}|{person}", fields, stamp=stamp)


def _choices(document: Document) -> Choices:
    return Choices(messages=document["messages"], disputes=document["disputes"], locale=document["locale"])


def _watcher(document: Document) -> Watcher:
    return Watcher(
        order_id=document["order_id"],
        person=document["person"],
        name=document["name"],
        email=document["email"],
        locale=document["locale"],
    )
