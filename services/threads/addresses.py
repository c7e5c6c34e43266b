"""E-mail addresses as mailboxes: which two are the same, and the key that stands for one. Pure."""

import base64
import hashlib
import hmac
import unicodedata
from functools import lru_cache
from typing import Final

from shared import addresses
from shared.contracts.keys import MAIN_SHOP, SHOP_SEPARATOR

KEPT: Final = 10_000
# 128 bits are 26 characters of base32.
KEY_BYTES: Final = 16


def mailbox(address: str) -> str:
    """The address as one mailbox is always spelled, as it is sent: no carrier tells two mailboxes apart by capitals, or by how an accent is coded.

    One that cannot be sent to, from before addresses were looked at so, is spelled as it is.
    """
    normalized = unicodedata.normalize("NFC", address)
    try:
        return addresses.sendable(normalized).lower()
    except addresses.AddressError:
        return normalized.lower()


class AddressKeys:
    """Stands for addresses where none may be kept; only who has the secret can tell whether an address is the one."""

    def __init__(self, secret: str) -> None:
        self._secret = secret.encode()
        self._of = lru_cache(maxsize=KEPT)(self._made)

    def of(self, address: str, *, shop_id: str = MAIN_SHOP) -> str:
        """The key of this mailbox within the shop."""
        return self._of(shop_id, mailbox(address))

    def _made(self, shop_id: str, spelled: str) -> str:
        said = f"{shop_id}{SHOP_SEPARATOR}{spelled}".encode()
        digest = hmac.digest(self._secret, said, hashlib.sha256)[:KEY_BYTES]
        return base64.b32encode(digest).decode().rstrip("=").lower()
