"""`make demo SEED=40`: fills a running stack with conversations as a shop has them, in ten languages; told in seed.json.

Several sellers and orders that the shop sells itself, guests, disputes open and closed, read and unread, links, long texts and names,
right-to-left texts, old messages brought in and new ones, orders with statuses that nobody knows and with items that do not add up.
The same number makes the same conversations, in the same order of the lists. What is there already stays as it is.
"""

import asyncio
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from pathlib import Path
from typing import Any, Final

from deploy.local.demo_api import Json, ParleyApi, StepFailed, poll
from deploy.local.shop import ShopOrder, publish_orders
from deploy.local.tokens import TokenMint

TOLD: Final = Path(__file__).with_name("seed.json")
FIRST_ORDER: Final = 2001
MAX_CONVERSATIONS: Final = 10_000
VISIBLE_LIMIT_S: Final = 60.0
ASK_AT_ONCE: Final = 20
SHOP: Final = "shop"
SERVICE: Final = "seed"
STAFF: Final = ("a-1", "Shop staff")

# A step as it is told: who, what they do, and with which words.
Step = Sequence[str]


@dataclass(frozen=True)
class SeededConversation:
    """An order as the shop publishes it, and what was said about it, in order. `logins` are its seller's, by the names in the steps."""

    order: ShopOrder
    steps: Sequence[Step]
    logins: Mapping[str, str] = field(default_factory=dict)

    @property
    def order_id(self) -> str:
        return self.order.order_id

    @property
    def entries(self) -> int:
        """How many entries its thread has in the end."""
        return sum(step[1] in ("wrote", "says", "opens", "closes") for step in self.steps)


def seeded_conversations(count: int) -> list[SeededConversation]:
    """As many as asked for, newest activity first. After those that are told once, the same people say the same about later orders."""
    told = json.loads(TOLD.read_text())
    conversations = told["conversations"]
    return [
        _conversation(told, conversations[index % len(conversations)], str(FIRST_ORDER + index))
        for index in range(count)
    ]


def _conversation(told: Json, conversation: Json, order_id: str) -> SeededConversation:
    seller = None if conversation["seller"] is None else dict(told["sellers"][conversation["seller"]])
    logins = {} if seller is None else seller.pop("logins")
    snapshot = _snapshot(order_id, conversation, told["customers"][conversation["customer"]], seller)
    return SeededConversation(ShopOrder.read(snapshot), conversation["steps"], logins)


def _snapshot(order_id: str, conversation: Json, customer: Json, seller: Json | None) -> Json:
    items = [
        {"sku": sku, "name": name, "quantity": quantity, "price": price}
        for sku, name, quantity, price in conversation["items"]
    ]
    total = sum(each["quantity"] * Decimal(each["price"]) for each in items)
    return {
        "order_id": order_id,
        "version": 1,
        "status": conversation["status"],
        "placed_at": conversation["placed_at"],
        "url": f"https://shop.example/orders/{order_id}",
        "customer": {"guest": False, **customer},
        **({} if seller is None else {"seller": seller}),
        "items": items,
        "total": conversation.get("total", str(total)),
        "currency": conversation["currency"],
    }


class Seeder:
    """Publishes the orders, and then says everything through the API, one step after the other."""

    def __init__(self, api: ParleyApi, amqp_url: str, mint: TokenMint) -> None:
        self._api, self._amqp_url, self._mint = api, amqp_url, mint

    async def run(self, conversations: Sequence[SeededConversation]) -> int:
        """Returns how many conversations were new. Raises StackError where something of them is refused."""
        await publish_orders(self._amqp_url, [each.order for each in conversations])
        gate = asyncio.Semaphore(ASK_AT_ONCE)
        await asyncio.gather(*(self._until_known(each, gate) for each in conversations))
        # Each list has the newest first, so the last one is begun with.
        return sum([await self._tell(each) for each in reversed(conversations)])

    async def _until_known(self, conversation: SeededConversation, gate: asyncio.Semaphore) -> None:
        async def look() -> bool:
            return await self._api.order_version(conversation.order) is not None

        async with gate:
            await poll(look, timeout_s=VISIBLE_LIMIT_S, what=f"order {conversation.order_id}")

    async def _tell(self, conversation: SeededConversation) -> bool:
        path = f"/v1/orders/{conversation.order_id}"
        _, known = await self._api.get(self._api.admin(), path)
        if known["thread"]["last_seq"] >= conversation.entries:
            return False
        newest: Json = {}
        for number, step in enumerate(conversation.steps):
            key = f"seed-{conversation.order_id}-{number}"
            newest = await self._take(conversation, step, newest, key=key) or newest
        return True

    async def _take(self, conversation: SeededConversation, step: Step, newest: Json, *, key: str) -> Json | None:
        """Takes one step, and returns the message that it made."""
        who, does, *words = step
        order_id, token = conversation.order_id, self._token(conversation, who)
        match does:
            case "wrote":
                author = self._author(conversation, who)
                body = {"external_id": key, "author": author, "written_at": words[0], "text": words[1]}
                service = self._mint.mint("service", SERVICE)
                return await self._write(service, f"/v1/orders/{order_id}/messages/import", body, key=None)
            case "says":
                return await self._write(token, f"/v1/orders/{order_id}/messages", {"text": words[0]}, key=key)
            case "opens":
                await self._write(
                    token, f"/v1/orders/{order_id}/dispute", {"reason": words[0], "text": words[1]}, key=key
                )
                return await self._newest(token, order_id)
            case "closes":
                body = {"outcome": words[0], "note": words[1]}
                await self._write(token, f"/v1/orders/{order_id}/dispute/close", body, key=key)
                return await self._newest(token, order_id)
            case "reads":
                await self._api.mark_read(token, order_id, int(newest["seq"]))
                return None
            case "removes":
                await self._write(token, f"/v1/orders/{order_id}/messages/{newest['id']}/redact", {}, key=key)
                return None
        raise StepFailed(f"{TOLD.name}: {does} is nothing that anybody does")

    async def _newest(self, token: str, order_id: str) -> Json:
        return (await self._api.history(token, order_id))[-1]

    async def _write(self, token: str, path: str, body: Json, *, key: str | None) -> Json:
        status, answer = await self._api.write(token, path, body, key=key)
        if status not in (200, 201):
            raise StepFailed(f"POST {path} was answered {status}: {answer.get('detail', answer)}")
        return answer

    def _token(self, conversation: SeededConversation, who: str) -> str:
        if who == "customer":
            return self._api.customer_of(conversation.order)
        if who == SHOP:
            return self._api.admin()
        seller = conversation.order.seller
        if seller is None:
            raise StepFailed(f"{TOLD.name}: {who} takes part in an order that the shop sells itself")
        login, name = self._login(conversation, who)
        return self._mint.mint("seller", login, name=name, seller_id=seller.id)

    def _author(self, conversation: SeededConversation, who: str) -> dict[str, Any]:
        if who == "customer":
            customer = conversation.order.customer
            return {"side": "customer", "id": customer.id, "name": customer.name}
        side, (login, name) = (SHOP, STAFF) if who == SHOP else ("seller", self._login(conversation, who))
        return {"side": side, "id": login, "name": name}

    @staticmethod
    def _login(conversation: SeededConversation, who: str) -> tuple[str, str]:
        """Id and name of one of the seller's logins; `seller` is the first one's."""
        name = conversation.logins.get(who) or next(iter(conversation.logins.values()))
        return name.split()[0].lower(), name


def sign_in_as(conversations: Sequence[SeededConversation], mint: TokenMint) -> Iterator[tuple[str, str]]:
    """Who has the most to see, and a token of theirs: the shop's staff, a seller's login, a customer."""
    yield "Shop staff (admin)", mint.mint("admin", STAFF[0], name=STAFF[1])
    sold = [each for each in conversations if each.order.seller is not None]
    if sold and (seller := sold[0].order.seller) is not None:
        name = next(iter(sold[0].logins.values()))
        token = mint.mint("seller", name.split()[0].lower(), name=name, seller_id=seller.id)
        yield f"{name}, {seller.name} (seller)", token
    customer = conversations[0].order.customer
    yield f"{customer.name} (customer)", mint.mint("customer", customer.id, name=customer.name)
