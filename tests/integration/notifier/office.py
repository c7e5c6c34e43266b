"""The notifier's parts on a real MongoDB and SMTP server, put together as a test wants them."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any

from prometheus_client import CollectorRegistry

from deploy.local.ports import LOOPBACK
from services.notifier.attempts import Attempts
from services.notifier.connections import Connections
from services.notifier.contents import gathered, order_shown, source_of
from services.notifier.known import Known
from services.notifier.mails import Mails
from services.notifier.metrics import Metrics
from services.notifier.pauses import Pauses
from services.notifier.rendering import MailSettings, Renderer
from services.notifier.sender import Limits, Sender
from services.notifier.smtp import Connection, Envelope, Server
from shared.events import EntryAddressed, MarkMoved
from shared.mongo import Database, Document
from tests.servers.smtp import SmtpServer
from tests.servers.waiting import eventually

MAIL = MailSettings(
    sender="The Shop <orders@shop.example>",
    thread_url="https://shop.example/threads/{order_id}",
    unsubscribe_url="https://shop.example/v1/unsubscribe",
)
SHORT_PAUSES = Pauses(first_s=0.05, longest_s=0.2)


@dataclass(frozen=True)
class Rules:
    """What a test may want otherwise than usual. Pauses are short, so that nothing needs to be waited for."""

    delay_s: float = 0.0
    lease_s: float = 20.0
    resend: bool = True
    give_up_s: float = 3600.0
    limit_s: float = 10.0
    at_once: int = 4
    max_weight: int = 500_000
    limit: int = 0
    window_s: float = 3600.0
    pauses: Pauses = field(default_factory=lambda: SHORT_PAUSES)


class WatchedConnections(Connections):
    """Calls the test when the server has accepted sender and recipient, just before `transmitting` is stored."""

    after_offer: Callable[[], Awaitable[None]] | None = None

    async def offer(self, envelope: Envelope) -> Connection:
        connection = await super().offer(envelope)
        if self.after_offer is not None:
            await self.after_offer()
        return connection


class Office:
    """One notifier process's ledger and sender. Two of them on one database are two processes."""

    def __init__(self, database: Database, smtp: SmtpServer, rules: Rules) -> None:
        self._collection = database["mails"]
        self._registry = CollectorRegistry()
        self.known = Known(database)
        self.mails = Mails(
            database,
            delay_s=rules.delay_s,
            lease_s=rules.lease_s,
            resend=rules.resend,
            give_up_s=rules.give_up_s,
            holder="test",
            max_weight=rules.max_weight,
            limit=rules.limit,
            window_s=rules.window_s,
        )
        self.connections = WatchedConnections(Server(host=LOOPBACK, port=smtp.port, security="none", limit_s=2))
        self.attempts = Attempts(
            mails=self.mails,
            known=self.known,
            connections=self.connections,
            renderer=Renderer(MAIL),
            sender_address=MAIL.address,
            limit_s=rules.limit_s,
        )
        limits = Limits(
            at_once=rules.at_once,
            lease_s=rules.lease_s,
            poll_s=0.05,
            mail_pauses=rules.pauses,
            server_pauses=rules.pauses,
        )
        self.sender = Sender(
            mails=self.mails,
            attempts=self.attempts,
            connections=self.connections,
            metrics=Metrics(self._registry),
            limits=limits,
        )

    async def take(self, *events: EntryAddressed) -> list[bool]:
        """Takes the entries for all their recipients; which of them were new."""
        taken = [
            await self.mails.take(
                gathered(event),
                recipient,
                order_shown(event.data.order, item_count=event.data.item_count),
                source=source_of(event, recipient),
            )
            for event in events
            for recipient in event.data.recipients
        ]
        self.sender.wake()
        return taken

    async def documents(self) -> list[Document]:
        """All mails as they are stored, oldest first."""
        return await self._collection.find().sort("created_at", 1).to_list()

    async def the_document(self) -> Document:
        (document,) = await self.documents()
        return document

    async def states(self) -> list[str]:
        return [document["state"] for document in await self.documents()]

    async def break_document(self, mail_id: str) -> None:
        """As a defect of ours would: the mail can no longer be read."""
        await self._collection.update_one({"_id": mail_id}, {"$set": {"entries": "none"}})

    async def keep_bytes(self, mail_id: str, content: bytes) -> None:
        """As an earlier attempt, of whose end nobody knows, has left them."""
        await self._collection.update_one({"_id": mail_id}, {"$set": {"rendered": content, "ambiguities": 1}})

    async def reaches(self, *states: str) -> None:
        """Waits until the mails are in these states."""

        async def look() -> bool:
            return sorted(await self.states()) == sorted(states)

        await eventually(look, what=f"mails in the states {', '.join(states)}")

    def count(self, name: str, **labels: Any) -> float:
        """One of the process's figures."""
        return self._registry.get_sample_value(name, {key: str(value) for key, value in labels.items()}) or 0.0


def body(smtp: SmtpServer, number: int = 0) -> str:
    part = smtp.mails[number].message.get_body(("plain",))
    assert part is not None
    content = part.get_content()
    assert isinstance(content, str)
    return content


async def is_read(office: Office, seq: int) -> None:
    await office.known.read(
        MarkMoved(
            order_id="1042",
            customer_id="c-7",
            seller_id="s-1",
            inbox="customer",
            person="customer",
            up_to_seq=seq,
            unread=0,
        )
    )


def falls_silent_at_data(office: Office, smtp: SmtpServer) -> None:
    """From the next DATA on, the server says nothing until it is resumed."""

    async def silence() -> None:
        office.connections.after_offer = None
        smtp.pause()

    office.connections.after_offer = silence
