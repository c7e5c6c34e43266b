"""Tokens that are none, or are for something else (RFC 8725)."""

import time

import aiohttp
import pytest

from tests.api.bad_input.places import ORDER
from tests.api.people import HOUR_S, People, sign
from tests.e2e.client import Clients
from tests.servers.parley import CREDENTIALS, Parley


def bad_tokens(people: People) -> dict[str, str]:
    claims = {"role": "customer", "sub": "c-7", "name": "Ada"}
    now = int(time.time())
    return {
        "no token": "",
        "no JWT": "c-7",
        "unsigned": sign(claims, secret="", algorithm="none"),
        "another algorithm": sign(claims, algorithm="HS512"),
        "another secret": sign(claims, secret="x" * 40),
        "another secret of ours": sign(claims, secret=CREDENTIALS.link_secret),
        "another issuer": sign({**claims, "iss": "somebody"}),
        "another audience": sign({**claims, "aud": "another-service"}),
        "no issuer": sign({**claims, "iss": None}),
        "no audience": sign({**claims, "aud": None}),
        "no expiry": sign({**claims, "exp": None}),
        "no subject": sign({**claims, "sub": None}),
        "no role": sign({**claims, "role": None}),
        "expired": sign({**claims, "exp": now - HOUR_S}),
        "not valid yet": sign({**claims, "nbf": now + HOUR_S}),
        "expired beyond the leeway": sign({**claims, "exp": now - 31}),
        "an expiry in words": sign({**claims, "exp": "tomorrow"}),
        "a subject that is a number": sign({**claims, "sub": 7}),
        "an operator as a subject": sign({**claims, "sub": {"$ne": None}}),
        "an unknown role": sign({**claims, "role": "root"}),
        "a guest by the shop's word": sign({**claims, "role": "guest", "order_id": ORDER}),
        "roles in a list": sign({**claims, "role": ["admin", "customer"]}),
        "an operator as a role": sign({**claims, "role": {"$ne": None}}),
        "an empty subject": sign({**claims, "sub": ""}),
        "a subject too long": sign({**claims, "sub": "x" * 200}),
        "a subject of two lines": sign({**claims, "sub": "c-7\nadmin"}),
        "a seller without a seller": sign({**claims, "role": "seller"}),
        "an operator as a seller": sign({**claims, "role": "seller", "seller_id": {"$ne": None}}),
        "the shop as a seller": sign({**claims, "role": "seller", "seller_id": "~shop"}),
        "another kind (typ)": sign(claims, headers={"typ": "parley-unsubscribe+jwt"}),
        "a guest session that the shop signed": sign(claims, headers={"typ": "parley-guest-session+jwt"}),
        "a guest's link": people.guest_link(ORDER),
        "an unsubscribe token": people.unsubscribe("customer:c-7"),
        "a critical extension": sign(claims, headers={"crit": ["b64"], "b64": False}),
    }


@pytest.mark.filterwarnings("ignore:The HMAC key")
async def test_a_bad_token_opens_neither_the_gateway_nor_threads(shop: Parley, api: Clients, people: People) -> None:
    wrong = []
    for what, token in bad_tokens(people).items():
        for url in (shop.gateway_url, shop.threads_url):
            answer = await api.with_token(None, url=url).get("/v1/me", Authorization=f"Bearer {token}")
            if answer.status != 401 or answer.problem != "unauthenticated" or "www-authenticate" not in answer.headers:
                wrong.append((what, url, answer))
            if len(token) > 20 and token in str(answer.body):
                wrong.append((what, "the token is in the answer", answer))
    assert wrong == []


async def test_a_good_token_counts_in_its_own_header_alone(shop: Parley, api: Clients, people: People) -> None:
    token = people.customer()
    nobody = api.with_token(None)
    assert (await nobody.get("/v1/me", Authorization=f"bearer {token}")).status == 200
    for headers in (
        {"Authorization": f"Basic {token}"},
        {"Authorization": token},
        {"Authorization": f"Bearer {token} {token}"},
        {"Cookie": f"token={token}"},
        {"X_Authorization": f"Bearer {token}"},
    ):
        assert (await nobody.get("/v1/me", **headers)).status == 401, headers
    for name in ("access_token", "token"):
        assert (await nobody.get(f"/v1/orders?{name}={token}")).status == 401
    async with aiohttp.ClientSession() as session:
        twice = [("Authorization", f"Bearer {token}"), ("Authorization", f"Bearer {people.admin()}")]
        async with session.get(f"{shop.gateway_url}/v1/me", headers=twice) as answer:
            assert answer.status == 401


async def test_a_token_of_one_kind_does_not_do_for_another(api: Clients, people: People) -> None:
    nobody = api.with_token(None)
    for token in (people.guest("3000"), people.unsubscribe("guest:3000"), people.customer(), "x"):
        answer = await nobody.call("POST", "/v1/guest-sessions", {"token": token})
        assert (answer.status, answer.problem) == (401, "unauthenticated")
    old = people.guest_link("3000", now=time.time() - 31 * 24 * HOUR_S)
    assert (await nobody.call("POST", "/v1/guest-sessions", {"token": old})).status == 401
    for token in (people.guest("3000"), people.guest_link("3000"), people.customer(), "x"):
        assert (await nobody.call("POST", f"/v1/unsubscribe?token={token}")).status == 404
        assert (await nobody.get(f"/v1/unsubscribe?token={token}")).status == 404
