"""The history: its pages in both directions, what is new for whom, and what that costs."""

from datetime import timedelta
from typing import Any

import pytest

from services.threads import history
from shared.callers import Author, Caller
from shared.mongo import Database
from tests.integration.threads.asking import Recorder
from tests.integration.threads.conftest import Ask
from tests.integration.threads.documents import SERVICE, START, Shop, admin, customer, guest, seller, snapshot

ANNA, BERT = seller("anna"), seller("bert")


async def a_thread(shop: Shop, order_id: str, *authors: Caller) -> str:
    """A new order whose thread has an entry by each of these, in turn; answers the path of its history."""
    await shop.place(snapshot(order_id))
    for author in authors:
        await shop.post(order_id, author)
    return f"/v1/orders/{order_id}/messages"


def seqs(page: Any) -> list[int]:
    return [item["seq"] for item in page["items"]]


async def test_the_newest_entries_come_first_page_by_page_and_each_page_ascends(shop: Shop, ask: Ask) -> None:
    path = await a_thread(shop, "h-1", *[customer()] * 7)
    client = ask(ANNA)

    first = (await client.get(f"{path}?limit=3")).json
    second = (await client.get(first["next"])).json
    third = (await client.get(second["next"])).json

    assert [seqs(first), seqs(second), seqs(third)] == [[5, 6, 7], [2, 3, 4], [1]]
    assert third["next"] is None
    assert {page["last_seq"] for page in (first, second, third)} == {7}


async def test_after_seq_goes_to_newer_entries(shop: Shop, ask: Ask) -> None:
    path = await a_thread(shop, "h-2", *[customer()] * 7)
    client = ask(ANNA)

    first = (await client.get(f"{path}?after_seq=2&limit=3")).json
    second = (await client.get(first["next"])).json

    assert [seqs(first), seqs(second)] == [[3, 4, 5], [6, 7]]
    assert second["next"] is None
    assert seqs((await client.get(f"{path}?after_seq=7")).json) == []
    assert seqs((await client.get(f"{path}?after_seq=0&limit=2")).json) == [1, 2]


async def test_a_page_that_ends_the_history_exactly_has_no_next(shop: Shop, ask: Ask) -> None:
    path = await a_thread(shop, "h-3", *[customer()] * 4)

    assert (await ask(ANNA).get(f"{path}?limit=4")).json["next"] is None
    assert (await ask(ANNA).get(f"{path}?after_seq=2&limit=2")).json["next"] is None
    assert (await ask(ANNA).get(f"{path}?before_seq=1")).json["items"] == []


async def test_entries_written_while_somebody_reads_back_move_nothing(shop: Shop, ask: Ask) -> None:
    path = await a_thread(shop, "h-4", *[customer()] * 6)

    first = (await ask(ANNA).get(f"{path}?limit=3")).json
    await shop.post("h-4", customer())
    second = (await ask(ANNA).get(first["next"])).json

    assert (seqs(second), second["last_seq"]) == ([1, 2, 3], 7)


async def test_an_empty_thread_is_an_empty_page(shop: Shop, ask: Ask) -> None:
    path = await a_thread(shop, "h-5")

    page = (await ask(customer()).get(path)).json

    assert page == {"items": [], "first_new_seq": None, "last_seq": 0, "next": None}


async def test_each_login_of_a_seller_has_its_own_mark_and_a_colleagues_message_is_new(shop: Shop, ask: Ask) -> None:
    path = await a_thread(shop, "h-6", customer(), ANNA, customer(), BERT)
    await shop.read("h-6", ANNA, 3)

    by_anna, by_bert = (await ask(ANNA).get(path)).json, (await ask(BERT).get(path)).json

    assert [(item["mine"], item["new"]) for item in by_anna["items"]] == [
        (False, False),
        (True, False),
        (False, False),
        (False, True),
    ]
    assert by_anna["first_new_seq"] == 4
    assert [item["seq"] for item in by_bert["items"] if item["new"]] == [1, 2, 3]
    assert by_bert["first_new_seq"] == 1


async def test_two_admins_have_marks_of_their_own(shop: Shop, ask: Ask) -> None:
    path = await a_thread(shop, "h-7", customer(), admin("one"))
    await shop.read("h-7", admin("one"), 2)

    assert (await ask(admin("one")).get(path)).json["first_new_seq"] is None
    assert (await ask(admin("two")).get(path)).json["first_new_seq"] == 1


async def test_a_guest_who_becomes_an_account_keeps_their_mark_and_messages(shop: Shop, ask: Ask) -> None:
    buyer = guest("h-8", "g-8")
    await shop.place(snapshot("h-8", customer_id="g-8", guest=True))
    await shop.post("h-8", buyer)
    await shop.post("h-8", ANNA)
    await shop.read("h-8", buyer, 2)
    await shop.post("h-8", ANNA)
    await shop.place(snapshot("h-8", customer_id="c-8", version=2))

    page = (await ask(customer("c-8")).get("/v1/orders/h-8/messages")).json

    assert [(item["mine"], item["new"]) for item in page["items"]] == [(True, False), (False, False), (False, True)]
    assert (await ask(buyer).get("/v1/orders/h-8/messages")).status == 404


async def test_marked_unread_everything_of_others_is_new_again(shop: Shop, ask: Ask) -> None:
    path = await a_thread(shop, "h-9", ANNA, customer(), ANNA)
    await shop.read("h-9", customer(), 3)
    await shop.read("h-9", customer(), 0)

    page = (await ask(customer()).get(path)).json

    assert [item["new"] for item in page["items"]] == [True, False, True]
    assert page["first_new_seq"] == 1


@pytest.mark.parametrize("limit", [1, 2, 5, 50])
async def test_the_separators_place_is_the_same_on_every_page(shop: Shop, ask: Ask, limit: int) -> None:
    path = await a_thread(shop, f"h-10-{limit}", *[customer()] * 4, *[ANNA] * 3, *[customer()] * 4, BERT)
    await shop.read(f"h-10-{limit}", ANNA, 4)
    url: str | None = f"{path}?limit={limit}"

    places = set()
    while url is not None:
        page = (await ask(ANNA).get(url)).json
        places.add(page["first_new_seq"])
        url = page["next"]

    assert places == {8}


@pytest.mark.parametrize("own", [history.NEW_WITHIN - 1, history.NEW_WITHIN, history.NEW_WITHIN + 77])
async def test_the_first_new_message_is_found_behind_any_number_of_own_ones(
    stored: Database, recorder: Recorder, shop: Shop, ask: Ask, own: int
) -> None:
    order_id = f"h-11-{own}"
    path = await a_thread(shop, order_id, customer(), *[ANNA] * own, customer(), *[ANNA] * 9)
    await shop.read(order_id, ANNA, 1)
    recorder.commands.clear()

    page = (await ask(ANNA).get(f"{path}?limit=3")).json

    plans = await recorder.plans(stored, "entries")
    assert page["first_new_seq"] == own + 2
    assert sum(plan.documents for plan in plans) <= 4 + history.NEW_WITHIN + 9
    assert {plan.index for plan in plans} == {"one_writer_wins"}


async def test_a_page_reads_no_more_entries_than_it_shows_and_one(
    stored: Database, recorder: Recorder, shop: Shop, ask: Ask
) -> None:
    path = await a_thread(shop, "h-12", *[customer()] * 30)
    await shop.read("h-12", ANNA, 30)

    for url in (f"{path}?limit=5", f"{path}?limit=5&before_seq=20", f"{path}?limit=5&after_seq=20"):
        recorder.commands.clear()
        await ask(ANNA).get(url)
        [plan] = await recorder.plans(stored, "entries")
        assert (plan.index, plan.documents, plan.keys) == ("one_writer_wins", 6, 6)
        assert "SORT" not in plan.stages


async def test_imported_messages_show_their_own_time_and_are_new_for_nobody(shop: Shop, ask: Ask) -> None:
    written_at = START - timedelta(days=900)
    await shop.place(snapshot("h-13"))
    for number in range(3):
        author = Author(side="seller", person="seller:old", name="Old login")
        await shop.bring("h-13", author, f"Old {number}", written_at=written_at)
    await shop.post("h-13", customer())

    by_customer = (await ask(customer()).get("/v1/orders/h-13/messages")).json
    by_seller = (await ask(ANNA).get("/v1/orders/h-13/messages?limit=1")).json

    assert by_customer["items"][0]["at"] == "2023-09-13T09:00:00Z"
    assert by_customer["first_new_seq"] is None
    assert not any(item["new"] for item in by_customer["items"])
    assert by_seller["first_new_seq"] == 4


async def test_a_dispute_stands_in_the_history_with_its_reason_and_outcome(shop: Shop, ask: Ask) -> None:
    await shop.place(snapshot("h-14"))
    await shop.open_dispute("h-14", customer(), "wrong_item")
    await shop.close_dispute("h-14", admin(), "replaced")

    opened, closed = (await ask(ANNA).get("/v1/orders/h-14/messages")).json["items"]

    assert (opened["kind"], opened["reason"], opened["text"]) == ("dispute_opened", "wrong_item", "It came broken")
    assert (closed["kind"], closed["outcome"], closed["text"]) == ("dispute_closed", "replaced", "Done")
    assert closed["author"] == {"side": "shop", "name": "Admin root"}


async def test_a_text_that_was_taken_out_is_gone_and_its_place_stays(shop: Shop, ask: Ask) -> None:
    path = await a_thread(shop, "h-15", customer(), ANNA)
    await shop.log.redact("h-15", shop.entries[-2].id, by="admin:root")

    first, _ = (await ask(ANNA).get(path)).json["items"]

    assert (first["seq"], first["text"], first["redacted"]) == (1, None, True)


async def test_an_entry_that_is_committed_but_not_projected_yet_is_shown(
    stored: Database, shop: Shop, ask: Ask
) -> None:
    path = await a_thread(shop, "h-16", customer())
    before = await stored["threads"].find_one({"_id": "h-16"})
    await shop.post("h-16", customer())
    assert before is not None
    await stored["threads"].replace_one({"_id": "h-16"}, before)

    page = (await ask(ANNA).get(path)).json

    assert (seqs(page), page["last_seq"], page["first_new_seq"]) == ([1, 2], 2, 1)


async def test_a_get_changes_nothing(stored: Database, shop: Shop, ask: Ask) -> None:
    path = await a_thread(shop, "h-17", customer(), ANNA)
    before = (await stored.command("dbHash"))["md5"]

    for url in (path, "/v1/orders/h-17", "/v1/orders", "/v1/threads", "/v1/me", "/v1/me/preferences"):
        for caller in (customer(), ANNA, admin()):
            assert (await ask(caller).get(url)).status == 200

    assert (await stored.command("dbHash"))["md5"] == before


@pytest.mark.parametrize(
    ("query", "field"),
    [
        ("limit=0", "limit"),
        ("limit=201", "limit"),
        ("before_seq=0", "before_seq"),
        ("before_seq=-1", "before_seq"),
        ("after_seq=-1", "after_seq"),
        ("after_seq=9007199254740993", "after_seq"),
        ("before_seq=1.5", "before_seq"),
        ("before_seq[$gt]=1", "before_seq[$gt]"),
        ("before_seq=9&after_seq=1", "after_seq"),
        ("seq=1", "seq"),
    ],
)
async def test_what_cannot_be_asked_is_refused_with_the_fields_name(
    shop: Shop, ask: Ask, query: str, field: str
) -> None:
    await shop.place(snapshot("h-18"))

    answer = await ask(customer()).get(f"/v1/orders/h-18/messages?{query}")

    assert (answer.status, answer.wrong_fields) == (422, [field])


async def test_the_history_of_somebody_elses_order_does_not_exist(shop: Shop, ask: Ask) -> None:
    path = await a_thread(shop, "h-19", customer())

    for caller in (customer("c-2"), seller(of="s-2"), guest("h-19", "c-1"), SERVICE):
        assert (await ask(caller).get(path)).status == 404
