"""The lists of the three inboxes: what stands in them, in which order, how they are paged, and what that costs."""

import itertools
import json
import re
from collections.abc import Sequence
from datetime import timedelta
from typing import Any, get_args
from urllib.parse import parse_qsl, urljoin, urlsplit

import pytest

from services.threads.access import inbox_key, side_of
from shared.callers import Author, Caller
from shared.fields import Side
from shared.mongo import Database
from shared.queries import OrderFilter, ThreadFilter, ThreadSort
from tests.integration.threads.asking import Recorder
from tests.integration.threads.conftest import Ask
from tests.integration.threads.documents import SERVICE, START, Shop, admin, customer, guest, seller, snapshot

CALLERS = [customer("c-1"), seller("anna", of="s-1"), admin()]
ORDER_LISTS = [f"/v1/orders?filter={which}" for which in get_args(OrderFilter)]
THREAD_LISTS = [
    f"/v1/threads?filter={which}&sort={sort}"
    for which, sort in itertools.product(get_args(ThreadFilter), get_args(ThreadSort))
]


@pytest.fixture(scope="module", autouse=True)
async def world(shop: Shop) -> None:
    """24 orders of 2 customers and 2 sellers, in every combination of what has happened to them."""
    for number in range(24):
        order_id, buyer, vendor = f"{1000 + number}", f"c-{1 + number % 2}", f"s-{1 + number // 2 % 2}"
        placed_at = START + timedelta(hours=number * 7 % 24)
        await shop.place(snapshot(order_id, customer_id=buyer, seller_id=vendor, placed_at=placed_at))
        await something_happens(shop, order_id, customer(buyer), seller("anna", of=vendor), what=number // 4)
    await shop.place(snapshot("2000", customer_id="g-1", seller_id="s-2", guest=True))
    await shop.place(snapshot("2001", customer_id="g-1", seller_id="s-2", guest=True))
    await shop.post("2000", seller(of="s-2"))


async def something_happens(shop: Shop, order_id: str, buyer: Caller, vendor: Caller, *, what: int) -> None:
    if what == 0:
        return
    await shop.post(order_id, buyer)
    if what in (2, 4):
        await shop.post(order_id, vendor)
    if what in (3, 4, 5):
        await shop.open_dispute(order_id, buyer)
    if what in (2, 4):
        await shop.read(order_id, buyer, 2)
        await shop.read(order_id, admin(), 2)
    if what == 5:
        await shop.read(order_id, vendor, 2)
        await shop.close_dispute(order_id, admin())


def expected(shop: Shop, caller: Caller, which: str, sort: str) -> list[str]:
    """The list as told from the entries one by one, without any of what the projection keeps."""
    rows = []
    for order_id, thread in shop.threads.items():
        side = side_of(caller, thread.parties)
        if side is None:
            continue
        entries = [entry for entry in shop.entries if entry.order_id == order_id]
        last = entries[-1].after if entries else None
        is_open = last is not None and last.dispute is not None and last.dispute.state == "open"
        mark = MARKS.get((order_id, side), 0)
        unread = [entry for entry in entries if entry.seq > mark and entry.author.side != side]
        stands_in = {"all": True, "unread": bool(unread), "with_messages": bool(entries), "disputed": is_open}
        place = {
            "placed": PLACED.get(order_id, START),
            "newest": entries[-1].committed_at if entries else None,
            "waiting": last.waiting_since if last else None,
            "oldest_dispute": last.dispute.opened_at if last and last.dispute and is_open else None,
        }[sort]
        if stands_in[which] and place is not None:
            rows.append((place, order_id))
    return [order_id for _, order_id in sorted(rows, reverse=sort in ("placed", "newest"))]


PLACED = {f"{1000 + number}": START + timedelta(hours=number * 7 % 24) for number in range(24)}
MARKED: dict[int, tuple[Side, ...]] = {2: ("customer", "shop"), 4: ("customer", "shop"), 5: ("seller",)}
MARKS = {(f"{1000 + number}", side): 2 for number in range(24) for side in MARKED.get(number // 4, ())}


def ids(rows: Sequence[Any]) -> list[str]:
    return [row["order"]["order_id"] for row in rows]


@pytest.mark.parametrize("caller", CALLERS, ids=lambda caller: caller.role)
@pytest.mark.parametrize("url", [*ORDER_LISTS, *THREAD_LISTS])
async def test_each_list_contains_what_the_entries_say_in_its_order(
    shop: Shop, ask: Ask, caller: Caller, url: str
) -> None:
    asked = dict(parse_qsl(urlsplit(url).query))
    which, sort = asked["filter"], asked.get("sort", "placed")

    shown = await ask(caller).all_pages(f"{url}&limit=3")

    wanted = expected(shop, caller, which, sort)
    if url.startswith("/v1/threads"):
        wanted = [order_id for order_id in wanted if any(entry.order_id == order_id for entry in shop.entries)]
    assert ids(shown) == wanted


@pytest.mark.parametrize("caller", CALLERS, ids=lambda caller: caller.role)
@pytest.mark.parametrize("url", [*ORDER_LISTS, *THREAD_LISTS])
async def test_each_page_of_each_list_is_one_scan_of_its_index(
    stored: Database, recorder: Recorder, ask: Ask, caller: Caller, url: str
) -> None:
    client, following = ask(caller), f"{url}&limit=2"
    recorder.commands.clear()
    for _ in ("the first page", "the second page"):
        page = (await client.get(following)).json
        plans = await recorder.plans(stored, "threads")

        assert len(plans) == 1
        assert plans[0].index in ("lists_placed", "talks_newest", "talks_waiting", "talks_disputed")
        assert not {"SORT", "COLLSCAN"} & set(plans[0].stages)
        assert plans[0].documents == plans[0].returned <= len(page["items"]) + 1
        assert plans[0].keys <= plans[0].returned + 1
        if page["next"] is None:
            return
        following = page["next"]


@pytest.mark.parametrize("caller", CALLERS, ids=lambda caller: caller.role)
async def test_the_badges_are_two_bounded_index_scans(
    stored: Database, recorder: Recorder, ask: Ask, caller: Caller
) -> None:
    recorder.commands.clear()
    await ask(caller).get("/v1/me")

    plans = await recorder.plans(stored, "threads")

    assert {plan.index for plan in plans} == {"talks_newest", "talks_disputed"}
    assert all(plan.documents == plan.returned for plan in plans)
    assert not {"SORT", "COLLSCAN"} & {stage for plan in plans for stage in plan.stages}


@pytest.mark.parametrize("caller", CALLERS, ids=lambda caller: caller.role)
async def test_the_badges_say_what_the_lists_do(ask: Ask, caller: Caller) -> None:
    unread = await ask(caller).all_pages("/v1/threads?filter=unread")
    disputed = await ask(caller).all_pages("/v1/threads?filter=disputed")

    me = (await ask(caller).get("/v1/me")).json

    messages = sum(row["thread"]["unread"] for row in unread)
    assert me["unread"] == {"threads": len(unread), "messages": messages, "more": False}
    assert me["open_disputes"] == {"threads": len(disputed), "more": False}
    assert messages > 0
    assert disputed


async def test_a_row_shows_order_thread_and_where_the_messages_are(ask: Ask) -> None:
    [row] = (await ask(customer("c-1")).get("/v1/orders?q=1016")).json["items"]

    assert row["order"]["first_item"] == "Lamp"
    assert row["thread"]["dispute"]["state"] == "open"
    assert row["thread"]["last"]["kind"] == "dispute_opened"
    assert row["messages"] == "/v1/orders/1016/messages"


async def test_a_guests_lists_contain_their_one_order(ask: Ask) -> None:
    client = ask(guest("2000"))

    assert ids(await client.all_pages("/v1/orders")) == ["2000"]
    assert ids(await client.all_pages("/v1/threads?filter=unread")) == ["2000"]
    assert ids(await client.all_pages("/v1/orders?q=lamp")) == ["2000"]
    assert await client.all_pages("/v1/orders?filter=disputed") == []
    assert await client.all_pages("/v1/orders?q=2001") == []
    assert (await client.get("/v1/me")).json["unread"] == {"threads": 1, "messages": 1, "more": False}


async def test_a_guests_lists_are_empty_once_the_order_belongs_to_an_account(shop: Shop, ask: Ask) -> None:
    await shop.place(snapshot("2002", customer_id="g-2", guest=True))
    assert ids(await ask(guest("2002", "g-2")).all_pages("/v1/orders")) == ["2002"]

    await shop.place(snapshot("2002", customer_id="g-2", guest=False, version=2))

    assert await ask(guest("2002", "g-2")).all_pages("/v1/orders") == []
    assert ids(await ask(customer("g-2")).all_pages("/v1/orders")) == ["2002"]


async def test_a_service_has_no_lists(ask: Ask) -> None:
    for url in ("/v1/orders", "/v1/threads", "/v1/orders?q=lamp"):
        answer = await ask(SERVICE).get(url)
        assert (answer.status, answer.json["type"]) == (403, "urn:parley:problem:forbidden")


async def test_nobody_is_shown_twice_while_new_messages_arrive_between_the_pages(shop: Shop, ask: Ask) -> None:
    """A thread that moves up past the reader is at the top for the next look, and not on a later page again."""
    vendor, buyer = seller(of="s-busy"), customer("c-busy")
    for number in range(9):
        await shop.place(snapshot(f"300{number}", customer_id="c-busy", seller_id="s-busy"))
        await shop.post(f"300{number}", buyer)

    first = (await ask(vendor).get("/v1/threads?limit=3")).json
    await shop.post("3008", buyer)
    await shop.post("3002", buyer)
    rest = await ask(vendor).all_pages(first["next"])

    assert ids(first["items"]) == ["3008", "3007", "3006"]
    assert ids(rest) == ["3005", "3004", "3003", "3001", "3000"]
    assert ids((await ask(vendor).get("/v1/threads?limit=1")).json["items"]) == ["3002"]


async def test_a_cursor_serves_its_own_list_alone(ask: Ask) -> None:
    following = (await ask(admin()).get("/v1/orders?limit=2")).json["next"]
    cursor = following.split("cursor=")[1]

    assert (await ask(admin("another")).get(following)).status == 200
    for caller, url in (
        (seller(of="s-1"), "/v1/orders?cursor="),
        (customer("c-1"), "/v1/orders?cursor="),
        (admin(), "/v1/orders?filter=unread&cursor="),
        (admin(), "/v1/orders?q=lamp&cursor="),
        (admin(), "/v1/threads?cursor="),
    ):
        answer = await ask(caller).get(url + cursor)
        assert (answer.status, answer.wrong_fields) == (422, ["cursor"])


@pytest.mark.parametrize(
    ("query", "field"),
    [
        ("filter=everything", "filter"),
        ("filter[$ne]=all", "filter[$ne]"),
        ("limit=0", "limit"),
        ("limit=10000", "limit"),
        ("limit=two", "limit"),
        ("cursor=abc", "cursor"),
        ("cursor=", "cursor"),
        ("cursor=%00", "cursor"),
        ("cursor=%C3%A4%C3%A4", "cursor"),
        ("q=", "q"),
        ("q=%20%20", "q"),
        ("q=a%00b", "q"),
        (f"q={'x' * 101}", "q"),
        ("colour=red", "colour"),
    ],
)
@pytest.mark.parametrize("path", ["/v1/orders", "/v1/threads"])
async def test_what_cannot_be_asked_is_refused_with_the_fields_name(
    ask: Ask, path: str, query: str, field: str
) -> None:
    answer = await ask(admin()).get(f"{path}?{query}")

    assert (answer.status, answer.json["type"]) == (422, "urn:parley:problem:invalid_request")
    assert answer.headers["content-type"] == "application/problem+json"
    assert answer.wrong_fields == [field]


async def test_messages_are_not_sorted_by_what_only_orders_have(ask: Ask) -> None:
    assert (await ask(admin()).get("/v1/orders?sort=newest")).wrong_fields == ["sort"]
    assert (await ask(admin()).get("/v1/threads?sort=placed")).wrong_fields == ["sort"]
    assert (await ask(admin()).get("/v1/threads?filter=with_messages")).wrong_fields == ["filter"]


async def test_no_list_reads_an_order_or_an_entry(recorder: Recorder, ask: Ask) -> None:
    recorder.commands.clear()

    for url in [*ORDER_LISTS, *THREAD_LISTS]:
        await ask(admin()).get(url)

    assert {command["find"] for command in recorder.commands} == {"threads", "reads"}


async def test_new_for_me_counts_from_my_own_mark_and_unread_from_my_inboxs(shop: Shop, ask: Ask) -> None:
    anna, bert = seller("anna", of="s-two"), seller("bert", of="s-two")
    await shop.place(snapshot("4000", customer_id="c-two", seller_id="s-two"))
    for _ in range(3):
        await shop.post("4000", customer("c-two"))
    await shop.read("4000", anna, 2)

    shown = {}
    for each in (anna, bert):
        [row] = (await ask(each).get("/v1/threads")).json["items"]
        shown[each.id] = (row["thread"]["unread"], row["thread"]["new_for_me"])

    assert shown == {"anna": (1, 1), "bert": (1, 3)}


async def test_old_messages_that_were_imported_are_unread_for_nobody(shop: Shop, ask: Ask) -> None:
    await shop.place(snapshot("4100", customer_id="c-old", seller_id="s-old"))
    author = Author(side="customer", person="customer", name="Old")
    await shop.bring("4100", author, "From the old system", written_at=START - timedelta(days=900))

    for caller in (customer("c-old"), seller(of="s-old")):
        [row] = (await ask(caller).get("/v1/threads")).json["items"]
        assert (row["thread"]["unread"], row["thread"]["new_for_me"]) == (0, 0)
        assert (await ask(caller).get("/v1/threads?filter=unread")).json["items"] == []


def test_the_lists_of_the_three_inboxes_are_named_apart() -> None:
    assert len({inbox_key(caller) for caller in CALLERS}) == 3
    assert len({json.dumps([url, inbox_key(c)]) for url in (*ORDER_LISTS, *THREAD_LISTS) for c in CALLERS}) == 39


@pytest.mark.parametrize(
    "path", ["/v1/orders?filter=all&limit=5", "/v1/threads?sort=waiting&limit=2", "/v1/orders?q=c&limit=3"]
)
async def test_what_follows_is_said_as_an_address_as_a_cursor_and_as_a_link(ask: Ask, path: str) -> None:
    """The link (RFC 8288) is a query alone, so it is right behind a proxy's prefix too: it is resolved against the address asked."""
    client = ask(admin())
    first = await client.get(path)
    following, cursor = first.json["next"], first.json["cursor"]
    assert dict(parse_qsl(urlsplit(following).query))["cursor"] == cursor
    link = re.fullmatch('<([^>]+)>; rel="next"', first.headers["link"])
    assert link is not None
    assert urljoin(f"https://shop.example/api{path}", link[1]) == f"https://shop.example/api{following}"
    by_cursor = await client.get(f"{path}&cursor={cursor}")
    assert by_cursor.json["items"] == (await client.get(following)).json["items"] != []


async def test_nothing_follows_the_last_page(ask: Ask) -> None:
    last = await ask(customer("c-1")).get("/v1/orders?limit=100")
    assert (last.json["next"], last.json["cursor"], "link" in last.headers) == (None, None, False)


@pytest.mark.parametrize("path", ["/v1/orders?limit=1&limit=2", "/v1/threads?filter=all&filter=unread"])
async def test_a_parameter_that_is_given_twice_is_refused(ask: Ask, path: str) -> None:
    seen = await ask(admin()).get(path)
    assert (seen.status, seen.wrong_fields) == (422, [path.split("?")[1].split("=", maxsplit=1)[0]])
