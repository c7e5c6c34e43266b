"""What becomes a mail, and what is in it, on a real MongoDB and SMTP server."""

import asyncio

import pytest

from services.notifier.smtp import Envelope
from shared.events import ChoicesMade, TextTakenOut
from tests.integration.notifier.conftest import MakeOffice
from tests.integration.notifier.office import body, is_read
from tests.servers.smtp import SmtpServer
from tests.unit.notifier.making import customer, event, order, seller, watcher

ADDRESS = "mara@example.com"
ENVELOPE = Envelope("orders@shop.example", ADDRESS, 100)


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
    assert smtp.mails[0].message["Subject"] == "Messages about your order 1042"
    assert "There are 20 new entries" in body(smtp)
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
    assert mail.message["Subject"] == "Messages concernant votre commande 1042"


async def test_a_thread_that_was_switched_off_meanwhile_is_not_mailed_and_another_one_is(
    make_office: MakeOffice, smtp: SmtpServer
) -> None:
    office = make_office()
    await office.take(event("about this order"), event("about another", about=order("1043")))
    off = ChoicesMade(person="thread|1042|customer", stamp="1", messages=False, disputes=False)
    await office.known.chosen(off)
    office.sender.start()

    (mail,) = await smtp.wait_for(1)
    assert mail.message["Subject"] == "Messages about your order 1043"
    await office.reaches("sent", "skipped")


async def test_times_are_in_the_zone_that_the_reader_chose(make_office: MakeOffice, smtp: SmtpServer) -> None:
    office = make_office()
    await office.take(event())
    chosen = ChoicesMade(person="customer:c-7", stamp="1", messages=True, disputes=True, time_zone="Asia/Tokyo")
    await office.known.chosen(chosen)
    office.sender.start()

    await smtp.wait_for(1)
    assert "21:01 JST" in body(smtp)


async def test_a_text_that_was_taken_out_meanwhile_is_not_mailed(make_office: MakeOffice, smtp: SmtpServer) -> None:
    office, entry = make_office(), event("4111 1111 1111 1111")
    await office.known.taken_out(
        TextTakenOut(order_id="1042", customer_id="c-7", seller_id="s-1", message_id=entry.data.entry.id, seq=1)
    )
    await office.take(entry, event("It left yesterday.", seq=2))

    office.sender.start()

    await smtp.wait_for(1)
    assert "4111" not in body(smtp)
    assert "This text was removed." not in body(smtp)
    assert smtp.mails[0].message["Subject"] == "Messages about your order 1042"


async def test_a_mail_that_would_tell_of_nothing_but_a_text_that_was_taken_out_is_not_sent(
    make_office: MakeOffice, smtp: SmtpServer
) -> None:
    office, entry = make_office(), event("4111 1111 1111 1111")
    await office.take(entry)
    await office.known.taken_out(
        TextTakenOut(order_id="1042", customer_id="c-7", seller_id="s-1", message_id=entry.data.entry.id, seq=1)
    )

    office.sender.start()

    await office.reaches("skipped")
    assert (await office.the_document())["history"][-1]["why"] == "redacted"
    assert smtp.received == []


async def test_a_dispute_step_goes_at_once_with_what_was_waiting(make_office: MakeOffice, smtp: SmtpServer) -> None:
    office = make_office(delay_s=3600)
    office.sender.start()
    await office.take(event("waiting", seq=1))

    await office.take(event("broken", seq=2, kind="dispute_opened"))

    (mail,) = await smtp.wait_for(1)
    assert mail.message["Subject"] == "Messages about your order 1042"
    assert body(smtp).index("waiting") < body(smtp).index("Reason: Damaged") < body(smtp).index("broken")


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


async def test_an_address_that_an_older_release_took_fails_its_own_mail_visibly_and_no_other(
    make_office: MakeOffice, smtp: SmtpServer, capsys: pytest.CaptureFixture[str]
) -> None:
    office = make_office()
    await office.take(event(to=(customer(email="mara@old@example.com"), seller(), watcher(email="staff@x_y.example"))))

    office.sender.start()

    await office.reaches("failed", "failed", "sent")
    assert [mail.recipients for mail in smtp.received] == [("gifts@example.com",)]
    told = [each["error"]["text"] for each in await office.documents() if each["state"] == "failed"]
    assert sorted(told) == [
        "the recipient's address must have a domain name behind the @: letters, digits, inner hyphens, and single dots",
        "the recipient's address must have one @; another one may only stand in a quoted local part",
    ]
    assert office.count("notifier_attempts_total", outcome="unsendable") == 2
    assert "old@example" not in capsys.readouterr().out


async def test_a_carriers_address_goes_out_in_quotes(make_office: MakeOffice, smtp: SmtpServer) -> None:
    office = make_office()
    await office.take(event(to=(customer(email="a..b@carrier.example"),)))

    office.sender.start()

    (mail,) = await smtp.wait_for(1)
    assert mail.recipients == ("a..b@carrier.example",)  # as the server has understood RCPT
    assert b'To: Mara Moser <"a..b"@carrier.example>\r\n' in mail.content


async def test_bytes_of_an_older_release_with_a_name_as_headers_do_not_go_out(
    make_office: MakeOffice, smtp: SmtpServer
) -> None:
    office = make_office()
    await office.take(event())
    (document,) = await office.documents()
    poison = b"From: <orders@shop.example>\r\nTo: \r\nSubject: Refund failed\r\n\r\n <mara@example.com>\r\n"
    await office.keep_bytes(document["_id"], poison)

    office.sender.start()

    await office.reaches("failed")
    assert (await office.the_document())["error"]["text"] == "defect: NotAsGivenError"
    assert smtp.received == []
