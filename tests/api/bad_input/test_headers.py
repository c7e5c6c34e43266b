"""Headers, addresses and methods that are not as they must be."""

from typing import Final

import aiohttp
import pytest

from tests.api.bad_input.places import MESSAGES, PATH, PATIENT, assert_refused
from tests.api.people import People, order_of
from tests.e2e.client import Client, Clients
from tests.servers.parley import Parley

GOOD: Final = {"text": "Hello"}


async def test_a_stale_picture_of_the_dispute_is_refused_and_says_how_it_stands(api: Clients, people: People) -> None:
    await api.put_order(order_of("5000"))
    customer, admin = api.with_token(people.customer()), api.with_token(people.admin())
    path = "/v1/orders/5000/dispute"
    opened = await customer.call("POST", path, {"reason": "damaged", "text": "Broken"}, If_Match='"none"', **PATIENT)
    seen = opened.headers["etag"]
    stale = await customer.call("POST", path, {"reason": "other", "text": "Again"}, If_Match='"none"', **PATIENT)
    assert (stale.status, stale.problem, stale.body["state"]["etag"]) == (412, "precondition_failed", seen)
    closed = await admin.call("POST", f"{path}/close", {"outcome": "refunded"}, If_Match=seen, **PATIENT)
    assert closed.status == 200
    late = await customer.call("POST", f"{path}/close", {"outcome": "resolved"}, If_Match=seen, **PATIENT)
    assert (late.status, late.problem, late.body["state"]["dispute"]) == (412, "precondition_failed", "closed")
    again = await customer.call("POST", f"{path}/close", {"outcome": "resolved"}, **PATIENT)
    assert (again.status, again.problem) == (409, "conflict")


@pytest.mark.parametrize("etag", ["none", '"a" "b"', '"', "", f'"{"x" * 1_000}"', '{"$ne":null}', '"a", *'])
async def test_an_if_match_that_is_no_list_of_etags_is_refused(customer: Client, etag: str) -> None:
    answer = await customer.call("POST", f"{PATH}/dispute/close", {"outcome": "refunded"}, If_Match=etag)
    assert_refused(answer, name="If-Match")


async def test_an_if_match_may_be_a_list_and_a_weak_tag_in_it_never_matches(api: Clients, people: People) -> None:
    """RFC 9110, 13.1.1: the list is gone through; a proxy that makes tags weak has taken away what they are good for here."""
    await api.put_order(order_of("5001"))
    customer, path = api.with_token(people.customer()), "/v1/orders/5001/dispute"
    opened = await customer.call(
        "POST", path, {"reason": "damaged", "text": "Broken"}, If_Match='"x", "none"', **PATIENT
    )
    seen = opened.headers["etag"]
    for stale in (f"W/{seen}", f'"nope", W/{seen}', '"nope", "none"'):
        refused = await customer.call("POST", f"{path}/close", {"outcome": "resolved"}, If_Match=stale, **PATIENT)
        assert (refused.status, refused.problem, refused.body["state"]["etag"]) == (412, "precondition_failed", seen)
    closed = await customer.call("POST", f"{path}/close", {"outcome": "resolved"}, If_Match=f'"nope",{seen}', **PATIENT)
    assert closed.status == 200, closed


@pytest.mark.parametrize("key", ["", "x" * 256, "schlüssel", "tab\there"])
async def test_a_bad_idempotency_key_is_refused(customer: Client, key: str) -> None:
    assert_refused(await customer.call("POST", MESSAGES, GOOD, Idempotency_Key=key), name="Idempotency-Key")


async def test_two_idempotency_keys_are_refused(shop: Parley, api: Clients, people: People) -> None:
    headers = [("Idempotency-Key", "a"), ("Idempotency-Key", "b"), ("Authorization", f"Bearer {people.customer()}")]
    async with (
        aiohttp.ClientSession() as session,
        session.post(f"{shop.gateway_url}{MESSAGES}", json=GOOD, headers=headers) as answer,
    ):
        assert answer.status == 422


@pytest.mark.parametrize(
    "prefer", ["wait=soon", "wait=-1", "wait=", ";;;", "wait=99999999999999999999", "respond-sync", ","]
)
async def test_a_preference_that_cannot_be_understood_is_ignored(customer: Client, prefer: str) -> None:
    answer = await customer.call("PUT", f"{PATH}/read", {"up_to_seq": 0}, Prefer=prefer)
    assert answer.status == 200, answer


@pytest.mark.parametrize(
    ("header", "length", "status"),
    [("Prefer", 201, 422), ("X-Anything", 17_000, 431), ("Cookie", 17_000, 431), ("Authorization", 9_000, 401)],
)
async def test_a_header_that_is_too_long_is_refused(
    api: Clients, people: People, header: str, length: int, status: int
) -> None:
    client = api.with_token(people.customer())
    value = f"Bearer {'x' * length}" if header == "Authorization" else "x" * length
    answer = await client.call("PUT", f"{PATH}/read", {"up_to_seq": 0}, **{header: value})
    assert answer.status == status, answer


async def test_an_address_that_is_too_long_is_refused(customer: Client) -> None:
    for path in (f"/v1/orders/{'x' * 2_000}", f"/v1/orders?q={'x' * 5_000}"):
        answer = await customer.get(path)
        assert (answer.status, answer.problem) == (414, "address_too_long")


async def test_a_method_that_an_address_does_not_take_is_refused_with_those_that_it_takes(customer: Client) -> None:
    answer = await customer.call("PATCH", f"{PATH}/watch")
    assert (answer.status, answer.headers["allow"]) == (405, "DELETE, PUT")
