"""The whole notifier on a real RabbitMQ, MongoDB and SMTP server: from a published message to a mail, or to a dead letter."""

import json
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack

import pytest

from services.notifier.contents import MailState
from shared import topology
from shared.contracts.contacts import order_version
from shared.envelope import MAX_MESSAGE_BYTES
from shared.events import (
    ChoicesMade,
    ContactChanged,
    ContactData,
    EventEnvelope,
    MarkMoved,
    MessageRedacted,
    PreferencesChanged,
    TextTakenOut,
    ThreadRead,
)
from shared.mongo import Database, connect, database
from shared.publishing import Outgoing, Publisher
from tests.servers.mongodb import SharedMongo
from tests.servers.parley import Parley
from tests.servers.rabbitmq import SharedRabbit, Vhost
from tests.servers.services import ServiceProcess
from tests.servers.smtp import SmtpServer
from tests.servers.waiting import eventually
from tests.unit.notifier.making import NOON, command_id, event, order

QUEUE = topology.NOTIFIER_QUEUE
DEAD_QUEUE = topology.dead_queue(QUEUE)
Publish = Callable[..., Awaitable[None]]


@pytest.fixture
async def publish_as(parley: Parley) -> AsyncIterator[Callable[[str], Awaitable[Publish]]]:
    """Makes a way to publish notifications as one of RabbitMQ's users: `await (await publish_as("threads"))(event)`."""
    async with AsyncExitStack() as open_publishers:

        async def make(user: str) -> Publish:
            publisher = Publisher(parley.vhost.url(user), name="test")
            publisher.start()
            open_publishers.push_async_callback(publisher.close)
            await eventually(lambda: publisher.is_connected, what="the publisher's connection")

            async def publish(message: EventEnvelope | bytes, routing_key: str = "message.posted") -> None:
                body = message if isinstance(message, bytes) else message.model_dump_json().encode()
                await publisher.publish_until_confirmed(
                    Outgoing(topology.NOTIFICATIONS, routing_key, body, message_id=command_id())
                )

            return publish

        yield make


@pytest.fixture
async def publish(publish_as: Callable[[str], Awaitable[Publish]]) -> Publish:
    """Publishes as threads does."""
    return await publish_as("threads")


@pytest.fixture
async def ledger(parley: Parley, mongo: SharedMongo) -> AsyncIterator[Database]:
    """The running notifier's database."""
    client = connect(mongo.url, name="test")
    yield database(client, parley.database_names["notifier"])
    await client.close()


async def started(parley: Parley, **settings: str) -> ServiceProcess:
    return await parley.add("notifier", **settings).start().ready()


async def reaches(ledger: Database, *states: MailState) -> None:
    async def look() -> bool:
        found = await ledger["mails"].find({}, {"state": 1}).to_list()
        return sorted(mail["state"] for mail in found) == sorted(states)

    await eventually(look, what=f"mails in the states {states}")


async def test_a_published_entry_becomes_a_mail_and_a_repeated_one_no_second(
    parley: Parley, publish: Publish, smtp: SmtpServer, ledger: Database
) -> None:
    await started(parley)
    entry = event("It is on its way.")

    for _ in range(3):
        await publish(entry)
    await publish(event("Another one.", about=order("2")))

    await smtp.wait_for(2)
    await reaches(ledger, "sent", "sent")
    assert len(smtp.received) == 2
    assert await parley.vhost.depth(DEAD_QUEUE) == 0


async def test_two_notifiers_share_a_burst_and_send_one_mail(
    parley: Parley, publish: Publish, smtp: SmtpServer, ledger: Database
) -> None:
    await started(parley, MAIL_DELAY="1")
    await parley.add("notifier", label="notifier-2", MAIL_DELAY="1").start().ready()

    for seq in range(1, 21):
        await publish(event(f"message number {seq}.", seq=seq))

    await reaches(ledger, "sent")
    assert [mail.message["Subject"] for mail in smtp.received] == ["Messages about your order 1042"]


async def test_marks_choices_and_redactions_arrive_by_the_same_queue(
    parley: Parley, publish: Publish, smtp: SmtpServer, ledger: Database
) -> None:
    await started(parley, MAIL_DELAY="1")
    taken_out = event("4111 1111", seq=3)
    parties = {"customer_id": "c-7", "seller_id": "s-1"}
    redaction = TextTakenOut(order_id="1042", message_id=taken_out.data.entry.id, seq=3, **parties)
    mark = MarkMoved(order_id="1042", inbox="customer", person="customer", up_to_seq=1, unread=1, **parties)
    choices = ChoicesMade(person="customer:c-7", stamp="1", messages=True, disputes=True, locale="de")

    for seq in (1, 2):
        await publish(event(f"number {seq}.", seq=seq))
    await publish(taken_out)
    await publish(MessageRedacted(id="r", time=NOON, data=redaction), "message.redacted")
    await publish(ThreadRead(id="m", time=NOON, data=mark), "thread.read")
    await publish(PreferencesChanged(id="c", time=NOON, data=choices), "preferences.changed")

    (mail,) = await smtp.wait_for(1)
    body = mail.message.get_body(("plain",))
    assert body is not None
    text = body.get_content()
    assert mail.message["Subject"] == "Nachrichten zu Ihrer Bestellung 1042"
    assert "number 2." in text
    assert "number 1." not in text
    assert "4111" not in text


async def test_a_changed_address_arrives_by_the_same_queue_and_counts_for_what_waits(
    parley: Parley, publish: Publish, smtp: SmtpServer
) -> None:
    await started(parley, MAIL_DELAY="1")
    fields = {"role": "customer", "person": "customer:c-7", "name": "Mara Moser", "locale": "en"}
    contacts = [
        ContactData.model_validate(
            {**fields, "thread_id": "1042", "version": order_version(2), "email": "new@example.com"}
        ),
        ContactData.model_validate({**fields, "thread_id": "1043", "version": order_version(2), "email": None}),
    ]

    await publish(event("to a new address"))
    await publish(event("to nobody", about=order("1043")))
    await publish(event("to the old address", about=order("1044")))
    for contact in contacts:
        await publish(ContactChanged(id="c", time=NOON, data=contact), "contact.changed")

    mails = await smtp.wait_for(2)
    assert sorted(address for mail in mails for address in mail.recipients) == ["mara@example.com", "new@example.com"]
    assert await parley.vhost.depth(DEAD_QUEUE) == 0


async def test_poison_goes_to_the_dead_letters_with_its_reason_and_takes_nobody_along(
    parley: Parley, publish: Publish, smtp: SmtpServer
) -> None:
    await started(parley)
    no_address = json.loads(event().model_dump_json())
    no_address["data"]["recipients"][0]["email"] = "not an address"

    await publish(b"no JSON")
    await publish(json.dumps(no_address).encode())
    await publish(b'{"type": "parley.unheard.of.v1"}')
    await publish(b" " * (MAX_MESSAGE_BYTES + 1))
    await publish(event())

    await smtp.wait_for(1)
    await eventually(lambda: _has_depth(parley.vhost, DEAD_QUEUE, 4), what="four dead letters")
    dead = await parley.vhost.take_all(DEAD_QUEUE)
    assert sorted(str(letter.headers["x-parley-reason"]) for letter in dead) == ["invalid"] * 3 + ["too_large"]
    assert not any("not an address" in str(letter.headers) for letter in dead)


async def test_an_entry_that_meets_a_defect_is_dead_lettered_alone_and_the_group_that_it_came_with_is_mailed(
    parley: Parley, publish: Publish, smtp: SmtpServer, ledger: Database
) -> None:
    notifier = await started(parley)
    unstorable = json.loads(event(about=order("unstorable")).model_dump_json())
    unstorable["data"]["item_count"] = 2**70
    notifier.pause()
    await publish(event(about=order("1")))
    await publish(json.dumps(unstorable).encode())
    await publish(event(about=order("2")))

    notifier.resume()

    await reaches(ledger, "sent", "sent")
    await eventually(lambda: _has_depth(parley.vhost, DEAD_QUEUE, 1), what="a dead letter")
    (dead,) = await parley.vhost.take_all(DEAD_QUEUE)
    assert dead.headers["x-parley-reason"] == "defect"


async def _has_depth(vhost: Vhost, queue: str, depth: int) -> bool:
    return await vhost.depth(queue) == depth


async def test_only_threads_may_ask_for_mails(
    parley: Parley, publish_as: Callable[[str], Awaitable[Publish]], publish: Publish, smtp: SmtpServer
) -> None:
    await started(parley)
    publish_as_operator = await publish_as("operator")

    await publish_as_operator(event("forged"))
    await publish(event("genuine"))

    await smtp.wait_for(1)
    await eventually(lambda: _has_depth(parley.vhost, DEAD_QUEUE, 1), what="a dead letter")
    (dead,) = await parley.vhost.take_all(DEAD_QUEUE)
    assert dead.headers["x-parley-reason"] == "wrong_publisher"
    assert b"forged" not in smtp.received[0].content


async def test_while_mongodb_is_away_deliveries_are_held_and_nothing_is_lost(
    parley: Parley, publish: Publish, smtp: SmtpServer, mongo: SharedMongo
) -> None:
    notifier = await started(parley)
    mongo.kill()
    await publish(event("Meanwhile."))
    await eventually(lambda: notifier.status_of("/readyz") == 503, what="not being ready")

    mongo.start()

    await smtp.wait_for(1)
    await notifier.ready()
    assert await parley.vhost.depth(DEAD_QUEUE) == 0


async def test_after_rabbitmqs_return_it_goes_on(
    parley: Parley, publish: Publish, smtp: SmtpServer, rabbitmq: SharedRabbit
) -> None:
    notifier = await started(parley)
    rabbitmq.kill()
    await eventually(lambda: notifier.status_of("/readyz") == 503, what="not being ready")

    rabbitmq.start()
    await notifier.ready()
    await publish(event())

    await smtp.wait_for(1)


async def test_it_starts_while_everything_is_away_and_recovers(
    parley: Parley, publish: Publish, smtp: SmtpServer, mongo: SharedMongo, rabbitmq: SharedRabbit
) -> None:
    await publish(event())
    smtp.stop()
    mongo.kill()
    rabbitmq.kill()
    notifier = parley.add("notifier").start()
    await eventually(lambda: notifier.status_of("/livez") == 200, what="being alive")
    assert notifier.status_of("/readyz") == 503

    mongo.start()
    rabbitmq.start()
    smtp.start()

    await smtp.wait_for(1)
    await notifier.ready()


async def test_it_can_be_stopped_while_everything_is_away(
    parley: Parley, mongo: SharedMongo, rabbitmq: SharedRabbit
) -> None:
    mongo.kill()
    rabbitmq.kill()
    notifier = parley.add("notifier").start()
    await eventually(lambda: notifier.status_of("/livez") == 200, what="being alive")

    notifier.term(timeout_s=15)

    assert "Application shutdown complete." in notifier.log


async def test_sigterm_ends_it_cleanly_and_a_waiting_mail_goes_after_the_next_start(
    parley: Parley, publish: Publish, smtp: SmtpServer, ledger: Database
) -> None:
    notifier = await started(parley, MAIL_DELAY="2")
    await publish(event())
    await reaches(ledger, "open")

    notifier.term()

    assert "Application shutdown complete." in notifier.log
    await notifier.start().ready()
    await smtp.wait_for(1)


async def test_no_log_line_holds_an_address_a_text_or_a_token(
    parley: Parley, publish: Publish, smtp: SmtpServer, ledger: Database
) -> None:
    notifier = await started(parley)
    smtp.refuse("gone@example.com", "550 5.1.1 gone@example.com is unknown")
    gone = event("a secret", about=order("2")).data.recipients[0].model_copy(update={"email": "gone@example.com"})

    await publish(event("a secret"))
    await publish(event("a secret", about=order("2"), to=(gone,)))

    await reaches(ledger, "sent", "failed")
    notifier.term()
    events = {line["event"] for line in notifier.log_events}
    assert {"entry_taken", "mail_sent", "mail_refused"} <= events
    for private in ("a secret", "@example.com", "unsubscribe-token", "Mara"):
        assert private not in notifier.log
