"""Puts threads together: the worker that applies commands and keeps orders, and the API that answers queries."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final

import structlog
from fastapi import FastAPI
from prometheus_client import CollectorRegistry
from pymongo.errors import OperationFailure, PyMongoError

from services.threads import indexes, queries
from services.threads.addresses import AddressKeys
from services.threads.announcements import Announcements
from services.threads.commit import Committer
from services.threads.consumers import CommandConsumer
from services.threads.effects import Effects
from services.threads.entries import Log
from services.threads.finish import Finisher
from services.threads.intake import Intake
from services.threads.lookup import LookUp
from services.threads.mark_runs import MarkRuns
from services.threads.marks import Marks
from services.threads.metrics import Metrics
from services.threads.migrate import STEPS
from services.threads.order_events import QUEUE as ORDERS
from services.threads.order_events import AnsweredOrders, OrderEvents, OrderSubscription, queue_of
from services.threads.order_refusals import OrderRefusals
from services.threads.orders import Orders
from services.threads.outcomes import Outcomes
from services.threads.people import People
from services.threads.problems import install_problem_handlers
from services.threads.projection import Projection
from services.threads.replies import Replies
from services.threads.settings import Settings
from services.threads.shop_mailbox import ShopMailbox
from services.threads.states import States
from services.threads.sweeper import Sweeper
from services.threads.writer import Writer
from shared import jwks, probes, process, schema, topology, traces
from shared.groups import GroupPublisher
from shared.head_requests import HeadAsGet
from shared.losses import end, in_background
from shared.mongo import Database, connect, database, is_away
from shared.probes import Check, Probes
from shared.publishing import Publisher
from shared.schema import TooNewError
from shared.verify import Topology

log = structlog.get_logger(__name__)

START_PAUSE_S: Final = 1.0
READS: Final = (topology.COMMANDS_QUEUE, topology.ORDERS_QUEUE)
WRITES: Final = (
    topology.EVENTS,
    topology.NOTIFICATIONS,
    topology.DEAD,
    topology.REPLIES,
    topology.THREADS_RETRY,
)


@dataclass(slots=True)
class Worker:
    """Everything that applies commands and order events; several may run side by side."""

    publisher: Publisher
    commands: CommandConsumer
    order_events: OrderSubscription
    sweeper: Sweeper
    topology: Topology
    shop_mailbox: ShopMailbox
    announcements: Announcements
    sweeping: asyncio.Task[None] | None = None
    telling: asyncio.Task[None] | None = None

    async def start(self, store: Database) -> None:
        """Starts once the indexes stand (they are what makes an entry once) and RabbitMQ has the queues."""
        self.publisher.start()
        await _until_indexed(store)
        await self.topology.until_complete()
        await self._settle_shop_mailbox()
        self.commands.start()
        self.sweeping = in_background(self.sweeper.run(), name="sweeper")
        await self.order_events.start()
        log.info("worker_started")

    async def _settle_shop_mailbox(self) -> None:
        """Before anything is addressed, however long MongoDB takes. A RabbitMQ that takes no publishes holds no command up, and is waited for beside them."""
        while True:
            try:
                self.announcements.administrators, contact = await self.shop_mailbox.settle()
                break
            except PyMongoError as error:
                log.warning("shop_mailbox_not_settled", error=type(error).__name__)
                await asyncio.sleep(START_PAUSE_S)
        if contact is not None:
            changed = self.announcements.of_contact(contact, now=datetime.now(UTC))
            self.telling = in_background(self.publisher.publish_until_confirmed(changed), name="shop mailbox: tell")

    async def stop(self, *, within_s: float) -> None:
        await asyncio.gather(self.commands.stop(within_s=within_s), self.order_events.stop())
        await end(*(task for task in (self.sweeping, self.telling) if task is not None))
        await self.publisher.close()

    @property
    def is_sweeping(self) -> bool:
        return self.sweeping is not None and not self.sweeping.done()


def build(settings: Settings) -> FastAPI:
    """The application of one process; connects when it is started, and starts while RabbitMQ or MongoDB are away."""
    registry = CollectorRegistry()
    client = connect(settings.mongo_url.get_secret_value(), name="threads")
    store = database(client, settings.mongo_database)
    worker = build_worker(settings, store, Metrics(registry)) if "worker" in settings.role_set else None

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        starting = in_background(
            worker.start(store) if worker is not None else _until_indexed(store), name="threads starts"
        )
        try:
            async with process.watched(registry):
                yield
        finally:
            await end(starting)
            if worker is not None:
                await worker.stop(within_s=settings.shutdown_grace_s)
            await client.close()

    app = FastAPI(title="Parley threads", lifespan=lifespan, docs_url=None, redoc_url=None)
    install_problem_handlers(app)
    app.add_middleware(HeadAsGet)
    app.include_router(probes.routes(_probes(settings, store, worker), registry))
    if "api" in settings.role_set:
        secret = settings.link_secret.get_secret_value()
        if traces.is_on():
            app.add_middleware(traces.Requests, route=traces.route_of)
        tokens = jwks.tokens(settings)
        keys = AddressKeys(settings.address_key.get_secret_value())
        router = queries.build_router(
            database=store, tokens=tokens, link_secret=secret, shop=settings.shop, address_keys=keys
        )
        app.include_router(router)
    return app


def build_worker(settings: Settings, store: Database, metrics: Metrics) -> Worker:
    amqp_url = settings.amqp_url.get_secret_value()
    publisher = GroupPublisher(amqp_url, name="threads-publish")
    entries, people, projection = Log(store), People(store), Projection(store)
    orders = Orders(store, shop=settings.shop)
    replies, intake = Replies(publisher), Intake(store)
    announcements = Announcements(
        link_secret=settings.link_secret.get_secret_value(),
        address_keys=AddressKeys(settings.address_key.get_secret_value()),
    )
    marks = Marks(store, log=entries, projection=projection)
    finisher = Finisher(
        entries=entries,
        projection=projection,
        marks=marks,
        orders=orders,
        people=people,
        announcements=announcements,
        publisher=publisher,
    )
    states = States(log=entries, orders=orders)
    committer = Committer(
        log=entries,
        outcomes=Outcomes(store),
        orders=orders,
        look_up=LookUp(store),
        states=states,
        writer=Writer(log=entries, states=states, metrics=metrics),
        effects=Effects(
            log=entries,
            marks=marks,
            runs=MarkRuns(store),
            people=people,
            orders=orders,
            announcements=announcements,
        ),
        finisher=finisher,
        replies=replies,
        publisher=publisher,
        metrics=metrics,
    )
    refusals = OrderRefusals(intake=intake, publisher=publisher, replies=replies, queue=ORDERS)
    events = OrderEvents(orders=orders, projection=projection, announcements=announcements, publisher=publisher)
    handler = AnsweredOrders(events=events, intake=intake, refusals=refusals, replies=replies)
    return Worker(
        publisher=publisher,
        commands=CommandConsumer(
            amqp_url, committer=committer, publisher=publisher, metrics=metrics, group_max=settings.group_max
        ),
        order_events=OrderSubscription(
            amqp_url,
            handler=handler,
            publisher=publisher,
            on_refused=refusals.say,
            on_dead=metrics.dead_letters.labels(ORDERS.name).inc,
            queue=queue_of(settings.publishers),
        ),
        sweeper=Sweeper(entries=entries, orders=orders, finisher=finisher, metrics=metrics),
        topology=Topology(amqp_url, service="threads", reads=READS, writes=WRITES),
        shop_mailbox=ShopMailbox(store, email=settings.admin_email, locale=settings.admin_locale, name=settings.shop),
        announcements=announcements,
    )


async def _until_indexed(store: Database) -> None:
    """Waits for MongoDB, as long as it takes, brings the database to this release's version, and makes the indexes.

    A database that cannot be brought there is an operator's to repair: it is said again and again, and /readyz says no.
    """
    while True:
        try:
            await schema.migrate(store, STEPS)
            await indexes.ensure(store)
            return
        except (TooNewError, OperationFailure) as error:
            if is_away(error):
                log.warning("mongodb_not_there_yet", error=type(error).__name__)
            else:
                log.error("database_not_as_needed", error=str(error))
        except PyMongoError as error:
            log.warning("mongodb_not_there_yet", error=type(error).__name__)
        await asyncio.sleep(START_PAUSE_S)


def _probes(settings: Settings, store: Database, worker: Worker | None) -> Probes:
    """What a process needs to be ready. A worker that lags, or leaves some of its work, says so; one that is the query API too stays in service."""
    checks = _checks(store, worker)
    if worker is None:
        return Probes(checks)
    of_work = _checks_of_work(worker, ready_lag_s=settings.ready_lag_s)
    if "api" in settings.role_set:
        return Probes(checks, useful=of_work)
    return Probes(checks | of_work)


def _checks_of_work(worker: Worker, *, ready_lag_s: float) -> dict[str, Check]:
    async def lag() -> str | None:
        waits_s = worker.commands.oldest_age_s()
        return f"the oldest command has waited for {waits_s:.0f} s" if waits_s > ready_lag_s else None

    async def orders() -> str | None:
        return None if await worker.order_events.is_consuming() else "not consuming order events"

    async def sweeper() -> str | None:
        return None if worker.is_sweeping else "not running"

    return {"lag": lag, "orders": orders, "sweeper": sweeper}


def _checks(store: Database, worker: Worker | None) -> dict[str, Check]:
    async def mongodb() -> str | None:
        try:
            await schema.require_usable(store, STEPS)
        except TooNewError as error:
            return str(error)
        return None

    async def rabbitmq() -> str | None:
        return None if worker is None else await worker.publisher.trouble()

    async def needed() -> str | None:
        return None if worker is None else await worker.topology.trouble()

    async def consumers() -> str | None:
        return None if worker is None or worker.commands.is_consuming else "not consuming commands"

    checks: dict[str, Check] = {"mongodb": mongodb}
    if worker is not None:
        checks |= {"rabbitmq": rabbitmq, "topology": needed, "consumers": consumers}
    return checks
