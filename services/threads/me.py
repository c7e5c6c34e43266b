"""The caller themselves: who they are, their badges, and what they want by mail."""

import asyncio

from services.threads import lists, order_page, views
from services.threads.addresses import AddressKeys
from services.threads.orders import Orders
from services.threads.people import People, effective, of_order
from shared.callers import Caller
from shared.contracts.choices import scopes
from shared.contracts.contacts import SHOP_MAILBOX
from shared.errors import refuse
from shared.fields import OrderId
from shared.mongo import Database
from shared.queries import Me, OpenDisputes, OrderPreferences, Preferences, Unread


async def me(database: Database, caller: Caller) -> Me:
    """Who the caller is, and the badges of their inbox: two index scans of at most 101 threads each."""
    unread, disputes = await _badges(database, caller)
    return Me(
        id=caller.id,
        role=caller.role,
        name=caller.name,
        inbox=caller.side,
        seller_id=caller.seller_id,
        order_id=caller.order_id,
        unread=unread,
        open_disputes=disputes,
    )


async def _badges(database: Database, caller: Caller) -> tuple[Unread, OpenDisputes]:
    if caller.side is None:
        return Unread(threads=0, messages=0, more=False), OpenDisputes(threads=0, more=False)
    return await asyncio.gather(lists.unread_badge(database, caller), lists.disputes_badge(database, caller))


async def preferences(database: Database, caller: Caller, address_keys: AddressKeys) -> Preferences:
    """What the caller gets by mail, by what was chosen for them and for the address of their newest order.

    A service gets none, so there is nothing for it to choose.
    """
    if caller.side is None:
        raise refuse("forbidden", "A service gets no mails, and so has no preferences.")
    address = await Orders(database).address_of(caller.mailbox)
    whose = scopes(caller.mailbox, None if address is None else address_keys.of(address))
    chosen = await People(database).choices(whose)
    return effective(chosen.get(caller.mailbox), chosen.values())


async def order_preferences(
    database: Database, caller: Caller, order_id: OrderId, address_keys: AddressKeys
) -> OrderPreferences:
    """What the caller gets by mail about this order. Raises not_found where it does not exist for them."""
    seen = await order_page.find(database, caller, order_id)
    address = await Orders(database).address_of_customer(order_id) if seen.side == "customer" else None
    whose = scopes(caller.mailbox, None if address is None else address_keys.of(address), order_id)
    return of_order(order_id, await People(database).choices(whose), caller.mailbox)


async def shop_preferences(database: Database, caller: Caller) -> Preferences:
    """What the shop's mailbox gets by mail: its staff may know, and nobody else."""
    if caller.side != "shop":
        raise refuse("forbidden", "What the shop's mailbox gets is for its administrators to see and to choose.")
    return views.preferences(await database["preferences"].find_one({"_id": SHOP_MAILBOX}))
