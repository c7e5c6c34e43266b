"""What the notifier keeps beside the mails: read marks, people's choices, and which texts were taken out. Each may come before the entry."""

from typing import Any, Final

from pymongo.errors import DuplicateKeyError

from services.notifier.contents import Knowledge, Mail
from shared.events import ChoicesMade, MarkMoved, TextTakenOut
from shared.mongo import Database, Document

MAX_RACES: Final = 5


class Known:
    """Three small collections, each written so that a repeated or late event changes nothing."""

    def __init__(self, database: Database) -> None:
        self._reads, self._choices = database["reads"], database["choices"]
        self._redactions = database["redactions"]

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
        """What decides which of the mail's entries are still worth sending: all three collections in one look."""
        cursor = await self._reads.aggregate(_look_for(mail))
        mark: Document = {}
        choices: Document | None = None
        taken_out: list[str] = []
        async for found in cursor:
            match found["from"]:
                case "reads":
                    mark = found
                case "choices":
                    choices = found
                case _:
                    taken_out.append(found["_id"])
        return Knowledge(
            read_up_to=mark.get("seq", 0),
            choices=ChoicesMade.model_validate(choices) if choices else None,
            redacted=frozenset(taken_out),
        )


def _look_for(mail: Mail) -> list[dict[str, Any]]:
    def also(collection: str, match: dict[str, Any]) -> dict[str, Any]:
        return {"$unionWith": {"coll": collection, "pipeline": [{"$match": match}, {"$set": {"from": collection}}]}}

    return [
        {"$match": {"_id": f"{mail.order_id}|{mail.recipient.inbox}"}},
        {"$set": {"from": "reads"}},
        also("choices", {"_id": mail.person}),
        also("redactions", {"_id": {"$in": [entry.id for entry in mail.entries]}}),
    ]
