"""What people want by mail is said of a person, of an address, or of a person's place in one thread; of all that is said about one mail the newest decides. Pure."""

from collections.abc import Iterable
from typing import Final, Literal

from shared.contracts.contacts import contact_place
from shared.contracts.keys import MAIN_SHOP, join_key

Choice = Literal["messages", "disputes"]
CHOICES: Final[tuple[Choice, ...]] = ("messages", "disputes")


def address_scope(address_key: str, *, shop_id: str = MAIN_SHOP) -> str:
    """Whose choices those of an address on the customer's side are. No key of a person begins so: theirs begin with a role."""
    return join_key("address", address_key, shop_id=shop_id)


def thread_scope(thread_id: str, person: str, *, shop_id: str = MAIN_SHOP) -> str:
    """Whose choices those of a person about one thread are; a guest who becomes an account keeps them. No key of a person begins so."""
    return join_key("thread", thread_id, contact_place(person), shop_id=shop_id)


def scopes(person: str, address_key: str | None, thread_id: str | None = None) -> tuple[str, ...]:
    """Whose choices count for mails to this person, at this address, about this thread; the person themselves first."""
    of_address = () if address_key is None else (address_scope(address_key),)
    of_thread = () if thread_id is None else (thread_scope(thread_id, person),)
    return (person, *of_address, *of_thread)


def decide(said: Iterable[tuple[bool, str]]) -> bool:
    """The one with the newest stamp of these (value, stamp); yes where nothing was said. What was never chosen has the stamp ''."""
    decided, newest = True, None
    for value, stamp in said:
        if newest is None or stamp > newest:
            decided, newest = value, stamp
    return decided
