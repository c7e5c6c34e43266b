"""`make demo`: a customer, the shop's staff and a seller use a running stack; each step says what it saw and how long it took.

The same story is told twice: about an order that the shop sells itself, and about one of a seller in its marketplace.
`make demo SEED=40` tells no story: it fills the stack with that many conversations to look at (seed.py).
"""

import asyncio
import os
import secrets
import sys
from dataclasses import dataclass, field
from pathlib import Path

from deploy.local.demo_api import CaughtMails, Json, ParleyApi, SeenMail, StepFailed, caught_mails, poll, session
from deploy.local.demo_dispute import DisputeStory
from deploy.local.demo_steps import require, step
from deploy.local.demo_target import DemoTarget
from deploy.local.demo_timing import in_ms, time_to_mail, time_to_readable
from deploy.local.errors import StackError
from deploy.local.seed import MAX_CONVERSATIONS, Seeder, seeded_conversations, sign_in_as
from deploy.local.shop import ShopOrder, demo_orders, orders_in, publish_orders

VISIBLE_TIMEOUT_S = 60.0
MAIL_PATIENCE_S = 20.0
ASK_AT_ONCE = 20


@dataclass
class Demo:
    """The orders, the story about one of each kind, and how long things take."""

    target: DemoTarget
    orders: list[ShopOrder]
    api: ParleyApi
    mails: CaughtMails

    @property
    def mailable(self) -> list[ShopOrder]:
        """The orders whose customers have an account and an address."""
        found = [order for order in self.orders if order.customer.email and not order.is_guest]
        if not found:
            raise StepFailed("no order has a customer with an account and an e-mail address")
        return found

    @property
    def talked_about(self) -> list[ShopOrder]:
        """The first order that the shop sells itself, and the first of a seller; of a shop that has one kind alone, that one."""
        kinds = {order.seller is None: order for order in reversed(self.mailable)}
        return [kinds[is_own] for is_own in (True, False) if is_own in kinds]

    async def run(self) -> None:
        await step(f"shop: {len(self.orders)} orders published over AMQP, all confirmed", self.publish())
        await step(f"API: all {len(self.orders)} orders visible to their customers", self.wait_visible())
        for order in self.talked_about:
            await Story(self.target, order, self.api, self.mails).run()
        await self.measure()

    async def publish(self) -> str:
        await publish_orders(self.target.amqp_url, self.orders)
        return ""

    async def wait_visible(self) -> str:
        gate = asyncio.Semaphore(ASK_AT_ONCE)

        async def visible(order: ShopOrder) -> None:
            async def look() -> bool:
                version = await self.api.order_version(order)
                return version is not None and version >= int(order.snapshot["version"])

            async with gate:
                await poll(look, timeout_s=VISIBLE_TIMEOUT_S, what=f"order {order.order_id}")

        await asyncio.gather(*(visible(order) for order in self.orders))
        return ""

    async def measure(self) -> None:
        delay_s = self.target.mail_delay_s
        print("measuring, 50 messages each, one after the other:")
        readable = await time_to_readable(self.api, self.mailable[-1])
        print(f"      POST until readable             {in_ms(readable)}")
        await self.mails.ignore_present()
        mailed = await time_to_mail(self.api, self.mails, self.mailable, mail_delay_s=delay_s)
        print(f"      answer's POST until mail taken  {in_ms(mailed)}, of which MAIL_DELAY is {delay_s * 1000:g} ms")


@dataclass
class Story:
    """The mission, told about one order. `mark` is in every text, so that a second run does not find the first one's."""

    target: DemoTarget
    order: ShopOrder
    api: ParleyApi
    mails: CaughtMails
    mark: str = field(default_factory=lambda: secrets.token_hex(4))

    @property
    def answerer(self) -> str:
        seller = self.order.seller
        return "the shop (its staff)" if seller is None else f"{seller.name} (seller)"

    async def run(self) -> None:
        order = self.order
        print(f"order {order.order_id}, sold by {'the shop itself' if order.seller is None else 'a seller'}:")
        question = await step(f"{order.customer.name} (customer) posts about order {order.order_id}", self.ask())
        await step(f"{self.answerer} finds it unread, and marks it read", self.read_as_answerer(question))
        answer = await step(f"{self.answerer} answers", self.answer())
        mail = await step(f"one e-mail to {order.customer.email}", self.wait_mail(answer))
        print(f"      subject: {mail.subject}")
        await step("My account > Orders and > Messages show the new message, and a badge", self.see_new())
        await step(f"{order.customer.name} (customer) reads the history", self.read_as_customer(question, answer))
        dispute = DisputeStory(order, self.answerer, self.api, self.mails, mark=self.mark, patience_s=self.patience_s)
        await dispute.run()

    async def ask(self) -> Json:
        text = f"Hello, when will my order arrive? ({self.mark})"
        return await self.api.post_message(self.api.customer_of(self.order), self.order.order_id, text)

    async def read_as_answerer(self, question: Json) -> None:
        token, order_id = self.api.answers(self.order), self.order.order_id
        _, threads = await self.api.get(token, "/v1/threads?filter=unread&limit=100")
        rows = [row for row in threads.get("items", []) if row["order"]["order_id"] == order_id]
        require(bool(rows) and rows[0]["thread"]["unread"] >= 1, "the unread threads of who answers do not have it")
        seen = {message["id"]: message for message in await self.api.history(token, order_id)}
        require(
            seen.get(question["id"], {}).get("text") == question["text"], "the history of who answers does not have it"
        )
        await self.api.mark_read(token, order_id, int(question["seq"]))

    async def answer(self) -> Json:
        text = f"Good day! It left our house this morning. ({self.mark})"
        return await self.api.post_message(self.api.answers(self.order), self.order.order_id, text)

    @property
    def patience_s(self) -> float:
        return self.target.mail_delay_s + MAIL_PATIENCE_S

    async def wait_mail(self, answer: Json) -> SeenMail:
        """The mail about the answer: one, to the customer alone, with the text in both its parts."""
        text = str(answer["text"])
        found = await poll(lambda: self.mails.holding(text), timeout_s=self.patience_s, every_s=0.1, what="the e-mail")
        mail = found[0]
        require(len(found) == 1, f"{len(found)} mails hold the answer")
        require(mail.recipients == (self.order.customer.email,), f"it went to {mail.recipients}")
        require(text.split(" (", maxsplit=1)[0] in mail.html, "its HTML part does not have the text")
        require(self.order.order_id in mail.subject + mail.text, "it does not name the order")
        require(bool(mail.headers.get("message-id")), "it has no Message-ID")
        require(mail.headers.get("auto-submitted") == "auto-generated", "it does not say that it is automatic")
        return mail

    async def see_new(self) -> None:
        token, order_id = self.api.customer_of(self.order), self.order.order_id
        for path in ("/v1/orders?filter=unread&limit=100", "/v1/threads?filter=unread&limit=100"):
            _, page = await self.api.get(token, path)
            rows = [row for row in page["items"] if row["order"]["order_id"] == order_id]
            require(bool(rows) and rows[0]["thread"]["unread"] >= 1, f"{path} does not show it")
        _, me = await self.api.get(token, "/v1/me")
        require(me["unread"]["messages"] >= 1, "the badge does not count it")

    async def read_as_customer(self, question: Json, answer: Json) -> None:
        token, order_id = self.api.customer_of(self.order), self.order.order_id
        history = [
            message for message in await self.api.history(token, order_id) if self.mark in (message["text"] or "")
        ]
        require(
            [message["id"] for message in history] == [question["id"], answer["id"]],
            "question and answer are not there in order",
        )
        require([message["mine"] for message in history] == [True, False], "whose messages they are is wrong")
        await self.api.mark_read(token, order_id, int(answer["seq"]))


async def tell(target: DemoTarget, orders: list[ShopOrder]) -> None:
    async with session() as http:
        api, mails = ParleyApi(http, target.gateway_url, target.mint), await caught_mails(http, target.mail_page_url)
        await mails.ignore_present()
        await Demo(target, orders, api, mails).run()


async def seed(target: DemoTarget, count: int) -> None:
    conversations = seeded_conversations(count)
    print(f"seeding {target.gateway_url}", flush=True)
    async with session() as http:
        api = ParleyApi(http, target.gateway_url, target.mint)
        new = await Seeder(api, target.amqp_url, target.mint).run(conversations)
    languages = {each.order.customer.locale for each in conversations}
    print(
        f"seed: {count} conversations in {len(languages)} languages are there, {new} of them new. To see them, sign in:"
    )
    for who, token in sign_in_as(conversations, target.mint):
        print(f"  {who}    {target.gateway_url}/pages/login#token={token}")


def asked_count(given: str) -> int:
    """How many conversations SEED asks for. Raises StackError where it is no such number."""
    if not given.isdecimal() or not 1 <= int(given) <= MAX_CONVERSATIONS:
        raise StackError(f"SEED must be a number of conversations from 1 to {MAX_CONVERSATIONS}, not {given}")
    return int(given)


def main() -> int:
    try:
        target = DemoTarget.read(os.environ)
        if os.environ.get("SEED"):
            asyncio.run(seed(target, asked_count(os.environ["SEED"])))
            return 0
        asked = os.environ.get("ORDERS")
        orders = orders_in(Path(asked)) if asked else demo_orders()
        print(f"demo on {target.gateway_url}", flush=True)
        asyncio.run(tell(target, orders))
    except StackError as error:
        print(f"make demo: {error}", file=sys.stderr)
        return 1
    print("demo: every step went well")
    return 0


if __name__ == "__main__":
    sys.exit(main())
