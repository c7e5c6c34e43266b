"""Puts the notifier together: the only place that connects anything."""

import asyncio
import contextlib
import os
import socket
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Final
from zoneinfo import ZoneInfo

import structlog
from fastapi import FastAPI
from prometheus_client import CollectorRegistry
from pymongo import AsyncMongoClient
from pymongo.errors import PyMongoError

from services.notifier import indexes
from services.notifier.attempts import Attempts
from services.notifier.connections import Connections
from services.notifier.consumers import QUEUE, Notifications
from services.notifier.known import Known
from services.notifier.mails import Mails
from services.notifier.metrics import Metrics
from services.notifier.migrate import STEPS
from services.notifier.pauses import Pauses
from services.notifier.rendering import MailSettings, Renderer
from services.notifier.sender import Limits, Sender
from services.notifier.settings import Settings
from services.notifier.smtp import Server
from services.notifier.subscription import Subscription
from shared import mongo, probes, process, schema
from shared.delivery import Settler
from shared.head_requests import HeadAsGet
from shared.losses import end, in_background
from shared.mongo import Document, is_away
from shared.publishing import Publisher
from shared.schema import TooNewError
from shared.topology import DEAD, NOTIFIER_RETRY
from shared.verify import Topology

log = structlog.get_logger(__name__)

PREPARE_PAUSE_S: Final = 1.0
SERVER_PAUSE_MAX_S: Final = 60.0
# While one mail is on its connection, the next are leased, rendered and waiting for it.
MAILS_AHEAD: Final = 4


@dataclass(slots=True)
class Notifier:
    """The parts that live as long as the service runs."""

    client: AsyncMongoClient[Document]
    store: mongo.Database
    publisher: Publisher
    subscription: Subscription
    sender: Sender
    grace_s: float
    topology: Topology
    starting: asyncio.Task[None] | None = None
    prepared: bool = False

    async def start(self) -> None:
        """Returns at once; RabbitMQ and MongoDB may come later. Nothing is taken or sent before the indexes stand."""
        self.publisher.start()
        self.starting = in_background(self._start(), name="notifier starts")

    async def _start(self) -> None:
        while not self.prepared:
            try:
                await schema.migrate(self.store, STEPS)
                await indexes.ensure(self.store)
                self.prepared = True
            except (PyMongoError, TooNewError) as error:
                # An index that stands with other options is an operator's to repair, so it must be readable what is wrong.
                log.warning("mongodb_not_prepared", error=type(error).__name__, detail=str(error)[:500])
                await asyncio.sleep(PREPARE_PAUSE_S)
        self.sender.start()
        await self.topology.until_complete()
        self.subscription.start()

    async def stop(self) -> None:
        """In the order of the flow: first nothing new is taken, then what is being sent may end."""
        if self.starting is not None:
            await end(self.starting)
        await self.subscription.stop()
        await self.sender.stop(grace_s=self.grace_s)
        await self.publisher.close()
        await self.client.close()

    async def mongodb_answers(self) -> str | None:
        try:
            await schema.require_usable(self.store, STEPS)
        except TooNewError as error:
            return str(error)
        return None if self.prepared else "the indexes are not made yet"

    async def rabbitmq_is_connected(self) -> str | None:
        return await self.publisher.trouble()

    async def sender_runs(self) -> str | None:
        return None if self.sender.is_running else "not running"

    async def consumer_is_attached(self) -> str | None:
        return None if self.subscription.is_attached else "not attached to its queue"


def assemble(settings: Settings, registry: CollectorRegistry) -> Notifier:
    """The notifier, not started. Must run inside the event loop that it will live in."""
    client = mongo.connect(settings.mongo_url.get_secret_value(), name="notifier")
    database = mongo.database(client, settings.mongo_database)
    mails, known, metrics = _mails(settings, database), Known(database), Metrics(registry)
    amqp_url = settings.amqp_url.get_secret_value()
    publisher = Publisher(amqp_url, name="notifier-publisher")
    sender = _sender(settings, mails=mails, known=known, metrics=metrics)
    notifications = Notifications(
        mails=mails, known=known, metrics=metrics, delay_s=settings.mail_delay, on_due=sender.wake
    )
    settler = Settler(
        publisher=publisher, queue=QUEUE, away=is_away, on_dead=metrics.dead_letters.labels(QUEUE.name).inc
    )
    subscription = Subscription(amqp_url, settler=settler, notifications=notifications, prefetch=settings.prefetch)
    return Notifier(
        client=client,
        store=database,
        publisher=publisher,
        subscription=subscription,
        sender=sender,
        grace_s=settings.shutdown_grace_s,
        topology=Topology(amqp_url, service="notifier", reads=(QUEUE.name,), writes=(DEAD, NOTIFIER_RETRY)),
    )


def _mails(settings: Settings, database: mongo.Database) -> Mails:
    return Mails(
        database,
        delay_s=settings.mail_delay,
        lease_s=settings.lease_s,
        resend=settings.ambiguous == "resend",
        give_up_s=settings.give_up_h * 3600,
        limit=settings.mail_limit,
        window_s=settings.mail_limit_window_s,
        holder=f"{socket.gethostname()}:{os.getpid()}",
    )


def _sender(settings: Settings, *, mails: Mails, known: Known, metrics: Metrics) -> Sender:
    mail = _mail_settings(settings)
    connections = Connections(
        _server(settings),
        at_most=settings.smtp_connections,
        idle_s=settings.smtp_idle_s,
        mails_per_connection=settings.smtp_mails_per_connection,
    )
    attempts = Attempts(
        mails=mails,
        known=known,
        connections=connections,
        renderer=Renderer(mail),
        sender_address=mail.address,
        limit_s=settings.send_limit_s,
    )
    limits = Limits(
        at_once=MAILS_AHEAD * settings.smtp_connections,
        lease_s=settings.lease_s,
        poll_s=settings.poll_s,
        mail_pauses=Pauses(settings.first_pause_s, settings.longest_pause_s),
        server_pauses=Pauses(settings.first_pause_s, SERVER_PAUSE_MAX_S),
    )
    return Sender(mails=mails, attempts=attempts, connections=connections, metrics=metrics, limits=limits)


def _server(settings: Settings) -> Server:
    return Server(
        host=settings.smtp_host,
        port=settings.smtp_port,
        security=settings.smtp_security,
        user=settings.smtp_user,
        password=settings.smtp_password,
        local_hostname=settings.smtp_local_hostname,
        limit_s=settings.smtp_connect_limit_s,
    )


def _mail_settings(settings: Settings) -> MailSettings:
    return MailSettings(
        sender=settings.mail_from,
        shop_name=settings.shop_name,
        thread_url=settings.thread_url or "",
        guest_url=settings.guest_url,
        unsubscribe_url=settings.unsubscribe_url,
        reply_to=settings.mail_reply_to,
        time_zone=ZoneInfo(settings.mail_time_zone),
    )


def build(settings: Settings) -> FastAPI:
    """The service: it reads its queue and sends mails while it runs; over HTTP it only answers how it is."""
    registry = CollectorRegistry()
    checks: dict[str, probes.Check] = {}

    @contextlib.asynccontextmanager
    async def lifespan(_app: FastAPI) -> AsyncIterator[None]:
        notifier = assemble(settings, registry)
        checks.update(
            mongodb=notifier.mongodb_answers,
            rabbitmq=notifier.rabbitmq_is_connected,
            topology=notifier.topology.trouble,
            consumer=notifier.consumer_is_attached,
            sender=notifier.sender_runs,
        )
        await notifier.start()
        try:
            async with process.watched(registry):
                yield
        finally:
            await notifier.stop()

    app = FastAPI(title="Parley notifier", lifespan=lifespan, docs_url=None, redoc_url=None, openapi_url=None)
    app.include_router(probes.routes(probes.Probes(checks), registry))
    app.add_middleware(HeadAsGet)
    return app
