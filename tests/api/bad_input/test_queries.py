"""Queries, cursors and order numbers that are not as they must be."""

import pytest

from tests.api.bad_input.places import MESSAGES, assert_refused
from tests.api.people import People
from tests.e2e.client import Client, Clients


@pytest.mark.parametrize(
    ("query", "name"),
    [
        ("filter=mine", "filter"),
        ("filter=", "filter"),
        ("filter=Unread", "filter"),
        ("sort=oldest", "sort"),
        ("limit=0", "limit"),
        ("limit=10000", "limit"),
        ("limit=101", "limit"),
        ("limit=-1", "limit"),
        ("limit=1.5", "limit"),
        ("limit=ten", "limit"),
        ("q=", "q"),
        ("q=%20%20", "q"),
        ("q=%00", "q"),
        (f"q={'x' * 101}", "q"),
        ("customer_id=c-8", "customer_id"),
        ("filter[$ne]=null", "filter[$ne]"),
        ('filter={"$ne":null}', "filter"),
        ('limit={"$ne":null}', "limit"),
        ("cursor=", "cursor"),
        ("cursor=never-one-of-ours", "cursor"),
        ('cursor={"$ne":null}', "cursor"),
        (f"cursor={'x' * 600}", "cursor"),
        (f"cursor={'x' * 2000}", "cursor"),
    ],
)
async def test_a_bad_query_of_a_list_is_refused_with_the_parameter(customer: Client, query: str, name: str) -> None:
    assert_refused(await customer.get(f"/v1/threads?{query}"), name=name)


async def test_what_looks_like_a_query_to_mongodb_is_only_looked_for(customer: Client) -> None:
    answer = await customer.get('/v1/threads?q={"$ne":null}')
    assert (answer.status, answer.body["items"]) == (200, [])


@pytest.mark.parametrize(
    ("query", "name"),
    [
        ("limit=0", "limit"),
        ("limit=10000", "limit"),
        ("before_seq=0", "before_seq"),
        ("before_seq=-1", "before_seq"),
        (f"after_seq={2**53 + 1}", "after_seq"),
        ("after_seq=1&before_seq=9", ""),
        ("after_seq[$gt]=0", "after_seq[$gt]"),
        ('before_seq={"$ne":null}', "before_seq"),
        ("seq=1", "seq"),
    ],
)
async def test_a_bad_query_of_a_history_is_refused_with_the_parameter(customer: Client, query: str, name: str) -> None:
    assert_refused(await customer.get(f"{MESSAGES}?{query}"), name=name)


async def test_a_cursor_counts_only_as_it_was_given_and_where_it_was_given(api: Clients, people: People) -> None:
    customer = api.with_token(people.customer())
    page = await customer.get("/v1/threads?limit=1")
    following = page.body["next"]
    assert (await customer.get(following)).status == 200
    base, cursor = following.split("cursor=")
    changed = [
        cursor[:position] + ("A" if cursor[position] != "A" else "B") + cursor[position + 1 :]
        for position in (0, 5, 20, 40, -2)
    ]
    for tampered in [*changed, cursor[:-1], cursor + "A", cursor.swapcase(), cursor[::-1]]:
        assert_refused(await customer.get(f"{base}cursor={tampered}"), name="cursor")
    elsewhere = [
        f"/v1/orders?limit=1&cursor={cursor}",
        f"/v1/threads?limit=1&filter=unread&cursor={cursor}",
        f"/v1/threads?limit=1&sort=waiting&cursor={cursor}",
        f"/v1/threads?limit=1&q=1042&cursor={cursor}",
    ]
    for path in elsewhere:
        assert_refused(await customer.get(path), name="cursor")
    for stranger in (people.customer("c-8"), people.seller(), people.admin(), people.guest("3000")):
        assert_refused(await api.with_token(stranger).get(following), name="cursor")


@pytest.mark.parametrize(
    "order_id", ["", " ", "%00", "..%2F1042", "a" * 65, "%7B%22$ne%22:null%7D", "-1", "1042%20", "ä"]
)
async def test_what_is_no_order_number_is_no_order(customer: Client, order_id: str) -> None:
    answer = await customer.get(f"/v1/orders/{order_id}/messages")
    assert (answer.status, answer.problem) in [(422, "invalid_request"), (404, "not_found")], answer
