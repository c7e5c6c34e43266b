"""How many mails one person gets in a while, on a real MongoDB and SMTP server: what is over waits, gathers, and is sent in the end."""

import re
from datetime import UTC, datetime, timedelta

from services.notifier.pace import counted
from shared.fields import EntryKind
from shared.mongo import Database
from shared.orders import Customer
from tests.integration.notifier.conftest import MakeOffice
from tests.integration.notifier.office import Office, body
from tests.servers.smtp import SmtpServer
from tests.servers.waiting import eventually
from tests.unit.notifier.making import event, order, seller

NOISY = Customer(id="c-noisy", name="Noisy", email="noisy@example.com")
LONG_S = 3_600.0
SHORT_S = 1.5


async def has_waiting(office: Office, count: int) -> None:
    """Waits until so many mails are neither sent nor due."""

    async def look() -> bool:
        waiting = [document for document in await office.documents() if document["state"] == "open"]
        return len(waiting) == count and all(document["wake_at"] > document["created_at"] for document in waiting)

    await eventually(look, what=f"{count} postponed mails")


async def test_mails_over_the_limit_wait(make_office: MakeOffice, smtp: SmtpServer) -> None:
    office = make_office(limit=2, window_s=LONG_S)
    await office.take(*(event(about=order(f"{number}")) for number in range(5)))

    office.sender.start()

    await has_waiting(office, 3)
    await office.reaches("sent", "sent", "open", "open", "open")
    assert len(smtp.received) == 2


async def test_what_waits_gathers_what_comes_meanwhile_and_is_sent_when_the_window_has_passed(
    make_office: MakeOffice, smtp: SmtpServer
) -> None:
    office = make_office(limit=1, window_s=SHORT_S)
    office.sender.start()
    await office.take(event("The first.", about=order("1")))
    await office.reaches("sent")

    await office.take(event("The second.", seq=1, about=order("2")))
    await has_waiting(office, 1)
    await office.take(event("The third.", seq=2, about=order("2")))

    await office.reaches("sent", "sent")
    assert len(smtp.received) == 2
    assert "The second." in body(smtp, 1)
    assert "The third." in body(smtp, 1)


async def test_nothing_is_lost_where_much_more_is_said_than_the_limit_lets_through(
    make_office: MakeOffice, smtp: SmtpServer
) -> None:
    offices = [make_office(limit=5, window_s=0.3), make_office(limit=5, window_s=0.3)]
    for office in offices:
        office.sender.start()

    await offices[0].take(*(event(f"about {number}.", about=order(f"{number}")) for number in range(30)))

    await offices[0].reaches(*["sent"] * 30)
    assert len(smtp.received) == 30


async def test_a_dispute_step_goes_although_the_limit_is_reached(make_office: MakeOffice, smtp: SmtpServer) -> None:
    office = make_office(limit=1, window_s=LONG_S)
    office.sender.start()
    await office.take(event("The first.", about=order("1")))
    await office.reaches("sent")
    await office.take(event("waits", seq=1, about=order("2")))
    await has_waiting(office, 1)

    await office.take(event("It came broken.", seq=2, kind="dispute_opened", about=order("2")))

    await office.reaches("sent", "sent")
    assert "It came broken." in body(smtp, 1)
    assert "waits" in body(smtp, 1)


async def test_disputes_have_a_limit_too(make_office: MakeOffice, smtp: SmtpServer) -> None:
    office = make_office(limit=2, window_s=LONG_S)
    steps = [event(kind="dispute_opened", about=order(f"{number}")) for number in range(6)]
    await office.take(*steps)

    office.sender.start()

    await has_waiting(office, 2)
    await office.reaches(*["sent"] * 4, "open", "open")


async def test_the_limit_is_each_persons_own(make_office: MakeOffice, smtp: SmtpServer) -> None:
    office = make_office(limit=1, window_s=LONG_S)
    await office.take(*(event(about=order(f"{number}")) for number in range(2)))
    await office.take(event(about=order("3"), to=(seller(),)))

    office.sender.start()

    await office.reaches("sent", "sent", "open")
    assert {mail.recipients for mail in smtp.received} == {("mara@example.com",), ("gifts@example.com",)}


async def test_one_orders_steps_go_one_by_one_at_first_then_gather_and_keep_nobody_waiting(
    make_office: MakeOffice, smtp: SmtpServer
) -> None:
    office = make_office(limit=60, window_s=LONG_S)
    office.sender.start()
    noisy = order("noisy", customer=NOISY)
    steps: tuple[EntryKind, EntryKind] = ("dispute_opened", "dispute_closed")
    for seq in range(1, 5):
        await office.take(event(f"step {seq}.", seq=seq, kind=steps[(seq - 1) % 2], about=noisy, to=(seller(),)))
        await office.reaches(*["sent"] * seq)

    for seq in range(5, 65):
        await office.take(event(f"step {seq}.", seq=seq, kind=steps[(seq - 1) % 2], about=noisy, to=(seller(),)))
    await has_waiting(office, 1)
    await office.take(event("innocent.", about=order("2"), to=(seller(),)))
    await office.take(event("really broken.", kind="dispute_opened", about=order("3"), to=(seller(),)))

    await office.reaches(*["sent"] * 6, "open")
    others = body(smtp, 4) + body(smtp, 5)
    assert (others.count("innocent."), others.count("really broken.")) == (1, 1)
    (waits,) = [document for document in await office.documents() if document["state"] == "open"]
    assert len(waits["entries"]) == 60
    last = max(
        document["counted_at"]
        for document in await office.documents()
        if document["order_id"] == "noisy" and "counted_at" in document
    )
    assert waits["wake_at"] - last < timedelta(seconds=LONG_S / 15 + 1)


async def test_one_party_gets_only_its_share_of_a_persons_mails(make_office: MakeOffice, smtp: SmtpServer) -> None:
    office = make_office(limit=20, window_s=LONG_S)
    await office.take(*(event(about=order(f"{n}", customer=NOISY), to=(seller(),)) for n in range(9)))
    office.sender.start()
    await has_waiting(office, 4)

    await office.take(*(event(about=order(f"o-{n}"), to=(seller(),)) for n in range(5)))

    await office.reaches(*["sent"] * 10, *["open"] * 4)
    waiting = {document["order_id"] for document in await office.documents() if document["state"] == "open"}
    assert waiting <= {f"{n}" for n in range(9)}


async def test_a_mail_that_was_refused_does_not_count(make_office: MakeOffice, smtp: SmtpServer) -> None:
    office = make_office(limit=1, window_s=LONG_S)
    smtp.refuse("mara@example.com")
    office.sender.start()
    await office.take(event(about=order("1")))
    await office.reaches("failed")
    smtp.accept("mara@example.com")

    await office.take(event(about=order("2")))

    await office.reaches("failed", "sent")


async def test_counting_examines_only_what_was_sent_within_the_window(
    make_office: MakeOffice, ledger_database: Database
) -> None:
    office = make_office()
    office.sender.start()
    await office.take(*(event(about=order(f"{number}")) for number in range(30)))
    await office.reaches(*["sent"] * 30)
    await ledger_database["mails"].update_many(
        {"order_id": {"$ne": "7"}}, {"$set": {"counted_at": datetime.now(UTC) - timedelta(days=2)}}
    )
    question = counted(["customer:c-7"], timedelta(hours=1))

    plan = await ledger_database.command(
        "explain", {"aggregate": "mails", "pipeline": question, "cursor": {}}, verbosity="executionStats"
    )

    stats = re.findall(r"'total(?:Docs|Keys)Examined': (\d+)", str(plan))
    assert stats
    assert all(int(examined) <= 2 for examined in stats)
