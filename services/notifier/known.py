"""What the notifier keeps beside the mails: read marks, people's choices, and which texts were taken out. Each may come before the entry."""

from collections.abc import Sequence
from typing import Any, Final

from pymongo.errors import DuplicateKeyError

from services.notifier.contents import Knowledge, Mail
from services.notifier.groups import Groups
from shared.events import ChoicesMade, MarkMoved, TextTakenOut
from shared.mongo import Database

MAX_RACES: Final = 5
MAX_GROUP: Final = 64


class Known:
    """Three small collections, each written so that a repeated or late event changes nothing."""

    def __init__(self, database: Database) -> None:
        self._reads, self._choices = database["reads"], database["choices"]
        self._redactions = database["redactions"]
        self._lookups: Groups[Mail, Knowledge] = Groups(self._look_up, at_most=MAX_GROUP)

    async def read(self, mark: MarkMoved) -> None:
        """Keeps the highest `seq` ever read in an inbox: what was read once is not mailed, even if it is unread again."""
        key = {"_id": f"{mark.order_id}|{mark.inbox}"}
        about = {"order_id": mark.order_id, "inbox": mark.inbox}
        for _ in range(MAX_RACES):
            try:
                await self._reads.update_one(key, {"$max": {"seq": mark.up_to_seq}, "$set": about}, upsert=True)
                return
            except DuplicateKeyError:  # another process made it between look and insert; now it is there to update
                continue

    async def chosen(self, choices: ChoicesMade) -> None:
        """Keeps the newest choices of a person, by stamp."""
        older = {"_id": choices.person, "stamp": {"$lt": choices.stamp}}
        for _ in range(MAX_RACES):
            try:
                await self._choices.update_one(older, {"$set": choices.model_dump()}, upsert=True)
                return
            except DuplicateKeyError:
                if await self._choices.find_one({"_id": choices.person, "stamp": {"$gte": choices.stamp}}):
                    return

    async def taken_out(self, redaction: TextTakenOut) -> None:
        """Remembers it for ever, for an entry that is taken, or redelivered, later."""
        key = {"_id": redaction.message_id}
        fields = {"order_id": redaction.order_id, "seq": redaction.seq}
        try:
            await self._redactions.update_one(key, {"$set": fields}, upsert=True)
        except DuplicateKeyError:
            return

    async def about(self, mail: Mail) -> Knowledge:
        """What decides which of the mail's entries are still worth sending."""
        return await self._lookups.ask(mail)

    async def _look_up(self, mails: Sequence[Mail]) -> list[Knowledge]:
        """All three collections in one look, for several mails together."""
        marks: dict[str, int] = {}
        choices: dict[str, ChoicesMade] = {}
        taken_out: set[str] = set()
        async for found in await self._reads.aggregate(_look_for(mails)):
            match found["from"]:
                case "reads":
                    marks[found["_id"]] = found["seq"]
                case "choices":
                    choices[found["_id"]] = ChoicesMade.model_validate(found)
                case _:
                    taken_out.add(found["_id"])
        return [
            Knowledge(
                read_up_to=marks.get(_mark_of(mail), 0),
                choices=choices.get(mail.person),
                redacted=taken_out & {entry.id for entry in mail.entries} if taken_out else frozenset(),
            )
            for mail in mails
        ]


def _mark_of(mail: Mail) -> str:
    return f"{mail.order_id}|{mail.recipient.inbox}"


def _look_for(mails: Sequence[Mail]) -> list[dict[str, Any]]:
    def also(collection: str, ids: set[str]) -> dict[str, Any]:
        pipeline = [{"$match": {"_id": {"$in": list(ids)}}}, {"$set": {"from": collection}}]
        return {"$unionWith": {"coll": collection, "pipeline": pipeline}}

    return [
        {"$match": {"_id": {"$in": [_mark_of(mail) for mail in mails]}}},
        {"$set": {"from": "reads"}},
        also("choices", {mail.person for mail in mails}),
        also("redactions", {entry.id for mail in mails for entry in mail.entries}),
    ]
