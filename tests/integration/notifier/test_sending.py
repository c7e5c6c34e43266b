"""From a due mail to its end, on a real MongoDB and an SMTP server that does as it is told."""

import asyncio

from services.notifier.outcomes import Sent
from services.notifier.smtp import Envelope
from shared.events import ChoicesMade, MarkMoved, TextTakenOut
from tests.integration.notifier.conftest import MakeOffice
from tests.integration.notifier.office import Office
from tests.servers.mongodb import SharedMongo
from tests.servers.smtp import AFTER_DOT, BEFORE_DOT, SmtpServer
from tests.servers.waiting import eventually
from tests.unit.notifier.making import customer, event, order, seller

ADDRESS = "mara@example.com"
ENVELOPE = Envelope("orders@shop.example", ADDRESS, 100)


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


async def test_a_sellers_message_becomes_one_mail_to_the_customer(make_office: MakeOffice, smtp: SmtpServer) -> None:
    office = make_office()
    office.sender.start()

    await office.take(event("It is on its way."))

    (mail,) = await smtp.wait_for(1)
    await office.reaches("sent")
    assert (mail.sender, mail.recipients) == ("orders@shop.example", (ADDRESS,))
    assert "It is on its way." in body(smtp)
    assert office.count("notifier_mails_total", state="sent") == 1


async def test_a_burst_of_twenty_with_two_senders_is_one_mail_with_all_twenty(
    make_office: MakeOffice, smtp: SmtpServer
) -> None:
    offices = [make_office(delay_s=0.5), make_office(delay_s=0.5)]
    for office in offices:
        office.sender.start()
    burst = [event(f"message number {seq}.", seq=seq) for seq in range(1, 21)]

    await asyncio.gather(*(office.take(entry) for entry in burst for office in offices))

    await offices[0].reaches("sent")
    assert len(smtp.received) == 1
    assert smtp.mails[0].message["Subject"] == "20 new messages about your order 1042"
    places = [body(smtp).index(f"message number {seq}.") for seq in range(1, 21)]
    assert places == sorted(places)


async def test_what_was_read_before_it_was_due_is_not_mailed(make_office: MakeOffice, smtp: SmtpServer) -> None:
    office = make_office()
    await office.take(event(seq=1), event(seq=2))
    await is_read(office, 2)

    office.sender.start()

    await office.reaches("skipped")
    assert smtp.received == []


async def test_a_mark_that_comes_before_its_entry_counts_too(make_office: MakeOffice, smtp: SmtpServer) -> None:
    office = make_office()
    await is_read(office, 1)
    await is_read(office, 0)

    await office.take(event("read", seq=1), event("new", seq=2))
    office.sender.start()

    await smtp.wait_for(1)
    assert "new" in body(smtp)
    assert "\n  read\n" not in body(smtp).replace("\r", "")


async def test_a_person_who_has_switched_mails_off_gets_none(make_office: MakeOffice, smtp: SmtpServer) -> None:
    office = make_office()
    await office.known.chosen(ChoicesMade(person="customer:c-7", stamp="1", messages=False, disputes=True))
    await office.take(event(to=(customer(), seller())))

    office.sender.start()

    await office.reaches("sent", "skipped")
    assert [mail.recipients for mail in smtp.received] == [("gifts@example.com",)]


async def test_the_chosen_language_wins(make_office: MakeOffice, smtp: SmtpServer) -> None:
    office = make_office()
    await office.known.chosen(
        ChoicesMade(person="customer:c-7", stamp="1", messages=True, disputes=True, locale="fr-CH")
    )
    await office.take(event(to=(customer(locale="de"),)))

    office.sender.start()

    (mail,) = await smtp.wait_for(1)
    assert mail.message["Subject"] == "Nouveau message concernant votre commande 1042"


async def test_a_text_that_was_taken_out_meanwhile_is_not_mailed(make_office: MakeOffice, smtp: SmtpServer) -> None:
    office, entry = make_office(), event("4111 1111 1111 1111")
    await office.known.taken_out(
        TextTakenOut(order_id="1042", customer_id="c-7", seller_id="s-1", message_id=entry.data.entry.id, seq=1)
    )
    await office.take(entry)

    office.sender.start()

    await smtp.wait_for(1)
    assert "4111" not in body(smtp)
    assert "This text was removed." in body(smtp)


async def test_a_dispute_step_goes_at_once_with_what_was_waiting(make_office: MakeOffice, smtp: SmtpServer) -> None:
    office = make_office(delay_s=3600)
    office.sender.start()
    await office.take(event("waiting", seq=1))

    await office.take(event("broken", seq=2, kind="dispute_opened"))

    (mail,) = await smtp.wait_for(1)
    assert mail.message["Subject"] == "A dispute was opened about your order 1042"
    assert body(smtp).index("waiting") < body(smtp).index("Reason: Damaged") < body(smtp).index("broken")


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
    await dead.mails.transmitting(lease, rendered=b"the bytes", message_id="<1@shop.example>")
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


async def test_many_mails_share_few_connections(make_office: MakeOffice, smtp: SmtpServer) -> None:
    office = make_office(at_once=2)
    office.sender.start()

    await office.take(*(event(about=order(f"{number}")) for number in range(30)))

    await office.reaches(*["sent"] * 30)
    assert len(smtp.received) == 30
    assert smtp.connections <= 2


async def test_two_senders_send_each_mail_once(make_office: MakeOffice, smtp: SmtpServer) -> None:
    offices = [make_office(), make_office()]
    await offices[0].take(*(event(f"to order {number}", about=order(f"{number}")) for number in range(40)))

    for office in offices:
        office.sender.start()

    await offices[0].reaches(*["sent"] * 40)
    assert len(smtp.received) == 40
    assert len({mail.message["Message-ID"] for mail in smtp.received}) == 40


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


def falls_silent_at_data(office: Office, smtp: SmtpServer) -> None:
    """From the next DATA on, the server says nothing until it is resumed."""

    async def silence() -> None:
        office.connections.after_offer = None
        smtp.pause()

    office.connections.after_offer = silence


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

    await office.reaches("sent")
    assert office.count("notifier_attempts_total", outcome="lost") == 1
    assert len(smtp.received) == 1
    assert "4111" not in body(smtp)


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
