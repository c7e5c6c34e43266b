"""The mail ledger's promises, on a real MongoDB."""

import asyncio
from datetime import datetime

import pytest
from pymongo.errors import AutoReconnect

from services.notifier.clock import Clock
from services.notifier.contents import MailState, gathered, order_shown
from services.notifier.mails import Lapse, Lease, Mails
from services.notifier.outcomes import Broken, Sent, Skipped, Unknown
from services.notifier.taking import Taking
from shared.events import ChoicesMade, EntryAddressed, MarkMoved, TextTakenOut
from shared.mongo import Database
from tests.integration.notifier.conftest import MakeOffice
from tests.integration.notifier.office import Office
from tests.servers.waiting import eventually
from tests.unit.notifier.making import customer, event, order, seller

ADDRESS = "mara@example.com"


async def leased(office: Office) -> Lease:
    lease = await office.mails.lease()
    assert lease is not None
    return lease


async def due(office: Office) -> Lease:
    return await eventually(lambda: leased(office), what="a due mail")


async def lapsed(office: Office) -> tuple[MailState, MailState]:
    """What a lease that has ended was, and what the mail is now."""

    async def look() -> Lapse:
        lapse = await office.mails.lapse(pause_s=0)
        assert lapse is not None
        return lapse

    lapse = await eventually(look, what="the end of the lease")
    return lapse.was, lapse.now


def taking(entry: EntryAddressed) -> Taking:
    return Taking(
        gathered(entry), entry.data.recipients[0], order_shown(entry.data.order, item_count=entry.data.item_count)
    )


async def test_a_redelivered_entry_is_taken_once(make_office: MakeOffice) -> None:
    office, entry = make_office(), event()

    assert await office.take(entry) == [True]
    assert await office.take(entry) == [False]

    assert len((await office.the_document())["entries"]) == 1


async def test_a_group_with_copies_and_several_entries_for_one_person_is_taken_once_each(
    make_office: MakeOffice,
) -> None:
    office, known, first, second = make_office(delay_s=60), event(seq=1), event(seq=2), event(seq=3)
    await office.take(known)
    elsewhere = event(about=order("2"))

    answers = await office.mails.take_some([taking(each) for each in (first, known, second, elsewhere, first)])

    assert answers == [True, False, True, True, False]
    gathered_seqs = [[entry["seq"] for entry in document["entries"]] for document in await office.documents()]
    assert sorted(gathered_seqs) == [[1], [1, 2, 3]]


async def test_an_entry_is_taken_once_for_ever_also_after_its_mail_is_sent(make_office: MakeOffice) -> None:
    office, entry = make_office(), event()
    await office.take(entry)
    lease = await leased(office)
    assert await office.mails.mark(lease, Sent("250 OK"), pause_s=1) == "sent"

    assert await office.take(entry) == [False]

    assert await office.states() == ["sent"]


async def test_each_person_gets_a_mail_of_their_own(make_office: MakeOffice) -> None:
    office = make_office()

    assert await office.take(event(to=(customer(), seller()))) == [True, True]

    assert await office.states() == ["open", "open"]


async def test_two_processes_that_take_a_burst_gather_it_in_one_mail(make_office: MakeOffice) -> None:
    one, two = make_office(delay_s=5), make_office(delay_s=5)
    burst = [event(f"number {seq}", seq=seq) for seq in range(1, 41)]

    taken = await asyncio.gather(*(office.take(entry) for entry in burst for office in (one, two)))

    assert sum(answer for (answer,) in taken) == len(burst)
    document = await one.the_document()
    assert sorted(entry["seq"] for entry in document["entries"]) == list(range(1, 41))
    assert len(document["taken"]) == len(burst)


async def test_texts_that_look_like_operators_are_kept_as_they_are(make_office: MakeOffice) -> None:
    office = make_office()
    texts = ["$$NOW", "$order", '{"$gt": ""}', "$", "a.b.$[]"]

    await office.take(*(event(text, seq=seq, author="$person") for seq, text in enumerate(texts, 1)))

    lease = await leased(office)
    assert [entry.text for entry in lease.mail().entries] == texts
    assert {entry.author_name for entry in lease.mail().entries} == {"$person"}


async def test_a_mail_that_is_full_goes_and_another_begins(make_office: MakeOffice) -> None:
    office = make_office(delay_s=60, max_weight=20_000)

    await office.take(*(event("x", seq=seq) for seq in range(1, 7)))

    first, second = await office.documents()
    assert (first["state"], len(first["entries"])) == ("pending", 4)
    assert (second["state"], len(second["entries"])) == ("open", 2)


async def test_a_mail_is_due_its_delay_after_the_first_entry(make_office: MakeOffice) -> None:
    office = make_office(delay_s=60)

    await office.take(event(seq=1))
    due_at = (await office.the_document())["wake_at"]
    await office.take(event(seq=2))

    assert (await office.the_document())["wake_at"] == due_at
    assert await office.mails.lease() is None


async def test_a_dispute_step_makes_it_due_at_once_with_what_was_waiting(make_office: MakeOffice) -> None:
    office = make_office(delay_s=60)
    await office.take(event("waiting", seq=1))

    await office.take(event("broken", seq=2, kind="dispute_opened"))

    assert [entry.text for entry in (await leased(office)).mail().entries] == ["waiting", "broken"]


async def test_the_newest_entry_and_the_newest_order_are_shown_whatever_the_order_of_arrival(
    make_office: MakeOffice,
) -> None:
    office = make_office(delay_s=0)
    old, new = customer(email="old@example.com"), customer(email="new@example.com")

    await office.take(
        event(seq=2, to=(new,), about=order(version=2, total="2.00")),
        event(seq=1, to=(old,), about=order(version=1, total="1.00")),
    )

    mail = (await leased(office)).mail()
    assert (mail.recipient.email, mail.order.total) == ("new@example.com", "2.00")


async def test_a_mail_is_leased_by_one_sender_only(make_office: MakeOffice) -> None:
    offices = [make_office() for _ in range(4)]
    await offices[0].take(*(event(about=order(f"{number}")) for number in range(10)))

    leases = await asyncio.gather(*(office.mails.lease() for office in offices for _ in range(5)))

    ids = [lease.mail_id for lease in leases if lease is not None]
    assert len(ids) == len(set(ids)) == 10


async def test_a_lease_whose_answer_was_lost_counts_from_when_it_was_asked_for(
    make_office: MakeOffice, monkeypatch: pytest.MonkeyPatch
) -> None:
    office = make_office()
    await office.take(event())

    async def lost(_: Mails) -> list[Lease]:
        raise AutoReconnect("the answer is lost")

    with monkeypatch.context() as away:
        away.setattr(Mails, "_claimed", lost)
        with pytest.raises(AutoReconnect):
            await office.mails.lease()
    asked_again_at = asyncio.get_running_loop().time()
    lease = await leased(office)

    assert lease.fence == 1
    assert lease.asked_at < asked_again_at


async def test_of_two_leases_with_one_fence_number_only_the_one_that_was_not_lost_in_a_failover_sends(
    make_office: MakeOffice, ledger_database: Database
) -> None:
    office = make_office()
    await office.take(event())
    (before,) = await office.documents()
    lost = await leased(office)
    await ledger_database["mails"].replace_one({"_id": lost.mail_id}, before)
    held = await leased(office)
    assert (lost.mail_id, lost.fence) == (held.mail_id, held.fence)

    async def may_send(lease: Lease) -> bool:
        return await office.mails.transmitting(
            lease, rendered=lease.lease_id.encode(), message_id="<1@shop.example>", to=ADDRESS
        )

    assert await asyncio.gather(*(may_send(lease) for lease in (lost, held))) == [False, True]
    assert await office.mails.mark(lost, Sent("250 OK"), pause_s=0) is None
    assert await office.mails.mark(held, Sent("250 OK"), pause_s=0) == "sent"
    assert await office.mails.mark(held, Sent("250 OK"), pause_s=0) == "sent"


async def test_what_comes_while_a_mail_is_leased_gathers_in_another(make_office: MakeOffice) -> None:
    office = make_office()
    await office.take(event("first", seq=1))
    await leased(office)

    await office.take(event("second", seq=2))

    assert sorted(await office.states()) == ["leased", "open"]


async def test_a_lease_that_ends_before_data_comes_back_and_the_zombies_marks_are_refused(
    make_office: MakeOffice,
) -> None:
    office = make_office(lease_s=0.05)
    await office.take(event())
    zombie = await leased(office)

    assert await lapsed(office) == ("leased", "pending")

    heir = await leased(make_office(lease_s=60))
    assert heir.fence == zombie.fence + 1
    assert not await office.mails.transmitting(zombie, rendered=b"zombie", message_id="<z@shop.example>", to=ADDRESS)
    assert await office.mails.mark(zombie, Sent("250 OK"), pause_s=0) is None
    assert await office.mails.transmitting(heir, rendered=b"heir", message_id="<h@shop.example>", to=ADDRESS)
    assert (await office.the_document())["rendered"] == b"heir"


async def test_a_lease_that_ends_while_transmitting_is_ambiguous_and_repeated_once_with_the_same_bytes(
    make_office: MakeOffice,
) -> None:
    office = make_office(lease_s=0.05)
    await office.take(event())
    for now in ("pending", "ambiguous"):
        lease = await due(office)
        assert await office.mails.transmitting(lease, rendered=b"the bytes", message_id="<1@shop.example>", to=ADDRESS)
        assert await lapsed(office) == ("transmitting", now)
        assert await office.mails.mark(lease, Sent("250 OK"), pause_s=0) is None

    assert (await office.the_document())["rendered"] == b"the bytes"
    assert await office.mails.lease() is None


async def test_marks_made_side_by_side_each_name_their_own_fence(make_office: MakeOffice) -> None:
    office, dying = make_office(), make_office(lease_s=0.05)
    await office.take(event(about=order("1")))
    zombie = await leased(dying)
    await lapsed(dying)
    await office.take(event(about=order("2")), event(about=order("3")))
    heir, *others = await office.mails.lease_some(3)

    states = await asyncio.gather(
        *(office.mails.mark(lease, Sent("250 OK"), pause_s=0) for lease in (zombie, *others)),
        office.mails.mark(heir, Skipped("read"), pause_s=0),
    )

    assert (heir.mail_id, heir.fence) == (zombie.mail_id, zombie.fence + 1)
    assert states == [None, "sent", "sent", "skipped"]
    assert sorted(await office.states()) == ["sent", "sent", "skipped"]


async def test_more_bytes_than_fit_in_one_statement_are_stored_as_each_mails_own(make_office: MakeOffice) -> None:
    office = make_office()
    await office.take(*(event(about=order(f"{number}")) for number in range(6)))
    leases = await office.mails.lease_some(6)
    bytes_of = {lease.mail_id: bytes([number]) * 3_000_000 for number, lease in enumerate(leases)}

    held = await asyncio.gather(
        *(
            office.mails.transmitting(
                lease, rendered=bytes_of[lease.mail_id], message_id=f"<{lease.mail_id}>", to=ADDRESS
            )
            for lease in leases
        )
    )

    assert held == [True] * 6
    for document in await office.documents():
        assert document["rendered"] == bytes_of[document["_id"]]
        assert document["message_id"] == f"<{document['_id']}>"


async def test_an_ambiguous_mail_is_left_to_an_operator_where_that_is_wanted(make_office: MakeOffice) -> None:
    office = make_office(resend=False)
    await office.take(event())
    lease = await leased(office)
    await office.mails.transmitting(lease, rendered=b"the bytes", message_id="<1@shop.example>", to=ADDRESS)

    assert await office.mails.mark(lease, Unknown("dropped"), pause_s=0) == "ambiguous"

    assert await office.mails.lease() is None


async def test_a_mail_that_has_been_failing_for_too_long_has_failed(make_office: MakeOffice) -> None:
    office = make_office(give_up_s=0)
    await office.take(event())

    assert await office.mails.mark(await leased(office), Broken("reset"), pause_s=0) == "failed"

    assert (await office.the_document())["error"] == {"code": None, "text": "reset"}


async def test_after_the_end_no_text_address_or_token_is_kept(make_office: MakeOffice) -> None:
    office = make_office()
    await office.take(event("a secret", to=(customer(guest_token="a-guest-token"),)))
    lease = await leased(office)
    await office.mails.transmitting(lease, rendered=b"a secret", message_id="<1@shop.example>", to=ADDRESS)

    await office.mails.mark(lease, Sent("250 OK"), pause_s=0)

    document = await office.the_document()
    for gone in ("a secret", "mara@example.com", "Mara", "token", "Retrospot"):
        assert gone not in str(document)
    assert document["message_id"] == "<1@shop.example>"
    assert [step["step"] for step in document["history"]] == ["taken", "leased", "transmitting", "sent"]


async def test_a_text_taken_out_leaves_every_unsent_mail_and_a_leased_one_is_taken_back(
    make_office: MakeOffice,
) -> None:
    office, entry = make_office(), event("a card number")
    await office.take(entry)
    lease = await leased(office)

    assert await office.mails.redact(order_id="1042", message_id=entry.data.entry.id) == 1

    assert not await office.mails.transmitting(
        lease, rendered=b"a card number", message_id="<1@shop.example>", to=ADDRESS
    )
    document = await office.the_document()
    assert (document["state"], document["entries"][0]["text"]) == ("pending", None)


async def test_a_text_taken_out_of_a_mail_that_may_have_left_is_not_sent_again(make_office: MakeOffice) -> None:
    office, entry = make_office(), event("a card number")
    await office.take(entry)
    lease = await leased(office)
    await office.mails.transmitting(lease, rendered=b"a card number", message_id="<1@shop.example>", to=ADDRESS)

    await office.mails.redact(order_id="1042", message_id=entry.data.entry.id)
    assert await office.mails.mark(lease, Unknown("dropped"), pause_s=0) == "pending"

    assert (await leased(office)).mail().rendered is None


def mark(seq: int) -> MarkMoved:
    return MarkMoved(
        order_id="1042",
        customer_id="c-7",
        seller_id="s-1",
        inbox="customer",
        person="customer",
        up_to_seq=seq,
        unread=0,
    )


async def test_the_highest_mark_counts_whatever_the_order_of_arrival(make_office: MakeOffice) -> None:
    office = make_office()
    await asyncio.gather(*(office.known.read(mark(seq)) for seq in (3, 7, 5, 0, 2)))
    await office.take(event())

    known = await office.known.about((await leased(office)).mail())

    assert known.read_up_to == 7


async def test_the_newest_choices_count_whatever_the_order_of_arrival(make_office: MakeOffice) -> None:
    office = make_office()
    all_choices = [
        ChoicesMade(person="customer:c-7", stamp=f"{stamp}", messages=stamp == 3, disputes=False) for stamp in (1, 3, 2)
    ]
    await asyncio.gather(*(office.known.chosen(choices) for choices in all_choices))
    await office.take(event())

    known = await office.known.about((await leased(office)).mail())

    assert known.choices == (all_choices[1],)


async def test_a_text_may_be_taken_out_before_its_entry_comes(make_office: MakeOffice) -> None:
    office, entry = make_office(), event("a card number", seq=4)
    out = TextTakenOut(order_id="1042", customer_id="c-7", seller_id="s-1", message_id=entry.data.entry.id, seq=4)
    for _ in range(2):
        await office.known.taken_out(out)
    await office.take(entry)

    known = await office.known.about((await leased(office)).mail())

    assert known.redacted == {entry.data.entry.id}


async def test_looking_for_due_mails_examines_only_those_that_wait(
    make_office: MakeOffice, ledger_database: Database
) -> None:
    office = make_office()
    await office.take(*(event(about=order(f"done-{number}")) for number in range(30)))
    while (lease := await office.mails.lease()) is not None:
        await office.mails.mark(lease, Sent("250 OK"), pause_s=0)
    late = make_office(delay_s=60)
    await late.take(*(event(about=order(f"later-{number}")) for number in range(30)))
    await office.take(event(about=order("due")))
    due = {
        "alive": True,
        "state": {"$in": ["open", "pending"]},
        "$expr": {"$lte": ["$wake_at", "$$NOW"]},
    }

    plan = await ledger_database.command(
        "explain", {"find": "mails", "filter": due, "sort": {"wake_at": 1}, "limit": 1}, verbosity="executionStats"
    )

    assert plan["executionStats"]["nReturned"] == 1
    assert plan["executionStats"]["totalDocsExamined"] <= 2
    assert plan["executionStats"]["totalKeysExamined"] <= 4


def in_ms(moment: datetime) -> datetime:
    """As the database stores it."""
    return moment.replace(microsecond=moment.microsecond // 1000 * 1000)


async def test_the_time_that_is_written_is_the_databases_and_never_ahead_of_it(ledger_database: Database) -> None:
    clock = Clock(ledger_database)
    before = (await ledger_database.command("hello"))["localTime"]

    times = [in_ms(await clock.now()) for _ in range(3)]

    after = (await ledger_database.command("hello"))["localTime"]
    assert [before, *times, after] == sorted([before, *times, after])
