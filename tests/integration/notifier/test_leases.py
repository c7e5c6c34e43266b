"""Leases: of a process that died, in a defect, while MongoDB is away, and when the notifier stops."""

import asyncio

from services.notifier.outcomes import Sent
from services.notifier.smtp import Envelope
from shared.events import TextTakenOut
from tests.integration.notifier.conftest import MakeOffice
from tests.integration.notifier.office import falls_silent_at_data
from tests.servers.mongodb import SharedMongo
from tests.servers.smtp import SmtpServer
from tests.unit.notifier.making import event, order

ADDRESS = "mara@example.com"
ENVELOPE = Envelope("orders@shop.example", ADDRESS, 100)


async def test_a_lease_of_a_process_that_died_is_taken_over(make_office: MakeOffice, smtp: SmtpServer) -> None:
    dead, heir = make_office(lease_s=0.05), make_office()
    await dead.take(event())
    lease = await dead.mails.lease()
    assert lease is not None

    heir.sender.start()

    await heir.reaches("sent")
    assert heir.count("notifier_lapsed_total", state="leased") == 1
    assert await dead.mails.mark(lease, Sent("250 OK"), pause_s=0) is None


async def test_a_mail_that_cannot_be_rendered_fails_and_the_others_go_on(
    make_office: MakeOffice, smtp: SmtpServer
) -> None:
    office = make_office()
    await office.take(event(), event(about=order("2")))
    broken = (await office.documents())[0]["_id"]
    await office.break_document(broken)

    office.sender.start()

    await office.reaches("failed", "sent")
    assert office.count("notifier_attempts_total", outcome="defect") == 1


async def test_a_mail_accepted_while_mongodb_is_away_is_marked_sent_after_its_return(
    make_office: MakeOffice, smtp: SmtpServer, mongo: SharedMongo
) -> None:
    office = make_office()
    falls_silent_at_data(office, smtp)
    office.sender.start()
    await office.take(event())
    await office.reaches("transmitting")
    mongo.kill()
    smtp.resume()
    await smtp.wait_for(1)

    mongo.start()

    await office.reaches("sent")
    assert len(smtp.received) == 1


async def test_a_text_taken_out_just_before_data_is_not_sent(make_office: MakeOffice, smtp: SmtpServer) -> None:
    office, entry = make_office(), event("4111 1111 1111 1111")
    redaction = TextTakenOut(order_id="1042", customer_id="c-7", seller_id="s-1", message_id=entry.data.entry.id, seq=1)

    async def take_out() -> None:
        office.connections.after_offer = None
        await office.known.taken_out(redaction)
        await office.mails.redact(order_id="1042", message_id=entry.data.entry.id)

    office.connections.after_offer = take_out
    office.sender.start()

    await office.take(entry)

    await office.reaches("skipped")
    assert office.count("notifier_attempts_total", outcome="lost") == 1
    assert smtp.received == []


async def test_stopping_lets_a_mail_in_transmission_end(make_office: MakeOffice, smtp: SmtpServer) -> None:
    office = make_office()
    falls_silent_at_data(office, smtp)
    office.sender.start()
    await office.take(event())
    await office.reaches("transmitting")
    stopping = asyncio.create_task(office.sender.stop(grace_s=10))
    done, _ = await asyncio.wait([stopping], timeout=0.2)
    assert not done

    smtp.resume()

    await stopping
    assert await office.states() == ["sent"]


async def test_a_mail_still_in_transmission_after_the_grace_period_is_left_to_its_lease(
    make_office: MakeOffice, smtp: SmtpServer
) -> None:
    stopped, heir = make_office(lease_s=1), make_office()
    falls_silent_at_data(stopped, smtp)
    stopped.sender.start()
    await stopped.take(event())
    await stopped.reaches("transmitting")

    await stopped.sender.stop(grace_s=0.1)

    assert await stopped.states() == ["transmitting"]
    smtp.resume()
    heir.sender.start()
    await heir.reaches("sent")
    assert heir.count("notifier_lapsed_total", state="transmitting") == 1


async def test_stopping_gives_back_what_is_not_in_transmission_yet(make_office: MakeOffice, smtp: SmtpServer) -> None:
    office = make_office()
    smtp.pause()
    office.sender.start()
    await office.take(event())
    await office.reaches("leased")

    await office.sender.stop(grace_s=5)

    document = await office.the_document()
    assert (document["state"], document.get("attempts", 0)) == ("pending", 0)
    smtp.resume()
