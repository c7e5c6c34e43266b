"""What the notifier keeps beside the mails, each of which may come before the entry: read marks, choices, texts taken out, changed addresses."""

from collections.abc import Sequence
from typing import Final

from pymongo import UpdateOne
from pymongo.errors import BulkWriteError, DuplicateKeyError

from services.notifier.contents import Knowledge, Mail, recipient_now
from services.notifier.groups import Groups
from shared.contracts.choices import scopes
from shared.contracts.contacts import contact_key
from shared.contracts.keys import join_key
from shared.errors import RetryLater
from shared.events import ChoicesMade, ContactData, MarkMoved, TextTakenOut
from shared.mongo import Database, Document

MAX_RACES: Final = 5
DUPLICATE_KEY: Final = 11_000
MAX_GROUP: Final = 64


class Known:
    """Four small collections, each written so that a repeated or late event changes nothing."""

    def __init__(self, database: Database) -> None:
        self._reads, self._choices = database["reads"], database["choices"]
        self._redactions, self._addresses = database["redactions"], database["addresses"]
        self._lookups: Groups[Mail, Knowledge] = Groups(self._look_up, at_most=MAX_GROUP)

    async def read(self, mark: MarkMoved) -> None:
        """As `read_some` of this one."""
        await self.read_some([mark])

    async def read_some(self, marks: Sequence[MarkMoved]) -> None:
        """Keeps the highest `seq` ever read in an inbox: what was read once is not mailed, even if it is unread again.

        Of the shop's people each has a mark of their own too: a watcher is mailed what only a colleague has read.
        """
        highest: dict[str, MarkMoved] = {}
        for mark in marks:
            for reader in [mark.inbox, mark.person] if mark.inbox == "shop" else [mark.inbox]:
                key = join_key(mark.order_id, reader)
                highest[key] = max(highest.get(key, mark), mark, key=lambda each: each.up_to_seq)
        writes = [_higher(key, mark) for key, mark in highest.items()]
        for _ in range(MAX_RACES):
            try:
                await self._reads.bulk_write(writes, ordered=False)
                return
            except BulkWriteError as error:
                # Another process made it between look and insert; now it is there to update.
                if {each["code"] for each in error.details["writeErrors"]} != {DUPLICATE_KEY}:
                    raise
        raise RetryLater("many writers are at this read mark")

    async def moved(self, contact: ContactData) -> None:
        """Keeps the newest state of an address, by version; one that was withdrawn is kept as such."""
        place = contact_key(contact.role, contact.person, contact.thread_id, shop_id=contact.shop_id)
        older = {"_id": place, "version": {"$lt": contact.version}}
        stands: Document = {"_id": place, **contact.model_dump()}
        change: list[Document] = [{"$replaceWith": {"$literal": stands}}, {"$set": {"at": "$$NOW"}}]
        for _ in range(MAX_RACES):
            try:
                await self._addresses.update_one(older, change, upsert=True)
                return
            except DuplicateKeyError:
                if await self._addresses.find_one({"_id": place, "version": {"$gte": contact.version}}):
                    return
        raise RetryLater("many writers are at this address")

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
        raise RetryLater("many writers are at this person's choices")

    async def taken_out(self, redaction: TextTakenOut) -> None:
        """Remembers it for ever, for an entry that is taken, or redelivered, later."""
        key = {"_id": redaction.message_id}
        fields = {"order_id": redaction.order_id, "seq": redaction.seq}
        try:
            await self._redactions.update_one(key, {"$set": fields}, upsert=True)
        except DuplicateKeyError:
            return

    async def about(self, mail: Mail) -> Knowledge:
        """What decides which of the mail's entries are still worth sending, and to which address."""
        return await self._lookups.ask(mail)

    async def _look_up(self, mails: Sequence[Mail]) -> list[Knowledge]:
        """All four collections in one look, for several mails together."""
        marks: dict[str, int] = {}
        choices: dict[str, ChoicesMade] = {}
        contacts: dict[str, ContactData] = {}
        taken_out: set[str] = set()
        async for found in await self._reads.aggregate(_look_for(mails)):
            match found["from"]:
                case "reads":
                    marks[found["_id"]] = found["seq"]
                case "choices":
                    choices[found["_id"]] = ChoicesMade.model_validate(found)
                case "addresses":
                    contacts[found["_id"]] = ContactData.model_validate(found)
                case _:
                    taken_out.add(found["_id"])
        of_mails = [_scopes_now(mail, contacts.get(mail.contact_key)) for mail in mails]
        # A changed address, or a guest who has an account by now: their choices were not asked for.
        unasked = {scope for each in of_mails for scope in each} - {scope for mail in mails for scope in _scopes(mail)}
        if unasked:
            async for found in self._choices.find({"_id": {"$in": list(unasked)}}):
                choices[found["_id"]] = ChoicesMade.model_validate(found)
        return [
            Knowledge(
                read_up_to=marks.get(_mark_of(mail), 0),
                choices=tuple(choices[scope] for scope in of_mail if scope in choices),
                redacted=taken_out & {entry.id for entry in mail.entries} if taken_out else frozenset(),
                contact=contacts.get(mail.contact_key),
            )
            for mail, of_mail in zip(mails, of_mails, strict=True)
        ]


def _scopes(mail: Mail) -> tuple[str, ...]:
    return scopes(mail.recipient.person, mail.recipient.address_key, mail.order_id)


def _scopes_now(mail: Mail, contact: ContactData | None) -> tuple[str, ...]:
    recipient = recipient_now(mail, contact) or mail.recipient
    return scopes(recipient.person, recipient.address_key, mail.order_id)


def _higher(key: str, mark: MarkMoved) -> UpdateOne:
    about = {"order_id": mark.order_id, "inbox": mark.inbox}
    return UpdateOne({"_id": key}, {"$max": {"seq": mark.up_to_seq}, "$set": about}, upsert=True)


def _mark_of(mail: Mail) -> str:
    recipient = mail.recipient
    return join_key(mail.order_id, recipient.person if recipient.role == "watcher" else recipient.inbox)


def _look_for(mails: Sequence[Mail]) -> list[Document]:
    def also(collection: str, ids: set[str]) -> Document:
        pipeline = [{"$match": {"_id": {"$in": list(ids)}}}, {"$set": {"from": collection}}]
        return {"$unionWith": {"coll": collection, "pipeline": pipeline}}

    return [
        {"$match": {"_id": {"$in": [_mark_of(mail) for mail in mails]}}},
        {"$set": {"from": "reads"}},
        also("choices", {scope for mail in mails for scope in _scopes(mail)}),
        also("redactions", {entry.id for mail in mails for entry in mail.entries}),
        also("addresses", {mail.contact_key for mail in mails}),
    ]
