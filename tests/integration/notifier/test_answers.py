"""What each answer of the SMTP server, and each silence, makes of a mail; the server does as it is told."""

import pytest

from services.notifier.smtp import Connection, Envelope
from tests.integration.notifier.conftest import MakeOffice
from tests.integration.notifier.office import falls_silent_at_data, is_read
from tests.servers.smtp import AFTER_DOT, BEFORE_DOT, SmtpServer
from tests.servers.waiting import eventually
from tests.unit.notifier.making import event, order, seller

ADDRESS = "mara@example.com"
ENVELOPE = Envelope("orders@shop.example", ADDRESS, 100)


async def test_451_twice_and_then_250_is_one_mail(make_office: MakeOffice, smtp: SmtpServer) -> None:
    office = make_office()
    smtp.answer_data("451 4.3.0 later", times=2)
    office.sender.start()

    await office.take(event())

    await office.reaches("sent")
    assert [mail.accepted for mail in smtp.received] == [False, False, True]
    assert len({mail.content for mail in smtp.received}) == 1
    assert (await office.the_document())["attempts"] == 2
    assert smtp.connections == 1


async def test_a_recipient_that_is_to_be_tried_later_is(make_office: MakeOffice, smtp: SmtpServer) -> None:
    office = make_office()
    smtp.refuse(ADDRESS, "450 4.2.1 greylisted")
    office.sender.start()
    await office.take(event())
    await eventually(lambda: office.count("notifier_attempts_total", outcome="refused") >= 2, what="two refusals")

    smtp.accept(ADDRESS)

    await office.reaches("sent")
    assert len(smtp.received) == 1


async def test_550_fails_at_once_visibly_and_is_not_tried_again(make_office: MakeOffice, smtp: SmtpServer) -> None:
    office = make_office()
    smtp.refuse(ADDRESS, f"550 5.1.1 <{ADDRESS}> no such mailbox")
    office.sender.start()

    await office.take(event(), event(about=order("2"), to=(seller(),)))

    await office.reaches("failed", "sent")
    failed, _ = await office.documents()
    assert failed["error"] == {"code": 550, "text": "5.1.1 (address) no such mailbox"}
    assert office.count("notifier_attempts_total", outcome="refused") == 1
    assert office.count("notifier_mails_total", state="failed") == 1


async def test_554_to_the_content_fails_at_once(make_office: MakeOffice, smtp: SmtpServer) -> None:
    office = make_office()
    smtp.answer_data("554 5.6.0 looks like spam")
    office.sender.start()

    await office.take(event())

    await office.reaches("failed")
    assert len(smtp.received) == 1


async def test_a_drop_after_the_final_dot_is_ambiguous_and_sent_once_more_the_same(
    make_office: MakeOffice, smtp: SmtpServer
) -> None:
    office = make_office()
    smtp.drop_data(AFTER_DOT)
    office.sender.start()

    await office.take(event())

    await office.reaches("sent")
    first, second = smtp.received
    assert first.content == second.content
    assert first.message["Message-ID"] == second.message["Message-ID"]
    assert office.count("notifier_attempts_total", outcome="unknown") == 1
    assert office.count("notifier_resent_total") == 1


async def test_a_second_ambiguity_is_left_to_an_operator(make_office: MakeOffice, smtp: SmtpServer) -> None:
    office = make_office()
    smtp.drop_data(AFTER_DOT, times=2)
    office.sender.start()

    await office.take(event())

    await office.reaches("ambiguous")
    assert len(smtp.received) == 2
    await eventually(lambda: office.count("notifier_mails_total", state="ambiguous") == 1)


async def test_with_hold_the_first_ambiguity_is_left_to_an_operator(make_office: MakeOffice, smtp: SmtpServer) -> None:
    office = make_office(resend=False)
    smtp.drop_data(AFTER_DOT)
    office.sender.start()

    await office.take(event())

    await office.reaches("ambiguous")
    assert len(smtp.received) == 1


async def test_an_ambiguous_mail_that_was_read_meanwhile_is_not_sent_again(
    make_office: MakeOffice, smtp: SmtpServer
) -> None:
    dead, heir = make_office(lease_s=0.05), make_office()
    await dead.take(event(seq=1))
    lease = await dead.mails.lease()
    assert lease is not None
    await dead.mails.transmitting(lease, rendered=b"the bytes", message_id="<1@shop.example>", to=ADDRESS)
    await is_read(dead, 1)

    heir.sender.start()

    await heir.reaches("skipped")
    assert heir.count("notifier_lapsed_total", state="transmitting") == 1
    assert smtp.received == []


async def test_a_drop_in_the_middle_of_the_text_counts_as_unknown(make_office: MakeOffice, smtp: SmtpServer) -> None:
    office = make_office()
    smtp.drop_data(BEFORE_DOT)
    office.sender.start()

    await office.take(event())

    await office.reaches("sent")
    assert office.count("notifier_attempts_total", outcome="unknown") == 1
    assert len(smtp.received) == 1


async def test_a_server_that_falls_silent_before_data_has_not_accepted_the_mail(
    make_office: MakeOffice, smtp: SmtpServer
) -> None:
    office = make_office(limit_s=0.3)
    await office.take(event())
    connection = await office.connections.offer(ENVELOPE)
    await connection.reset()
    office.connections.give_back(connection)
    smtp.pause()

    office.sender.start()

    await eventually(lambda: office.count("notifier_attempts_total", outcome="broken") >= 1, what="a time-out")
    smtp.resume()
    await office.reaches("sent")
    assert len(smtp.received) == 1


async def test_a_server_that_falls_silent_after_data_leaves_the_outcome_unknown(
    make_office: MakeOffice, smtp: SmtpServer
) -> None:
    office = make_office(limit_s=0.5)
    falls_silent_at_data(office, smtp)
    office.sender.start()
    await office.take(event())
    await eventually(lambda: office.count("notifier_attempts_total", outcome="unknown") == 1, what="a time-out")

    smtp.resume()

    await office.reaches("sent")
    assert office.count("notifier_resent_total") == 1


async def test_a_server_that_is_away_pauses_the_sender_and_costs_no_mail_an_attempt(
    make_office: MakeOffice, smtp: SmtpServer
) -> None:
    office = make_office()
    smtp.stop()
    office.sender.start()
    await office.take(*(event(about=order(f"{number}")) for number in range(5)))
    await eventually(lambda: office.count("notifier_attempts_total", outcome="server_away") >= 3, what="pauses")
    assert office.count("notifier_smtp_server_up") == 0

    smtp.start()

    await office.reaches(*["sent"] * 5)
    assert [document.get("attempts", 0) for document in await office.documents()] == [0] * 5
    assert office.count("notifier_smtp_server_up") == 1


async def test_503_is_the_connections_fault_and_not_the_mails(make_office: MakeOffice, smtp: SmtpServer) -> None:
    office = make_office()
    smtp.answer_data("503 5.5.1 bad sequence of commands")
    office.sender.start()

    await office.take(event())

    await office.reaches("sent")
    assert (await office.the_document())["attempts"] == 1
    assert smtp.connections == 2


async def test_a_defect_behind_an_offer_leaves_no_connection_on_which_the_next_mail_is_refused(
    make_office: MakeOffice, smtp: SmtpServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    office = make_office()
    transmit = Connection.transmit

    async def defective_once(self: Connection, content: bytes, *, limit_s: float) -> str:
        monkeypatch.setattr(Connection, "transmit", transmit)
        raise KeyError("a defect")

    monkeypatch.setattr(Connection, "transmit", defective_once)
    office.sender.start()
    await office.take(event())
    await office.reaches("sent")
    await office.take(event(about=order("2")))
    await office.reaches("sent", "sent")
    assert office.count("notifier_attempts_total", outcome="refused") == 0
    assert smtp.connections == 2


async def test_a_kept_connection_that_the_server_ended_is_replaced_without_a_failure(
    make_office: MakeOffice, smtp: SmtpServer
) -> None:
    office = make_office()
    office.sender.start()
    await office.take(event())
    await office.reaches("sent")
    smtp.stop()
    smtp.start()

    await office.take(event(about=order("2")))

    await office.reaches("sent", "sent")
    assert office.count("notifier_attempts_total", outcome="sent") == 2
    assert office.count("notifier_attempts_total", outcome="broken") == 0
    assert smtp.connections == 2
