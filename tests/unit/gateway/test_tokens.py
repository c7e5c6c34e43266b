"""Which tokens count: RFC 8725's rules, one by one."""

import base64
import hashlib
import hmac
import json
import time
from typing import Any

import jwt
import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa

from shared import tokens
from shared.errors import ProblemError
from shared.key_sets import DemoKeys, JwksKeys
from shared.tokens import CheckedTokens, Tokens, Trust

SECRET = "a-demo-secret-of-more-than-32-bytes"
LINK_SECRET = "a-link-secret-of-more-than-32-bytes"
RSA = rsa.generate_private_key(public_exponent=65537, key_size=2048)
PUBLIC_PEM = RSA.public_key().public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)


def checker(*, keys: Any = None) -> CheckedTokens:
    known = Tokens([Trust("shop", ("parley",), keys or DemoKeys(SECRET))], link_secret=LINK_SECRET)
    return CheckedTokens(known)


def jwks() -> JwksKeys:
    key = json.loads(jwt.algorithms.RSAAlgorithm.to_jwk(RSA.public_key())) | {"kid": "k1", "alg": "RS256"}

    async def fetch() -> dict[str, Any]:
        return {"keys": [key]}

    return JwksKeys(fetch)


def claims(**changes: Any) -> dict[str, Any]:
    now = int(time.time())
    whole = {"iss": "shop", "aud": "parley", "sub": "c-7", "role": "customer", "exp": now + 60, "iat": now} | changes
    return {name: value for name, value in whole.items() if value is not None}


def token(*, key: Any = SECRET, algorithm: str = "HS256", headers: dict[str, Any] | None = None, **changes: Any) -> str:
    return jwt.encode(claims(**changes), key, algorithm=algorithm, headers=headers)


async def refusal(sent: str, *, keys: Any = None) -> int:
    with pytest.raises(ProblemError) as raised:
        await checker(keys=keys).check(sent)
    assert len(sent) < 20 or sent not in raised.value.problem.detail
    return raised.value.problem.status


async def test_a_good_token_names_its_caller() -> None:
    signed_in = await checker().check(token(name="Ada"))
    assert (signed_in.caller.key, signed_in.caller.name) == ("customer:c-7", "Ada")


@pytest.mark.parametrize("name", [None, "", " ", "\u200b", "\u202e", "\u2800\u3164"])
async def test_without_a_name_in_which_something_can_be_seen_the_sub_is_shown(name: str | None) -> None:
    signed_in = await checker().check(token(name=name))
    assert signed_in.caller.name == "c-7"


@pytest.mark.parametrize(
    "changes",
    [
        {"iss": "somebody-else"},
        {"iss": None},
        {"aud": "another-service"},
        {"aud": None},
        {"exp": None},
        {"exp": 1_000_000_000},  # in 2001
        {"nbf": 32_503_680_000},  # in 3000
        {"sub": None},
        {"sub": ""},
        {"sub": "x" * 129},
        {"sub": "a\nb"},
        {"role": None},
        {"role": "root"},
        {"role": "guest"},
        {"role": ["customer", "admin"]},
        {"role": {"customer": 1}},
        {"role": "seller"},
        {"role": "seller", "seller_id": ""},
        {"role": "seller", "seller_id": "~shop"},
        {"role": "seller", "seller_id": {"$ne": None}},
        {"role": "seller", "seller_id": 1.5},
        {"role": "seller", "seller_id": True},
        {"role": "seller", "seller_id": ["s-1", "s-2"]},
    ],
    ids=json.dumps,
)
async def test_claims_that_are_not_as_they_must_be_are_refused(changes: dict[str, Any]) -> None:
    assert await refusal(token(**changes)) == 401


def unsigned(algorithm: str) -> str:
    def part(value: dict[str, Any]) -> str:
        return base64.urlsafe_b64encode(json.dumps(value).encode()).rstrip(b"=").decode()

    return f"{part({'alg': algorithm, 'typ': 'JWT'})}.{part(claims())}."


@pytest.mark.parametrize("algorithm", ["none", "None", "NONE", "nOnE"])
async def test_an_unsigned_token_is_refused_however_it_is_spelled(algorithm: str) -> None:
    assert await refusal(unsigned(algorithm)) == 401


@pytest.mark.parametrize("algorithm", ["HS384", "HS512"])
async def test_an_algorithm_that_is_not_on_the_list_is_refused(algorithm: str) -> None:
    long_secret = SECRET * 2
    assert await refusal(token(key=long_secret, algorithm=algorithm), keys=DemoKeys(long_secret)) == 401


async def test_a_token_signed_with_another_key_is_refused() -> None:
    assert await refusal(token(key="another-secret-of-more-than-32-bytes")) == 401


async def test_a_token_that_was_changed_is_refused() -> None:
    head, _, tail = token().split(".")
    body = base64.urlsafe_b64encode(json.dumps(claims(role="admin")).encode()).rstrip(b"=").decode()
    assert await refusal(f"{head}.{body}.{tail}") == 401


async def test_the_shops_published_key_is_taken() -> None:
    signed_in = await checker(keys=jwks()).check(token(key=RSA, algorithm="RS256", headers={"kid": "k1"}))
    assert signed_in.caller.id == "c-7"


async def test_a_public_key_is_no_shared_secret() -> None:
    """RFC 8725, section 2.1: an attacker signs with HMAC and the public key, which everybody knows."""
    part = [
        base64.urlsafe_b64encode(json.dumps(each).encode()).rstrip(b"=")
        for each in ({"alg": "HS256", "typ": "JWT", "kid": "k1"}, claims(role="admin"))
    ]
    signature = base64.urlsafe_b64encode(hmac.digest(PUBLIC_PEM, b".".join(part), hashlib.sha256)).rstrip(b"=")
    assert await refusal(b".".join([*part, signature]).decode(), keys=jwks()) == 401


@pytest.mark.parametrize(
    "headers", [{}, {"kid": "k2"}, {"kid": "../../etc/passwd"}, {"kid": "k1", "jku": "https://evil.example/keys"}]
)
async def test_the_key_is_found_by_its_number_among_the_shops_keys_alone(headers: dict[str, Any]) -> None:
    """A `jku` or `jwk` in the header is not looked at: the third is refused for its signature."""
    other = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    assert await refusal(token(key=other, algorithm="RS256", headers=headers), keys=jwks()) == 401


async def test_a_token_for_another_purpose_is_refused() -> None:
    link = tokens.mint_guest_link("1042", "c-7", "Ada", secret=LINK_SECRET, now=time.time())
    unsubscribe = tokens.mint_unsubscribe("customer:c-7", secret=LINK_SECRET, now=time.time())
    assert await refusal(link) == 401
    assert await refusal(unsubscribe) == 401
    assert await refusal(token(headers={"typ": "parley-guest-session+jwt"})) == 401
    assert await refusal(token(headers={"typ": "secevent+jwt"})) == 401


async def test_a_guest_session_opens_one_thread() -> None:
    link = {"sub": "c-7", "name": "Ada", "order_id": "1042"}
    session = tokens.mint_guest_session(link, secret=LINK_SECRET, now=time.time())
    caller = (await checker().check(session)).caller
    assert (caller.role, caller.order_id, caller.key) == ("guest", "1042", "guest:1042")


@pytest.mark.parametrize("sent", ["", "a", "a.b.c", "é" * 10, "a" * 9_000, "\x00", "{}.{}.{}"])
async def test_what_is_no_token_is_refused(sent: str) -> None:
    assert await refusal(sent) == 401


async def test_a_checked_token_is_remembered_for_a_minute_and_not_beyond_its_end() -> None:
    now = time.time()
    checks = 0

    class Counting(Tokens):
        async def check(self, token: str) -> tokens.SignedIn:
            nonlocal checks
            checks += 1
            return await super().check(token)

    counting = Counting([Trust("shop", ("parley",), DemoKeys(SECRET))], link_secret=LINK_SECRET)
    clock = [now]
    checked = CheckedTokens(counting, clock=lambda: clock[0])
    long_lived, short_lived = token(exp=int(now) + 3600), token(exp=int(now) + 5)
    for moment in (0, 30, 59, 61):
        clock[0] = now + moment
        await checked.check(long_lived)
    assert checks == 2
    await checked.check(short_lived)
    clock[0] = now + 61 + 36
    await checked.check(short_lived)
    assert checks == 4
    of_guest = tokens.mint_guest_session({"sub": "c-7", "name": "Ada", "order_id": "1"}, secret=LINK_SECRET, now=now)
    for moment in (-1, 1):
        clock[0] = now + tokens.GUEST_SESSION_LIFE_S + moment
        await checked.check(of_guest)
    assert checks == 6
