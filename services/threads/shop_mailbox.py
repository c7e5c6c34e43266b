"""The shop's own mailbox: a setting, whose changes must reach what waits to be mailed like those of every other address."""

from pymongo import ReturnDocument
from pymongo.errors import DuplicateKeyError

from services.threads.contacts import Contact
from services.threads.recipients import Addressee
from shared.contracts.contacts import SHOP_MAILBOX, contact_key, order_version
from shared.contracts.keys import MAIN_SHOP
from shared.fields import Locale
from shared.mongo import Database, Document


class ShopMailbox:
    """Counts the changes of the setting in threads' database, so that of two states the notifier knows the newer.

    While processes with the old and the new setting run side by side, the one that was started last says where mails go.
    """

    def __init__(self, database: Database, *, email: str | None, locale: Locale, name: str) -> None:
        """`name` is what the shop is called."""
        self._mailboxes = database["mailboxes"]
        self._email, self._locale, self._name = email, locale, name

    async def settle(self) -> tuple[Addressee | None, Contact | None]:
        """The mailbox with its version, None where there is none; and what the notifier must be told, None where there never was one.

        May run twice. Raises PyMongoError.
        """
        place = contact_key("shop", SHOP_MAILBOX, None)
        now = {"shop_id": MAIN_SHOP, "name": self._name, "email": self._email, "locale": self._locale}
        same = {"$and": [{"$eq": [f"${name}", {"$literal": value}]} for name, value in now.items()]}
        changes = {"$add": [{"$ifNull": ["$changes", 0]}, {"$cond": [same, 0, 1]}]}
        change: list[Document] = [
            {"$set": {"changes": changes, **{name: {"$literal": each} for name, each in now.items()}}}
        ]
        stands: Document | None = None
        try:
            stands = await self._mailboxes.find_one_and_update(
                {"_id": place}, change, upsert=self._email is not None, return_document=ReturnDocument.AFTER
            )
        except DuplicateKeyError:  # another process made it between look and insert
            stands = await self._mailboxes.find_one_and_update(
                {"_id": place}, change, return_document=ReturnDocument.AFTER
            )
        if stands is None:
            return None, None
        version = order_version(stands["changes"])
        contact = Contact(None, "shop", SHOP_MAILBOX, version, self._name, self._email, self._locale)
        if self._email is None:
            return None, contact
        return Addressee(SHOP_MAILBOX, "shop", self._name, self._email, self._locale, version), contact
