"""Searching the lists: what is found, for whom, and how far one request looks."""

import asyncio
from datetime import timedelta
from urllib.parse import quote

import pytest

from services.threads import search
from shared.callers import Caller
from shared.mongo import Database
from tests.integration.threads.asking import Recorder
from tests.integration.threads.conftest import Ask
from tests.integration.threads.documents import START, Shop, admin, customer, seller, snapshot
from tests.integration.threads.test_lists import ids

MANY = 620
BIG = seller(of="s-big")


@pytest.fixture(scope="module", autouse=True)
async def world(shop: Shop) -> None:
    await shop.place(snapshot("W-100", customer_name="Zoë Müller", items=("Reading lamp (50% off)", "Bulb")))
    await shop.place(snapshot("W-101", customer_id="c-2", items=("Chair.*",)))
    await shop.place(snapshot("w-1", customer_id="c-2", seller_id="s-2"))
    await shop.post("W-100", seller(), "The parcel with number 00340434 is on its way")
    await shop.post("W-100", customer(), "Thank you: GRÜSSE aus Köln")
    await shop.post("W-101", seller(), "Your chair is here. [50% done] $where")
    await shop.open_dispute("W-101", customer("c-2"))
    await shop.place(snapshot("X-1", customer_id="c-x", seller_id="s-x", customer_name="Zoe\u0301 Ju\u0308rgens"))
    await shop.place(
        snapshot("X-2", customer_id="c-x", seller_id="s-x", customer_name="Zoé Jürgens", items=("İSTANBUL",))
    )
    await shop.post("X-1", seller("s-x-login", of="s-x"), "Versand nach Mu\u0308nchen, ﬁnal; ＡＢＣ. Ihr Łódź-Team")
    await shop.post("X-2", customer("c-x"), "Nach München in die Hauptstraße, Ἀθῆναι, ガラス, co\u00adop")
    await shop.post("X-2", seller("s-x-login", of="s-x"), "It is on its way")
    await a_big_shop(shop)


async def a_big_shop(shop: Shop) -> None:
    """More orders of one seller than one request looks through; the oldest has something special."""
    orders = [
        snapshot(
            f"big-{number:04}", customer_id="c-big", seller_id="s-big", placed_at=START + timedelta(minutes=number)
        )
        for number in range(MANY)
    ]
    for start in range(0, MANY, 100):
        await asyncio.gather(*(shop.place(order) for order in orders[start : start + 100]))
    await shop.post("big-0000", customer("c-big"), "the needle")
    await shop.post("big-0610", customer("c-big"), "another needle")


async def found(ask: Ask, caller: Caller, q: str, *, path: str = "/v1/orders") -> list[str]:
    return ids(await ask(caller).all_pages(f"{path}?q={quote(q)}"))


@pytest.mark.parametrize(
    ("q", "expected"),
    [
        ("W-100", ["W-100"]),
        ("w-10", ["W-101", "W-100"]),
        ("  W-101 ", ["W-101"]),
        ("100", []),
        ("zoë m", ["W-100"]),
        ("ZOË", ["W-100"]),
        ("seller s-1", ["W-101", "W-100"]),
        ("(50% off)", ["W-100"]),
        ("chair.*", ["W-101"]),
        ("cha.r", []),
        ("00340434", ["W-100"]),
        ("grüsse AUS", ["W-100"]),
        ("[50% done] $where", ["W-101"]),
        ("came broken", ["W-101"]),
        ("^", []),
        ("\\", []),
    ],
)
async def test_numbers_names_items_and_texts_are_found_literally_and_whatever_their_case(
    ask: Ask, q: str, expected: list[str]
) -> None:
    assert await found(ask, seller(), q) == expected


@pytest.mark.parametrize(
    ("q", "expected"),
    [
        ("München", ["X-2", "X-1"]),
        ("Mu\u0308nchen", ["X-2", "X-1"]),
        ("MUNCHEN", ["X-2", "X-1"]),
        ("Zoé", ["X-2", "X-1"]),
        ("zoe jurgens", ["X-2", "X-1"]),
        ("istanbul", ["X-2"]),
        ("ISTANBUL", ["X-2"]),
        ("İstanbul", ["X-2"]),
        ("final", ["X-1"]),
        ("ﬁnal", ["X-1"]),
        ("abc", ["X-1"]),
        ("ＡＢＣ", ["X-1"]),
        ("lodz", ["X-1"]),
        ("HAUPTSTRASSE", ["X-2"]),
        ("hauptstraẞe", ["X-2"]),
        ("αθηναι", ["X-2"]),
        ("カラス", []),
        ("coop", ["X-2"]),
        ("co\u200bop", ["X-2"]),
        ("#x-1", ["X-1"]),
        ("#X-1", ["X-1"]),
        ("#", []),
        ("\u0301", []),
    ],
)
async def test_what_looks_the_same_is_found_however_it_is_written(ask: Ask, q: str, expected: list[str]) -> None:
    assert await found(ask, seller("s-x-login", of="s-x"), q) == expected


@pytest.mark.parametrize(
    ("q", "expected"),
    [
        ("münchen zoe", ["X-2", "X-1"]),
        ("way jürgens", ["X-2"]),
        ("way hauptstrasse istanbul x-2 way", ["X-2"]),
        ("final hauptstrasse", []),
        ("team versand", ["X-1"]),
        ("zoe chair", []),
    ],
)
async def test_every_word_is_found_somewhere_in_the_thread_in_any_order(ask: Ask, q: str, expected: list[str]) -> None:
    assert await found(ask, seller("s-x-login", of="s-x"), q) == expected


async def test_the_exact_number_comes_first_and_those_that_begin_with_it_follow(ask: Ask) -> None:
    assert await found(ask, admin(), "w-1") == ["w-1", "W-101", "W-100"]


async def test_other_peoples_threads_are_not_found(ask: Ask) -> None:
    assert await found(ask, customer("c-1"), "chair") == []
    assert await found(ask, customer("c-1"), "W-101") == []
    assert await found(ask, seller(of="s-2"), "parcel") == []
    assert await found(ask, customer("c-2"), "chair") == ["W-101"]


async def test_a_search_stays_within_the_filter_and_the_sort(ask: Ask) -> None:
    for_customer = ask(customer("c-2"))

    assert ids(await for_customer.all_pages("/v1/orders?filter=disputed&q=w-1")) == ["W-101"]
    assert ids(await for_customer.all_pages("/v1/threads?q=w-1")) == ["W-101"]
    assert ids(await for_customer.all_pages("/v1/threads?sort=oldest_dispute&q=chair")) == ["W-101"]
    assert ids(await ask(seller()).all_pages("/v1/threads?sort=oldest_dispute&q=W-100")) == []


async def test_one_request_looks_through_500_threads_and_the_next_goes_on_where_it_stopped(ask: Ask) -> None:
    first = (await ask(BIG).get("/v1/orders?q=needle")).json
    second = (await ask(BIG).get(first["next"])).json

    assert (ids(first["items"]), first["searched"]) == (["big-0610"], 500)
    assert (ids(second["items"]), second["searched"], second["next"]) == (["big-0000"], MANY - 500, None)


async def test_an_exact_number_is_found_at_once_however_far_back(ask: Ask) -> None:
    first = (await ask(BIG).get("/v1/orders?q=big-0000&limit=1")).json

    assert ids(first["items"]) == ["big-0000"]
    assert ids(await ask(BIG).all_pages(first["next"])) == []


async def test_the_pages_of_a_search_together_are_all_it_finds(ask: Ask) -> None:
    whole = ids(await ask(BIG).all_pages("/v1/orders?q=big-01&limit=100"))
    by_sevens = ids(await ask(BIG).all_pages("/v1/orders?q=big-01&limit=7"))

    assert whole == by_sevens == [f"big-{number:04}" for number in range(199, 99, -1)]


async def test_a_search_looks_at_a_bounded_number_of_texts(
    shop: Shop, ask: Ask, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(search, "MAX_ENTRIES", 5)
    for order_id in ("talk-1", "talk-2", "talk-3"):
        await shop.place(snapshot(order_id, customer_id="c-talk", seller_id="s-talk"))
        for number in range(4):
            await shop.post(order_id, customer("c-talk"), f"word {number}")

    first = (await ask(seller(of="s-talk")).get("/v1/threads?q=word")).json

    assert first["searched"] < 3
    assert ids(first["items"] + await ask(seller(of="s-talk")).all_pages(first["next"])) == [
        "talk-3",
        "talk-2",
        "talk-1",
    ]


async def test_a_search_reads_the_list_by_its_index_and_texts_by_theirs(
    stored: Database, recorder: Recorder, ask: Ask
) -> None:
    recorder.commands.clear()
    await ask(BIG).get("/v1/orders?q=needle")
    [in_texts, *_] = [command for command in recorder.commands if "aggregate" in command]

    plans = await recorder.plans(stored, "threads")
    explained = await stored.command(
        {
            "explain": {"aggregate": "entries", "pipeline": in_texts["pipeline"], "cursor": {}},
            "verbosity": "executionStats",
        }
    )

    walked = [plan for plan in plans if plan.index == "lists_placed"]
    assert sum(plan.documents for plan in walked) == 500
    assert "one_writer_wins" in str(explained)
    assert "COLLSCAN" not in str(explained)
    assert in_texts["maxTimeMS"] == search.SEARCH_LIMIT_MS


async def snippets(ask: Ask, caller: Caller, q: str) -> dict[str, str]:
    """What is shown of each thread found, hits in brackets."""
    rows = await ask(caller).all_pages(f"/v1/threads?q={quote(q)}")
    return {
        row["order"]["order_id"]: "".join(
            f"[{part['text']}]" if part["hit"] else part["text"] for part in row["snippet"]["parts"]
        )
        for row in rows
        if row["snippet"] is not None
    }


@pytest.mark.parametrize(
    ("q", "expected"),
    [
        ("parcel", {"W-100": "The [parcel] with number 00340434 is on its way"}),
        ("grusse koln", {"W-100": "Thank you: [GRÜSSE] aus [Köln]"}),
        ("munchen", {"X-1": "Versand nach [Mu\u0308nchen], ﬁnal; ＡＢＣ. Ihr Łódź-Team"}),
        ("needle", {"big-0000": "the [needle]", "big-0610": "another [needle]"}),
    ],
)
async def test_what_was_found_in_a_text_is_shown_with_the_hits_marked(
    ask: Ask, q: str, expected: dict[str, str]
) -> None:
    found = await snippets(ask, admin(), q)
    assert {order_id: text for order_id, text in found.items() if order_id in expected} == expected


async def test_a_snippet_says_who_wrote_it_and_none_is_there_for_what_the_row_shows(ask: Ask) -> None:
    (row,) = await ask(customer()).all_pages("/v1/threads?q=parcel")
    assert (row["snippet"]["seq"], row["snippet"]["mine"], row["snippet"]["author"]["side"]) == (1, False, "seller")
    (row,) = await ask(seller()).all_pages("/v1/threads?q=parcel")
    assert row["snippet"]["mine"] is True
    (row,) = await ask(customer()).all_pages("/v1/threads?q=W-100")
    assert row["snippet"] is None
