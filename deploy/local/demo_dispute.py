"""The second half of the demo's story: a dispute, which stays open until the customer or an administrator closes it."""

from dataclasses import dataclass

from deploy.local.demo_api import CaughtMails, Json, ParleyApi, poll
from deploy.local.demo_steps import require, step
from deploy.local.shop import ShopOrder


@dataclass
class DisputeStory:
    """Told about one order; `answerer` is who answers in it, in words, and `mark` is in every text."""

    order: ShopOrder
    answerer: str
    api: ParleyApi
    mails: CaughtMails
    mark: str
    patience_s: float

    async def run(self) -> None:
        customer, answerer = self.order.customer.name, self.answerer
        await self.close_what_is_open()
        await step(f"{customer} (customer) opens a dispute", self.open())
        await step("both sides and the administrator see the order marked as disputed", self.see_marks())
        told = "the shop's mailbox is" if self.order.seller is None else f"{answerer} and the shop's mailbox are"
        await step(f"{told} mailed at once", self.wait_mails())
        await step(f"{answerer} replies, right below", self.reply())
        if self.order.seller is not None:
            await step(f"{answerer} may not close it: it stays open", self.refuse_seller())
        await step(f"{customer} (customer) closes it, and the history keeps every step", self.close())

    @property
    def path(self) -> str:
        return f"/v1/orders/{self.order.order_id}/dispute"

    async def close_what_is_open(self) -> None:
        """A run that was cut off may have left one open."""
        status, dispute = await self.api.get(self.api.admin(), self.path)
        if status == 200 and dispute["state"] == "open":
            await self.api.write(self.api.admin(), f"{self.path}/close", {"outcome": "withdrawn", "note": ""})

    async def open(self) -> None:
        body = {"reason": "damaged", "text": f"One of the pieces is broken. ({self.mark})"}
        status, _ = await self.api.write(self.api.customer_of(self.order), self.path, body)
        require(status in (200, 201), f"it was answered {status}")

    async def see_marks(self) -> None:
        for token in (self.api.customer_of(self.order), self.api.answers(self.order), self.api.admin()):
            _, page = await self.api.get(token, "/v1/threads?filter=disputed&limit=100")
            rows: list[Json] = [row for row in page["items"] if row["order"]["order_id"] == self.order.order_id]
            require(bool(rows) and rows[0]["thread"]["dispute"]["state"] == "open", "it is not in somebody's list")

    async def wait_mails(self) -> None:
        text = f"One of the pieces is broken. ({self.mark})"

        async def both() -> bool:
            told = {address for mail in await self.mails.holding(text) for address in mail.recipients}
            seller = self.order.seller
            return len(told) >= (2 if seller is not None and seller.email else 1)

        await poll(both, timeout_s=self.patience_s, every_s=0.1, what="the mails about the dispute")

    async def reply(self) -> None:
        text = f"We are sorry, and send a new one today. ({self.mark})"
        posted = await self.api.post_message(self.api.answers(self.order), self.order.order_id, text)
        history = await self.api.history(self.api.customer_of(self.order), self.order.order_id)
        kinds = [(message["kind"], message["id"]) for message in history][-2:]
        require(
            kinds[0][0] == "dispute_opened" and kinds[1] == ("text", posted["id"]), f"the history ends with {kinds}"
        )

    async def refuse_seller(self) -> None:
        body = {"outcome": "rejected", "note": "no"}
        status, _ = await self.api.write(self.api.answers(self.order), f"{self.path}/close", body)
        require(status == 403, f"it was answered {status}")
        _, dispute = await self.api.get(self.api.customer_of(self.order), self.path)
        require(dispute["state"] == "open", "it is not open any more")

    async def close(self) -> None:
        body = {"outcome": "replaced", "note": f"It has come, thank you. ({self.mark})"}
        status, _ = await self.api.write(self.api.customer_of(self.order), f"{self.path}/close", body)
        require(status == 200, f"it was answered {status}")
        history = await self.api.history(self.api.answers(self.order), self.order.order_id)
        told = [message["kind"] for message in history if self.mark in (message["text"] or "")]
        require(told == ["text", "text", "dispute_opened", "text", "dispute_closed"], f"the history tells {told}")
        _, page = await self.api.get(self.api.answers(self.order), "/v1/threads?filter=disputed&limit=100")
        left = [row for row in page["items"] if row["order"]["order_id"] == self.order.order_id]
        require(not left, "it is still in the list of disputes")
