"""My account > Orders and My account > Messages through the public API: filters, searches, cursors, badges, read marks."""

import asyncio
import zlib
from typing import Any, Final

import pytest

from shared.orders import Customer
from tests.api.people import People, order_of, order_of_guest
from tests.e2e.client import Answer, Client, Clients
from tests.made import snapshot
from tests.servers.waiting import eventually

PATIENT: Final = {"Prefer": "wait=30"}
DISPUTE: Final = {"reason": "damaged", "text": "Broken"}


class Market:
    """A customer and a seller of the test's own with some orders between them, so that badges are theirs alone."""

    def __init__(self, name: str, api: Clients, people: People) -> None:
        self.name, self._api, self._people = name, api, people
        self.customer = api.with_token(people.customer(f"c-{name}"))
        self.bob = api.with_token(people.seller(f"s-{name}", login="bob"))
        self.bea = api.with_token(people.seller(f"s-{name}", login="bea"))
        self.admin = api.with_token(people.admin())
        self.admin_too = api.with_token(people.admin("a-2"))

    def id_of(self, number: int) -> str:
        return f"{self.name}-{number}"

    async def orders(self, count: int) -> list[str]:
        ids = [self.id_of(number) for number in range(count)]
        both = {"customer": f"c-{self.name}", "seller": f"s-{self.name}"}
        await asyncio.gather(*(self._api.put_order(order_of(order_id, **both)) for order_id in ids))
        return ids

    async def say(self, who: Client, order_id: str, text: str = "A message") -> Answer:
        answer = await who.post(text, order_id=order_id, **PATIENT)
        assert answer.status == 201, answer
        return answer

    async def dispute(self, order_id: str, step: str = "", **body: str) -> None:
        answer = await self.customer.call("POST", f"/v1/orders/{order_id}/dispute{step}", body or DISPUTE, **PATIENT)
        assert answer.status in (200, 201), answer

    async def read(self, who: Client, order_id: str, up_to_seq: int) -> Answer:
        answer = await who.call("PUT", f"/v1/orders/{order_id}/read", {"up_to_seq": up_to_seq}, **PATIENT)
        assert answer.status == 200, answer
        return answer


@pytest.fixture
def market(request: pytest.FixtureRequest, api: Clients, people: People) -> Market:
    return Market(f"m{zlib.crc32(request.node.nodeid.encode())}", api, people)


async def rows(who: Client, path: str) -> list[dict[str, Any]]:
    answer = await who.get(path)
    assert answer.status == 200, answer
    items: list[dict[str, Any]] = answer.body["items"]
    return items


async def ids(who: Client, path: str) -> list[str]:
    return [row["order"]["order_id"] for row in await rows(who, path)]


async def badge(who: Client) -> tuple[int, int, int]:
    """Threads with something new, how many messages that is, and open disputes."""
    me = (await who.get("/v1/me")).body
    return me["unread"]["threads"], me["unread"]["messages"], me["open_disputes"]["threads"]


async def test_each_filter_shows_its_orders_to_both_sides(market: Market) -> None:
    silent, answered, asked, disputed = await market.orders(4)
    await market.say(market.customer, answered)
    await market.say(market.bob, answered, "An answer")
    await market.say(market.customer, asked)
    await market.dispute(disputed)
    expected = {
        ("customer", "all"): {silent, answered, asked, disputed},
        ("customer", "with_messages"): {answered, asked, disputed},
        ("customer", "unread"): {answered},
        ("customer", "disputed"): {disputed},
        ("seller", "all"): {silent, answered, asked, disputed},
        ("seller", "with_messages"): {answered, asked, disputed},
        ("seller", "unread"): {answered, asked, disputed},
        ("seller", "disputed"): {disputed},
    }
    who = {"customer": market.customer, "seller": market.bob}
    shown = {key: set(await ids(who[key[0]], f"/v1/orders?filter={key[1]}")) for key in expected}
    assert shown == expected
    threads = {
        (side, name): set(await ids(who[side], f"/v1/threads?filter={name}"))
        for side, name in expected
        if name != "with_messages"
    }
    assert threads == {key: found - {silent} for key, found in expected.items() if key[1] != "with_messages"}


async def test_a_row_shows_the_newest_entry_what_is_new_and_the_dispute(market: Market) -> None:
    [order_id] = await market.orders(1)
    await market.say(market.customer, order_id, "x" * 500)
    await market.dispute(order_id)
    [row] = await rows(market.bob, "/v1/threads")
    assert row["messages"] == f"/v1/orders/{order_id}/messages"
    assert row["order"]["customer"] == {"id": None, "name": "Ada", "guest": False}
    thread = row["thread"]
    assert (thread["last_seq"], thread["unread"], thread["new_for_me"]) == (2, 2, 2)
    assert (thread["last"]["kind"], thread["last"]["author"]) == ("dispute_opened", {"side": "customer", "name": "Ada"})
    assert (thread["dispute"]["state"], thread["dispute"]["reason"]) == ("open", "damaged")
    assert thread["waiting_since"] is not None
    assert "@" not in str(row)


async def test_threads_are_sorted_by_newest_by_waiting_and_by_the_age_of_their_disputes(market: Market) -> None:
    first, second, third, fourth = await market.orders(4)
    await market.say(market.customer, first)
    await market.dispute(second)
    await market.say(market.customer, third)
    await market.dispute(fourth)
    await market.say(market.bob, first, "An answer")
    assert await ids(market.bob, "/v1/threads") == [first, fourth, third, second]
    assert await ids(market.bob, "/v1/threads?sort=waiting") == [second, third, fourth]
    assert await ids(market.bob, "/v1/threads?sort=oldest_dispute") == [second, fourth]
    await market.dispute(second, "/close", outcome="resolved")
    assert await ids(market.bob, "/v1/threads?sort=oldest_dispute") == [fourth]
    assert await ids(market.bob, "/v1/threads?filter=disputed&sort=waiting") == [fourth]


async def test_a_search_finds_numbers_names_and_texts_among_ones_own(
    market: Market, api: Clients, people: People
) -> None:
    lamp, vase = await market.orders(2)
    await market.say(market.customer, lamp, "Does it burn with 40 W? (E27)")
    await market.say(market.customer, vase, "A ROSE is a rose")
    for q, found in (
        (lamp, [lamp]),
        ("(e27)", [lamp]),
        ("rose", [vase]),
        (".*", []),
        ("nowhere", []),
        ("fine things", [vase, lamp]),
    ):
        for who in (market.customer, market.bob):
            answer = await who.get(f"/v1/threads?q={q}")
            assert [row["order"]["order_id"] for row in answer.body["items"]] == found, q
    stranger = api.with_token(people.customer("c-stranger"))
    assert await ids(stranger, f"/v1/orders?q={lamp}") == []
    assert await ids(stranger, "/v1/threads?q=rose") == []


async def test_pages_repeat_and_lose_nothing_while_new_messages_arrive(market: Market) -> None:
    order_ids = await market.orders(9)
    for order_id in order_ids:
        await market.say(market.customer, order_id)
    seen: list[str] = []
    path, paged = "/v1/threads?limit=2", 0
    while path:
        answer = await market.bob.get(path)
        seen += [row["order"]["order_id"] for row in answer.body["items"]]
        path, paged = answer.body["next"], paged + 1
        if paged == 2:
            await market.say(market.customer, order_ids[8], "moves to the top again")
            await market.say(market.customer, order_ids[0], "moves away from the end")
    assert len(seen) == len(set(seen))
    assert set(seen) == set(order_ids) - {order_ids[0]}
    assert await ids(market.bob, "/v1/threads?limit=2") == [order_ids[0], order_ids[8]]


async def test_a_history_is_read_in_pages_both_ways(market: Market) -> None:
    [order_id] = await market.orders(1)
    for number in range(7):
        await market.say(market.customer, order_id, f"{number}")
    path = f"/v1/orders/{order_id}/messages"
    for start, step in ((f"{path}?limit=3", -1), (f"{path}?after_seq=0&limit=3", 1)):
        pages, following = [], start
        while following:
            page = (await market.bob.get(following)).body
            pages.append([item["seq"] for item in page["items"]])
            following = page["next"]
            assert (page["last_seq"], page["first_new_seq"]) == (7, 1)
        assert [seq for page in pages[::step] for seq in page] == [1, 2, 3, 4, 5, 6, 7]


async def test_two_logins_of_a_seller_share_the_badge_and_keep_their_own_separator(market: Market) -> None:
    [order_id] = await market.orders(1)
    for text in ("one", "two"):
        await market.say(market.customer, order_id, text)
    await market.read(market.bob, order_id, 2)
    assert (await badge(market.bob), await badge(market.bea)) == ((0, 0, 0), (0, 0, 0))
    path = f"/v1/orders/{order_id}/messages"
    assert (await market.bob.get(path)).body["first_new_seq"] is None
    assert (await market.bea.get(path)).body["first_new_seq"] == 1
    await market.say(market.bob, order_id, "from Bob")
    assert await badge(market.bea) == (0, 0, 0)
    page = (await market.bea.get(path)).body
    assert [(item["mine"], item["new"]) for item in page["items"]] == [(False, True), (False, True), (False, True)]
    own = (await market.bob.get(path)).body
    assert [(item["mine"], item["new"]) for item in own["items"]] == [(False, False), (False, False), (True, False)]


async def test_two_administrators_share_the_shops_inbox_and_keep_their_own_separator(market: Market) -> None:
    [order_id] = await market.orders(1)
    await market.say(market.customer, order_id)
    path = f"/v1/orders/{order_id}"
    await market.read(market.admin, order_id, 1)
    shown = [(await who.get(path)).body["thread"] for who in (market.admin, market.admin_too)]
    assert [(thread["unread"], thread["new_for_me"]) for thread in shown] == [(0, 0), (0, 1)]
    await market.say(market.admin_too, order_id, "from the second")
    shown = [(await who.get(path)).body["thread"] for who in (market.admin, market.admin_too)]
    assert [(thread["unread"], thread["new_for_me"]) for thread in shown] == [(0, 1), (0, 1)]
    assert await badge(market.customer) == (1, 1, 0)
    assert await badge(market.bob) == (1, 2, 0)


async def test_a_guest_who_becomes_an_account_keeps_history_and_mark(api: Clients, people: People) -> None:
    await api.put_order(order_of_guest("becomes"))
    guest, seller = api.with_token(people.guest("becomes")), api.with_token(people.seller())
    await guest.post("As a guest", order_id="becomes", **PATIENT)
    for text in ("one", "two"):
        assert (await seller.post(text, order_id="becomes", **PATIENT)).status == 201
    assert (await guest.call("PUT", "/v1/orders/becomes/read", {"up_to_seq": 2}, **PATIENT)).status == 200
    assert await badge(guest) == (1, 1, 0)
    assert await ids(guest, "/v1/threads?filter=unread") == ["becomes"]
    account = Customer(id="c-account", name="Ada", email="c-account@example.com")
    await api.put_order(snapshot("becomes", version=2, customer=account))
    customer = api.with_token(people.customer("c-account"))
    assert await badge(customer) == (1, 1, 0)
    history = await customer.history("becomes")
    assert [(item["mine"], item["new"]) for item in history] == [(True, False), (False, False), (False, True)]
    assert (await guest.get("/v1/orders/becomes")).status == 404
    assert (await guest.get("/v1/threads")).body["items"] == []


async def test_one_several_and_all_are_marked_read_and_one_unread_again(market: Market) -> None:
    order_ids = await market.orders(4)
    for order_id in order_ids:
        await market.say(market.customer, order_id)
    assert await badge(market.bob) == (4, 4, 0)
    assert (await market.read(market.bob, order_ids[0], 1)).body["unread"] == 0
    assert await badge(market.bob) == (3, 3, 0)
    two = {"threads": [{"order_id": order_id, "up_to_seq": 1} for order_id in order_ids[1:3]]}
    several = await market.bob.call("POST", "/v1/threads/read", two, **PATIENT)
    assert (several.status, several.body["marked"]) == (200, 2)
    assert await ids(market.bob, "/v1/threads?filter=unread") == [order_ids[3]]
    everything = await market.bob.call("POST", "/v1/threads/read", {"all": True}, **PATIENT)
    assert (everything.status, everything.body["marked"]) == (200, 1)
    assert (await badge(market.bob), await ids(market.bob, "/v1/threads?filter=unread")) == ((0, 0, 0), [])
    assert (await market.read(market.bob, order_ids[1], 0)).body["unread"] == 1
    assert (await badge(market.bob), await ids(market.bob, "/v1/threads?filter=unread")) == ((1, 1, 0), [order_ids[1]])


async def test_ones_own_messages_are_never_new(market: Market) -> None:
    [order_id] = await market.orders(1)
    await market.say(market.customer, order_id, "one")
    await market.say(market.customer, order_id, "two")
    assert await badge(market.customer) == (0, 0, 0)
    page = (await market.customer.get(f"/v1/orders/{order_id}/messages")).body
    assert (page["first_new_seq"], [item["new"] for item in page["items"]]) == (None, [False, False])
    await market.say(market.bob, order_id, "three")
    await market.say(market.customer, order_id, "four")
    assert await badge(market.customer) == (1, 1, 0)
    assert (await market.customer.get(f"/v1/orders/{order_id}/messages")).body["first_new_seq"] == 3


async def test_badges_count_open_disputes_of_both_sides(market: Market) -> None:
    first, second = await market.orders(2)
    await market.dispute(first)
    await market.dispute(second)
    assert (await badge(market.customer), await badge(market.bob)) == ((0, 0, 2), (2, 2, 2))
    await market.dispute(first, "/close", outcome="withdrawn")
    assert (await badge(market.customer), await badge(market.bob)) == ((0, 0, 1), (2, 3, 1))


async def test_a_get_changes_nothing(market: Market) -> None:
    [order_id] = await market.orders(1)
    await market.say(market.customer, order_id)
    before = (await market.bob.get(f"/v1/orders/{order_id}")).body
    for path in ("/v1/me", "/v1/orders", "/v1/threads", f"/v1/orders/{order_id}", f"/v1/orders/{order_id}/messages"):
        for _ in range(2):
            assert (await market.bob.get(path)).status == 200
    assert (await market.bob.get(f"/v1/orders/{order_id}")).body == before
    assert await badge(market.bob) == (1, 1, 0)


async def test_an_order_at_ones_fingertips_says_what_its_reader_may_do(market: Market) -> None:
    [order_id] = await market.orders(1)
    path = f"/v1/orders/{order_id}"
    party = ["post", "mark_read"]
    everybody = [market.customer, market.bob, market.admin]
    before = [(await who.get(path)).body["available_actions"] for who in everybody]
    opening = ["post", "open_dispute", "mark_read"]
    assert before == [opening, party, [*opening, "redact", "watch"]]
    await market.dispute(order_id)
    after = [(await who.get(path)).body["available_actions"] for who in everybody]
    closing = ["post", "close_dispute", "mark_read"]
    assert after == [closing, party, [*closing, "redact", "watch"]]
    order = (await market.bob.get(path)).body["order"]
    assert (order["total"], order["items"][0]["name"], order["status"]) == ("39.80", "Lamp", "placed")
    assert "@" not in str(order)


async def test_a_changed_order_shows_in_every_list(market: Market, api: Clients) -> None:
    [order_id] = await market.orders(1)
    both = {"customer": f"c-{market.name}", "seller": f"s-{market.name}"}
    await api.put_order(order_of(order_id, version=2, status="shipped", **both))

    async def is_shipped() -> bool:
        found = [await rows(who, "/v1/orders") for who in (market.customer, market.bob)]
        return [[row["order"]["status"] for row in each] for each in found] == [["shipped"], ["shipped"]]

    await eventually(is_shipped)
