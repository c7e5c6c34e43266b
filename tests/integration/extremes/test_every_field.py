"""Whatever the contracts take can be stored, projected, rebuilt, shown and mailed: every field at each of its extremes."""

from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from email.message import EmailMessage
from email.parser import BytesParser
from email.policy import default
from typing import Any, Final
from urllib.parse import quote
from zoneinfo import ZoneInfo

import orjson
import pytest

from services.gateway.live.audience import LiveEvent
from services.notifier import indexes as notifier_indexes
from services.notifier.contents import Mail
from services.notifier.languages import LANGUAGES
from services.notifier.rendering import Renderer
from services.threads import audit, indexes, rebuild
from services.threads.access import Parties
from services.threads.addresses import AddressKeys
from services.threads.announcements import Announcements, MailContext
from services.threads.entries import Log
from services.threads.orders import Orders
from services.threads.projection import Projection
from services.threads.recipients import Addressee
from services.threads.thread import Entry, Made, Thread, decide
from shared import mongo, topology
from shared.commands import ImportMessage
from shared.events import NOTIFICATION, EntryAddressed
from shared.fields import in_milliseconds, iso
from shared.mongo import Database
from shared.orders import OrderSnapshot
from shared.queries import OrderDetails
from tests.integration.extremes.cases import NOW, Case, cases
from tests.integration.notifier.office import MAIL, Office, Rules
from tests.integration.threads.asking import Client, application
from tests.integration.worker.handling import order_events
from tests.made import ADMIN
from tests.servers.mongodb import FreshDatabases, SharedMongo
from tests.servers.smtp import SmtpServer

SECRET: Final = "a-link-secret-of-the-tests-of-32-characters"
# As they were said; the parties are shown as each side may see them, and the date in UTC.
SHOWN: Final = set(OrderDetails.model_fields) & set(OrderSnapshot.model_fields) - {"placed_at", "customer", "seller"}
LAST_MOMENT: Final = datetime.max.replace(tzinfo=UTC)
STAFF: Final = Addressee("shop", "shop", "Administrators", "staff@shop.example", "en", "0")
# Where the ends of the calendar are on another day, or beyond it.
ZONES: Final = ("UTC", "America/New_York", "Pacific/Pago_Pago", "Pacific/Kiritimati")


@dataclass
class Written:
    """What is in threads' database, and what was published of it."""

    database: Database
    entries: list[tuple[Case, Entry]] = field(default_factory=list)
    events: list[bytes] = field(default_factory=list)
    addressed: list[EntryAddressed] = field(default_factory=list)


@pytest.fixture(scope="module")
async def databases(mongo_server: SharedMongo) -> AsyncIterator[tuple[Database, Database]]:
    """threads' and the notifier's, with their indexes."""
    fresh, client = FreshDatabases(mongo_server), mongo.connect(mongo_server.url, name="test")
    threads, notifier = (mongo.database(client, fresh(name)) for name in ("threads", "notifier"))
    await indexes.ensure(threads)
    await notifier_indexes.ensure(notifier)
    yield threads, notifier
    await client.close()
    fresh.drop()


@pytest.fixture(scope="module")
async def written(databases: tuple[Database, Database]) -> Written:
    """Every case, by the worker's own steps: the order, the decisions, the insert, the projection, the messages."""
    database, _ = databases
    orders, log, projection = Orders(database), Log(database), Projection(database)
    announcements = Announcements(link_secret=SECRET, address_keys=AddressKeys(SECRET), administrators=STAFF)
    written = Written(database)
    for case in cases():
        await order_events(orders=orders, projection=projection).take(case.order)
        parties = (await orders.parties([case.order.order_id]))[case.order.order_id]
        entries = _decided(case, parties)
        await log.insert([entries])
        await projection.write_entries(entries)
        context = MailContext(await orders.for_mail([parties]), [], {})
        for entry in entries:
            written.entries.append((case, entry))
            for message in announcements.of_entry(entry, parties, context):
                if message.exchange == topology.EVENTS:
                    written.events.append(message.body)
                else:
                    told = NOTIFICATION.validate_json(message.body)
                    assert isinstance(told, EntryAddressed)
                    written.addressed.append(told)
        await log.mark_finished(entries)
    return written


def _decided(case: Case, parties: Parties) -> list[Entry]:
    thread, entries = Thread(parties, certain=True), []
    for command in case.commands:
        # An old message must be older than the moment at which it comes, also one from the last day of the calendar.
        now = LAST_MOMENT if isinstance(command, ImportMessage) else NOW
        decision = decide(command, thread, digest="d", now=in_milliseconds(now))
        assert isinstance(decision, Made), (case.name, decision)
        thread = decision.thread
        entries.append(decision.entry)
    return entries


async def test_what_was_stored_is_what_was_decided(written: Written) -> None:
    stored = await Log(written.database).find([entry.id for _, entry in written.entries])

    assert len(written.entries) > 100
    assert [stored[entry.id] for _, entry in written.entries] == [entry for _, entry in written.entries]


async def test_the_projection_is_what_a_rebuild_makes(written: Written) -> None:
    threads = {document["_id"]: document async for document in written.database["threads"].find()}
    rebuilt = await rebuild.rebuild(written.database)

    assert (rebuilt.threads, rebuilt.unreadable) == (len({case.name for case, _ in written.entries}), [])
    assert {document["_id"]: document async for document in written.database["threads"].find()} == threads
    assert (await audit.audit(written.database, now=NOW)).findings == []


async def test_each_order_and_its_history_are_shown(written: Written) -> None:
    client = Client(application(written.database), ADMIN)
    listed = {row["order"]["order_id"]: row for row in await client.all_pages("/v1/orders?limit=100")}
    talks = {row["order"]["order_id"]: row for row in await client.all_pages("/v1/threads?limit=100")}

    for case, entry in written.entries:
        path, said = f"/v1/orders/{quote(case.order.order_id, safe=':~')}", case.order
        shown = (await client.get(path)).json["order"]
        history = (await client.get(f"{path}/messages")).json["items"]
        wanted = said.model_dump(mode="json", include=SHOWN)
        assert {name: shown[name] for name in wanted} == wanted, case.name
        assert (shown["customer"]["name"], shown["seller"]["id"]) == (said.customer.name, said.seller_id), case.name
        assert [each["text"] for each in history if each["id"] == entry.id] == [entry.text], case.name
        assert listed[said.order_id]["order"]["placed_at"] == talks[said.order_id]["order"]["placed_at"], case.name


async def test_each_entry_is_told_live(written: Written) -> None:
    told = [LiveEvent(number, body).said_to("customer") for number, body in enumerate(written.events)]

    assert len(told) == len(written.entries)
    assert all(entry.id.encode() in said for (_, entry), said in zip(written.entries, told, strict=True))


@pytest.fixture(scope="module")
async def mails(written: Written, databases: tuple[Database, Database]) -> list[Mail]:
    """Every mail, as the notifier's ledger has it before it goes."""
    smtp = SmtpServer()
    recipients = [each for event in written.addressed for each in event.data.recipients]
    assert await Office(databases[1], smtp, Rules()).take(*written.addressed) == [True] * len(recipients)
    kept = await databases[1]["mails"].find().to_list()
    return [Mail.model_validate({"frozen_at": NOW, **each}) for each in kept]


@pytest.mark.parametrize("language", LANGUAGES)
def test_each_mail_is_rendered_in_every_language_and_zone(mails: list[Mail], language: str) -> None:
    for zone in ZONES:
        renderer = Renderer(_in_zone(zone))
        for mail in mails:
            rendered = renderer.render(mail, mail.entries, locale=language)
            text = BytesParser(EmailMessage, policy=default).parsebytes(rendered.content).get_body(("plain",))
            assert text is not None, (mail.order_id, zone)
            digits = "".join(each for each in text.get_content() if each.isdigit())
            assert mail.order.total.strip("-").replace(".", "").strip("0") in digits, (mail.order_id, zone)
    assert len(mails) > 100


async def test_each_mail_is_sent(mails: list[Mail], databases: tuple[Database, Database], smtp: SmtpServer) -> None:
    office = Office(databases[1], smtp, Rules())
    office.sender.start()
    await smtp.wait_for(len(mails))
    await office.reaches(*["sent"] * len(mails))
    await office.sender.stop(grace_s=5)


def _in_zone(zone: str) -> Any:
    return type(MAIL)(sender=MAIL.sender, thread_url=MAIL.thread_url, time_zone=ZoneInfo(zone))


def test_a_moment_is_said_in_utc(written: Written) -> None:
    imported = [entry for _, entry in written.entries if entry.imported]

    assert {iso(entry.accepted_at)[:4] for entry in imported} >= {"0001", "9999"}
    assert all(orjson.loads(body)["data"]["entry"]["accepted_at"].endswith("Z") for body in written.events)
