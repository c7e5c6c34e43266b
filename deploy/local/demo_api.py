"""Parley's API and the mail catcher's, as the demo calls them."""

import asyncio
import time
import uuid
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Any, TypeVar

import aiohttp

from deploy.local.errors import StackError
from deploy.local.shop import ShopOrder
from deploy.local.tokens import TokenMint

REQUEST_TIMEOUT_S = 10.0
POLL_EVERY_S = 0.005
HISTORY_LIMIT = 200

Json = dict[str, Any]
T = TypeVar("T")


class StepFailed(StackError):
    """A step of the demo did not see what it should have seen."""


class ParleyApi:
    """Calls with one bearer token for each person."""

    def __init__(self, session: aiohttp.ClientSession, url: str, mint: TokenMint) -> None:
        self._session, self._url, self._mint = session, url, mint

    def customer_of(self, order: ShopOrder) -> str:
        """A token of the order's customer; a guest's is for this one order."""
        customer = order.customer
        if order.is_guest:
            return self._mint.mint_guest(order.order_id, person=customer.id, name=customer.name)
        return self._mint.mint("customer", customer.id, name=customer.name)

    def answers(self, order: ShopOrder) -> str:
        """A token of who answers: a login of the order's seller, or where the shop itself sells, one of its staff."""
        seller = order.seller
        if seller is None:
            return self.admin()
        return self._mint.mint("seller", f"{seller.id}-login", name=seller.name, seller_id=seller.id)

    def admin(self) -> str:
        return self._mint.mint("admin", "a-1", name="Shop staff")

    async def get(self, token: str, path: str) -> tuple[int, Json]:
        return await self._call("GET", token, path)

    async def write(self, token: str, path: str, body: Json, *, key: str | None = None) -> tuple[int, Json]:
        """A POST under this key or one of its own; an answer 202 is followed until there is an outcome."""
        status, answer = await self._call("POST", token, path, body, key=key or str(uuid.uuid4()))
        if status == 202 and "command_id" in answer:
            return 200, await self._outcome(token, str(answer["command_id"]))
        return status, answer

    async def order_version(self, order: ShopOrder) -> int | None:
        """The version that its customer sees; None where they see no such order."""
        status, body = await self.get(self.customer_of(order), f"/v1/orders/{order.order_id}")
        return int(body["order"]["version"]) if status == 200 else None

    async def post_message(self, token: str, order_id: str, text: str) -> Json:
        """The message as it was answered. An answer 202 is followed until the message is there."""
        status, body = await self._call(
            "POST", token, f"/v1/orders/{order_id}/messages", {"text": text}, key=str(uuid.uuid4())
        )
        if status == 202:
            return await self._outcome(token, str(body["command_id"]))
        if status != 201:
            raise StepFailed(f"posting was answered {status}: {body.get('detail', body)}")
        return body

    async def history(self, token: str, order_id: str, *, after_seq: int | None = None) -> list[Json]:
        """The newest messages, or the first ones after a `seq`; in the order of `seq`."""
        after = "" if after_seq is None else f"&after_seq={after_seq}"
        status, body = await self.get(token, f"/v1/orders/{order_id}/messages?limit={HISTORY_LIMIT}{after}")
        if status != 200:
            raise StepFailed(f"reading the history was answered {status}: {body.get('detail', body)}")
        items: list[Json] = body["items"]
        return items

    async def mark_read(self, token: str, order_id: str, up_to_seq: int) -> None:
        status, body = await self._call("PUT", token, f"/v1/orders/{order_id}/read", {"up_to_seq": up_to_seq})
        if status not in (200, 202):
            raise StepFailed(f"marking as read was answered {status}: {body.get('detail', body)}")

    async def _outcome(self, token: str, command_id: str) -> Json:
        async def look() -> Json | None:
            _, body = await self.get(token, f"/v1/commands/{command_id}")
            return body if body.get("state") != "accepted" else None

        body = await poll(look, timeout_s=20, what=f"the outcome of command {command_id}")
        if body.get("state") != "done":
            raise StepFailed(f"the message was not taken: {body}")
        result: Json = body["result"]
        return result

    async def _call(
        self, method: str, token: str, path: str, body: Json | None = None, *, key: str | None = None
    ) -> tuple[int, Json]:
        headers = {"Authorization": f"Bearer {token}"}
        if key is not None:
            headers["Idempotency-Key"] = key
        try:
            async with self._session.request(method, self._url + path, json=body, headers=headers) as answer:
                return answer.status, await answer.json(content_type=None)
        except (aiohttp.ClientError, TimeoutError, ValueError) as error:
            raise StepFailed(f"{method} {path}: {type(error).__name__} {error}") from None


@dataclass(frozen=True)
class SeenMail:
    """A mail in the catcher; `received_at` is when it was accepted, in seconds since 1970."""

    recipients: tuple[str, ...]
    subject: str
    headers: dict[str, str]
    text: str
    html: str
    received_at: float


class CaughtMails:
    """Reads each mail in the catcher once."""

    def __init__(self, session: aiohttp.ClientSession, url: str) -> None:
        self._session, self._url = session, url
        self._seen: dict[str, SeenMail] = {}

    async def holding(self, text: str) -> list[SeenMail]:
        """The mails whose text holds these words."""
        await self._look()
        return [mail for mail in self._seen.values() if text in mail.text]

    async def ignore_present(self) -> None:
        """What is there now is of no interest and is never read."""
        for summary in await self._summaries():
            self._seen.setdefault(summary["id"], SeenMail((), "", {}, "", "", 0.0))

    async def _look(self) -> None:
        for summary in await self._summaries():
            if summary["id"] not in self._seen:
                self._seen[summary["id"]] = await self._mail(summary)

    async def _summaries(self) -> list[Json]:
        items: list[Json] = (await self._get("/api/mails?limit=2000"))["items"]
        return items

    async def _mail(self, summary: Json) -> SeenMail:
        return _seen(await self._get(f"/api/mails/{summary['id']}"))

    async def _get(self, path: str) -> Json:
        try:
            async with self._session.get(self._url + path) as answer:
                answer.raise_for_status()
                body: Json = await answer.json()
                return body
        except (aiohttp.ClientError, TimeoutError) as error:
            raise StepFailed(f"the mail catcher's {path}: {type(error).__name__} {error}") from None


class MailpitMails(CaughtMails):
    """The same, of Mailpit: the mail catcher of docker-compose.yml where its image can be had."""

    async def _summaries(self) -> list[Json]:
        listed = await self._get("/api/v1/messages?limit=2000")
        return [{"id": mail["ID"], "received_at": mail["Created"]} for mail in listed["messages"]]

    async def _mail(self, summary: Json) -> SeenMail:
        path = f"/api/v1/message/{summary['id']}"
        mail, headers = await asyncio.gather(self._get(path), self._get(f"{path}/headers"))
        return SeenMail(
            recipients=tuple(to["Address"] for to in mail["To"]),
            subject=mail["Subject"],
            headers={name.lower(): values[0] for name, values in headers.items()},
            text=mail["Text"],
            html=mail["HTML"],
            received_at=datetime.fromisoformat(summary["received_at"]).timestamp(),
        )


async def caught_mails(session: aiohttp.ClientSession, url: str) -> CaughtMails:
    """Those of the mail catcher that answers there, ours or Mailpit. Raises StepFailed where none does."""
    try:
        async with session.get(f"{url}/api/v1/info") as answer:
            is_mailpit = answer.status == 200
    except (aiohttp.ClientError, TimeoutError) as error:
        raise StepFailed(f"the mail catcher at {url}: {type(error).__name__} {error}") from None
    return (MailpitMails if is_mailpit else CaughtMails)(session, url)


def session() -> aiohttp.ClientSession:
    return aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=REQUEST_TIMEOUT_S))


async def poll(
    look: Callable[[], Awaitable[T | None]], *, timeout_s: float, what: str, every_s: float = POLL_EVERY_S
) -> T:
    """The first answer of `look` that is not None and not empty. Raises StepFailed when there is none in time."""
    deadline = time.monotonic() + timeout_s
    while not (found := await look()):
        if time.monotonic() > deadline:
            raise StepFailed(f"{what} did not come within {timeout_s:.0f} s")
        await asyncio.sleep(every_s)
    return found


def _seen(mail: Json) -> SeenMail:
    received_at = datetime.fromisoformat(mail["received_at"]).timestamp()
    headers = {str(name).lower(): str(value) for name, value in mail["headers"]}
    return SeenMail(
        tuple(mail["recipients"]), mail["subject"], headers, mail["text"] or "", mail["html"] or "", received_at
    )
