"""The address of the moment counts: what is mailed goes where the person's mails go when the attempt begins, on real servers."""

import asyncio
import re
from collections.abc import Awaitable, Callable

import pytest

from services.notifier.outcomes import Unknown
from services.notifier.pauses import Pauses
from shared.contracts.contacts import ContactRole, order_version
from shared.events import ChoicesMade, ContactData, MarkMoved, Recipient
from shared.mongo import Database
from tests.integration.notifier.conftest import MakeOffice
from tests.integration.notifier.office import Office, body
from tests.servers.oplog import writes
from tests.servers.smtp import AFTER_DOT, SmtpServer
from tests.servers.waiting import eventually
from tests.unit.notifier.making import customer, event, order, seller

OLD, NEW = "mara@example.com", "mara.moser@example.com"
WATCHER = Recipient(
    person="admin:a-1",
    inbox="shop",
    name="Grace",
    email="grace@example.com",
    locale="en",
    unsubscribe_token="w",
    version="019cb2d4-5a00-7c3e-8f21-3d5f6a7b8c9d",
)
SHOP = Recipient(
    person="shop",
    inbox="shop",
    name="Shop",
    email="service@shop.example",
    locale="en",
    unsubscribe_token="s",
    version=order_version(1),
)


def contact(
    email: str | None,
    version: int = 2,
    *,
    role: ContactRole = "customer",
    person: str = "customer:c-7",
    **other: object,
) -> ContactData:
    fields = {"thread_id": "1042", "name": "Mara Moser", "locale": "en", "unsubscribe_token": "newer", **other}
    return ContactData.model_validate(
        {"role": role, "person": person, "email": email, "version": order_version(version), **fields}
    )


def mailed(smtp: SmtpServer) -> list[str]:
    return [address for mail in smtp.received for address in mail.recipients]


async def why(office: Office) -> str:
    return str((await office.the_document())["history"][-1]["why"])


async def test_an_address_that_was_corrected_while_the_mail_gathered_gets_it(
    make_office: MakeOffice, smtp: SmtpServer
) -> None:
    office = make_office()
    await office.take(event("Your private matter."))
    await office.known.moved(contact(NEW, name="Mara Moser-Lang", locale="de"))

    office.sender.start()

    (mail,) = await smtp.wait_for(1)
    await office.reaches("sent")
    assert mailed(smtp) == [NEW]
    assert mail.message["To"] == f"Mara Moser-Lang <{NEW}>"
    assert mail.message["Subject"] == "Nachrichten zu Ihrer Bestellung 1042"
    assert "token=newer" in body(smtp)


async def test_an_address_that_was_erased_gets_nothing_and_nothing_of_it_is_kept(
    make_office: MakeOffice, smtp: SmtpServer
) -> None:
    office = make_office()
    await office.take(event("Your private matter."))
    await office.known.moved(contact(None, name="Deleted"))

    office.sender.start()

    await office.reaches("skipped")
    assert await why(office) == "erased"
    assert smtp.received == []
    assert OLD not in str(await office.documents())


async def test_a_mail_that_waits_for_its_next_try_goes_to_the_new_address(
    make_office: MakeOffice, smtp: SmtpServer
) -> None:
    office = make_office()
    smtp.refuse(OLD, "450 4.2.1 mailbox full")
    office.sender.start()
    await office.take(event())
    await eventually(lambda: office.count("notifier_attempts_total", outcome="refused") >= 1, what="a refusal")

    await office.known.moved(contact(NEW))

    await office.reaches("sent")
    assert mailed(smtp) == [NEW]


async def test_a_mail_whose_text_the_server_refused_for_now_is_written_anew_for_the_new_address(
    make_office: MakeOffice, smtp: SmtpServer, ledger_database: Database
) -> None:
    office = make_office(pauses=Pauses(first_s=3600, longest_s=3600))
    smtp.answer_data("451 4.3.0 later")
    office.sender.start()
    await office.take(event())
    await eventually(lambda: office.count("notifier_attempts_total", outcome="refused") == 1, what="a refusal")
    await office.reaches("pending")

    await office.known.moved(contact(NEW))
    await ledger_database["mails"].update_one({}, [{"$set": {"wake_at": "$$NOW"}}])

    await office.reaches("sent")
    assert mailed(smtp) == [OLD, NEW]
    assert smtp.mails[0].message["To"] == f"Mara Moser <{NEW}>"


@pytest.mark.parametrize(("email", "mails", "state"), [(NEW, [NEW], "sent"), (None, [], "skipped")])
async def test_an_address_that_is_withdrawn_while_its_mail_is_offered_is_not_mailed(
    make_office: MakeOffice, smtp: SmtpServer, email: str | None, mails: list[str], state: str
) -> None:
    office = make_office()

    async def withdraw() -> None:
        office.connections.after_offer = None
        await office.known.moved(contact(email))

    office.connections.after_offer = withdraw
    office.sender.start()

    await office.take(event())

    await office.reaches(state)
    assert office.count("notifier_attempts_total", outcome="outdated") == 1
    assert mailed(smtp) == mails


async def test_an_address_withdrawn_after_the_mark_and_before_data_is_not_mailed(
    make_office: MakeOffice, smtp: SmtpServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    office = make_office()
    original: Callable[..., Awaitable[bool]] = office.mails.transmitting

    async def then_withdraw(*args: object, **named: object) -> bool:
        held = await original(*args, **named)
        await office.known.moved(contact(NEW))
        return held

    monkeypatch.setattr(office.mails, "transmitting", then_withdraw)
    office.sender.start()

    await office.take(event())

    await office.reaches("sent")
    assert mailed(smtp) == [NEW]


async def test_in_the_databases_order_no_mail_is_begun_to_an_address_after_its_withdrawal(
    make_office: MakeOffice, smtp: SmtpServer, ledger_database: Database
) -> None:
    """Two hundred addresses are withdrawn while their mails go out: for each, the log of writes says which of the two came first."""
    offices = [make_office(at_once=16), make_office(at_once=16)]
    for office in offices:
        office.sender.start()

    async def withdrawn(number: int) -> None:
        about = order(f"{number}")
        to = customer(email=f"old{number}@example.com")
        taking = asyncio.create_task(offices[number % 2].take(event(about=about, to=(to,))))
        if number % 3:
            await taking
        withdrawal = contact(f"new{number}@example.com" if number % 2 else None, thread_id=about.order_id)
        await offices[(number + 1) % 2].known.moved(withdrawal)
        await taking

    limited = asyncio.Semaphore(20)

    async def one(number: int) -> None:
        async with limited:
            await withdrawn(number)

    await asyncio.gather(*(one(number) for number in range(200)))
    await eventually(lambda: _at_rest(offices[0]), what="every mail at rest")

    made = await writes(ledger_database.client, ledger_database.name)
    moved = {each.document["thread_id"]: each.at for each in made if each.collection == "addresses"}
    begun: dict[tuple[str, str], int] = {}
    for each in made:
        if each.collection == "mails" and each.document.get("state") == "transmitting":
            begun[each.document["order_id"], each.document["transmitted_to"]] = each.at
    late = [
        mail.recipients
        for mail in smtp.received
        if (place := re.fullmatch(r"old(\d+)@example.com", mail.recipients[0])) is not None
        and begun[place[1], mail.recipients[0]] > moved[place[1]]
    ]
    assert late == []
    assert len(set(mailed(smtp))) == len(mailed(smtp))
    assert {mail["state"] for mail in await offices[0].documents()} <= {"sent", "skipped"}
    assert sum(mail["state"] == "sent" for mail in await offices[0].documents()) == len(mailed(smtp))


async def _at_rest(office: Office) -> bool:
    documents = await office.documents()
    return len(documents) == 200 and not any(document.get("alive") for document in documents)


async def test_what_may_have_arrived_at_the_old_address_is_not_sent_to_the_new_one(
    make_office: MakeOffice, smtp: SmtpServer
) -> None:
    office = make_office()
    smtp.drop_data(AFTER_DOT)
    await office.take(event())
    lease = await office.mails.lease()
    assert lease is not None
    await office.mails.transmitting(lease, rendered=b"the bytes", message_id="<1@shop.example>", to=OLD)
    await office.mails.mark(lease, Unknown("dropped"), pause_s=0)
    await office.known.moved(contact(NEW))

    office.sender.start()

    await office.reaches("ambiguous")
    assert await why(office) == "it may have reached an address that has changed since"
    assert smtp.received == []


async def test_what_may_have_arrived_is_sent_again_where_the_address_is_the_same(
    make_office: MakeOffice, smtp: SmtpServer
) -> None:
    office = make_office()
    await office.take(event())
    lease = await office.mails.lease()
    assert lease is not None
    sent_before = f"From: shop@shop.example\r\nTo: {OLD}\r\nSubject: the bytes\r\n\r\n".encode()
    await office.mails.transmitting(lease, rendered=sent_before, message_id="<1@shop.example>", to=OLD)
    await office.mails.mark(lease, Unknown("dropped"), pause_s=0)
    await office.known.moved(contact(OLD, name="Mara M. Moser"))

    office.sender.start()

    await office.reaches("sent")
    assert mailed(smtp) == [OLD]
    assert smtp.mails[0].message["Subject"] == "the bytes"


async def test_an_older_state_of_an_address_changes_nothing_whenever_it_comes(
    make_office: MakeOffice, smtp: SmtpServer
) -> None:
    office = make_office()
    for version in (3, 2, 3, 1):
        await office.known.moved(contact(f"v{version}@example.com", version))
    await office.take(event())

    office.sender.start()

    await office.reaches("sent")
    assert mailed(smtp) == ["v3@example.com"]


async def test_an_entry_that_was_addressed_later_knows_better(make_office: MakeOffice, smtp: SmtpServer) -> None:
    office = make_office()
    await office.known.moved(contact("between@example.com", 2))
    newest = customer(email="newest@example.com").model_copy(update={"version": order_version(3)})
    oldest = customer(email="oldest@example.com").model_copy(update={"version": order_version(1)})
    await office.take(event(seq=1, to=(newest,)), event(seq=2, to=(oldest,)))

    office.sender.start()

    await office.reaches("sent")
    assert mailed(smtp) == ["newest@example.com"]


async def test_every_role_has_an_address_of_its_own(make_office: MakeOffice, smtp: SmtpServer) -> None:
    office = make_office()
    await office.take(event(to=(customer(), seller(), SHOP, WATCHER)))
    await office.known.moved(contact("c@example.com"))
    await office.known.moved(contact("s@example.com", role="seller", person="seller:s-1"))
    await office.known.moved(contact("b@example.com", role="shop", person="shop", thread_id=None))
    watch = "019cb2d4-5a01-7c3e-8f21-3d5f6a7b8c9d"
    await office.known.moved(
        contact("w@example.com", role="watcher", person="admin:a-1").model_copy(update={"version": watch})
    )

    office.sender.start()

    await office.reaches("sent", "sent", "sent", "sent")
    assert sorted(mailed(smtp)) == ["b@example.com", "c@example.com", "s@example.com", "w@example.com"]


async def test_another_threads_address_is_another(make_office: MakeOffice, smtp: SmtpServer) -> None:
    office = make_office()
    await office.take(event(), event(about=order("1043")))
    await office.known.moved(contact(NEW))

    office.sender.start()

    await office.reaches("sent", "sent")
    assert sorted(mailed(smtp)) == sorted([NEW, OLD])


async def test_a_guest_who_has_an_account_by_now_gets_the_accounts_link(
    make_office: MakeOffice, smtp: SmtpServer
) -> None:
    office = make_office()
    guest = Recipient(
        person="guest:1042",
        inbox="customer",
        name="Mara",
        email=OLD,
        locale="en",
        guest_token="opens-the-thread",
        unsubscribe_token="u",
        version=order_version(1),
    )
    await office.take(event(to=(guest,)))
    await office.known.moved(contact(OLD))

    office.sender.start()

    await office.reaches("sent")
    assert "opens-the-thread" not in body(smtp)
    assert "https://shop.example/threads/1042" in body(smtp)


def _read_by(person: str) -> MarkMoved:
    parties = {"customer_id": "c-7", "seller_id": "s-1"}
    return MarkMoved(order_id="1042", inbox="shop", person=person, up_to_seq=1, unread=0, **parties)


@pytest.mark.parametrize(
    ("reader", "mails"),
    [("admin:a-2", ["grace@example.com"]), ("admin:a-1", [])],
    ids=["a colleague", "the watcher"],
)
async def test_a_watchers_own_mark_counts_and_the_shops_mailbox_is_read_by_any_of_its_people(
    make_office: MakeOffice, smtp: SmtpServer, reader: str, mails: list[str]
) -> None:
    office = make_office()
    await office.take(event(to=(SHOP, WATCHER)))
    await office.known.read(_read_by(reader))

    office.sender.start()

    await office.reaches("skipped", "sent" if mails else "skipped")
    assert mailed(smtp) == mails


async def test_what_waits_obeys_what_was_chosen_for_the_address_that_it_now_goes_to(
    make_office: MakeOffice, smtp: SmtpServer
) -> None:
    office = make_office()
    await office.take(event(about=order("1042")), event(about=order("1043")))
    await office.known.moved(contact(NEW, address_key="new"))
    off = {"messages": False, "disputes": False, "since": {"messages": "2", "disputes": "2"}}
    await office.known.chosen(ChoicesMade(person="address|new", stamp="2", **off))

    office.sender.start()

    await office.reaches("sent", "skipped")
    assert mailed(smtp) == [OLD]


async def test_a_guests_mail_that_waits_obeys_what_the_account_chose_meanwhile(
    make_office: MakeOffice, smtp: SmtpServer
) -> None:
    office = make_office()
    guest = customer(guest_token="t").model_copy(update={"person": "guest:1042", "version": order_version(1)})
    await office.take(event(to=(guest,)))
    await office.known.moved(contact(OLD, person="customer:c-acc"))
    await office.known.chosen(ChoicesMade(person="customer:c-acc", stamp="3", messages=False, disputes=True))

    office.sender.start()

    await office.reaches("skipped")
    assert await why(office) == "switched_off"
    assert smtp.received == []
