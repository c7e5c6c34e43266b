"""Key rotation against a real HTTP server: what the shop publishes, withdraws, and cannot answer for a while."""

import asyncio
import json
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import aiohttp
import jwt
import pytest
from aiohttp import web
from cryptography.hazmat.primitives.asymmetric import rsa

from deploy.local.ports import LOOPBACK, free_port
from shared.errors import ProblemError
from shared.jwks import MAX_DOCUMENT_BYTES, fetch_document
from shared.key_sets import JwksKeys
from shared.tokens import KEEP_CHECKED_S, CheckedTokens, Tokens, Trust
from tests.integration.gateway.conftest import Api, environment
from tests.integration.gateway.standins import QueryApi
from tests.servers.rabbitmq import Vhost
from tests.servers.services import ServiceProcess
from tests.servers.waiting import eventually

KEYS = {kid: rsa.generate_private_key(public_exponent=65537, key_size=2048) for kid in ("old", "new")}
KEEP_S, AT_MOST_EVERY_S = 300.0, 10.0


def jwk(kid: str) -> dict[str, Any]:
    maker = jwt.get_algorithm_by_name("RS256")
    public: dict[str, Any] = json.loads(maker.to_jwk(KEYS[kid].public_key()))
    return public | {"kid": kid, "alg": "RS256", "use": "sig"}


def token(kid: str, *, life_s: float = 3_600, named: str | None = None) -> str:
    claims = {"iss": "shop", "aud": "parley", "sub": "c-7", "role": "customer", "exp": int(time.time() + life_s)}
    return jwt.encode(claims, KEYS[kid], algorithm="RS256", headers={"kid": named or kid})


class Shop:
    """The shop's JWKS address. `answer` is sent as it is; `open` lets it be sent at all."""

    def __init__(self) -> None:
        self.fetches, self.status, self.port = 0, 200, 0
        self.open = asyncio.Event()
        self.open.set()
        self.publish("old")

    @property
    def url(self) -> str:
        return f"http://{LOOPBACK}:{self.port}/keys"

    def publish(self, *kids: str) -> None:
        self.answer = json.dumps({"keys": [jwk(kid) for kid in kids]}).encode()

    async def handle(self, _: web.Request) -> web.Response:
        self.fetches += 1
        await self.open.wait()
        headers = {"Location": f"{self.url}/moved"} if self.status == 302 else {}
        return web.Response(body=self.answer, status=self.status, content_type="application/json", headers=headers)


@pytest.fixture
async def shop() -> AsyncIterator[Shop]:
    shop = Shop()
    app = web.Application()
    app.router.add_get("/keys", shop.handle)
    app.router.add_get("/keys/moved", shop.handle)
    runner = web.AppRunner(app, shutdown_timeout=0.1)
    await runner.setup()
    await web.TCPSite(runner, LOOPBACK, 0).start()
    shop.port = runner.addresses[0][1]
    yield shop
    shop.open.set()
    await runner.cleanup()


class Clock:
    """Seconds that pass when a test says so."""

    def __init__(self) -> None:
        self.now = 1_000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def checker(shop: Shop, clock: Clock) -> Tokens:
    keys = JwksKeys(lambda: fetch_document(shop.url), keep_s=KEEP_S, at_most_every_s=AT_MOST_EVERY_S, clock=clock)
    return Tokens([Trust("shop", ("parley",), keys)], link_secret="a-link-secret-of-more-than-32-bytes")


async def status(checker: Tokens | CheckedTokens, sent: str) -> int:
    try:
        await checker.check(sent)
    except ProblemError as error:
        return error.problem.status
    return 200


async def test_a_new_key_counts_as_soon_as_a_token_names_it(shop: Shop, clock: Clock, checker: Tokens) -> None:
    assert await status(checker, token("old")) == 200
    shop.publish("old", "new")
    clock.now += AT_MOST_EVERY_S + 1
    assert await status(checker, token("new")) == 200
    assert await status(checker, token("old")) == 200
    assert shop.fetches == 2


async def test_a_withdrawn_key_is_refused_once_the_kept_ones_are_old(shop: Shop, clock: Clock, checker: Tokens) -> None:
    assert await status(checker, token("old")) == 200
    shop.publish("new")
    clock.now += KEEP_S - 1
    assert await status(checker, token("old")) == 200
    clock.now += 2
    assert await status(checker, token("old")) == 401
    assert await status(checker, token("new")) == 200


async def test_with_checked_tokens_kept_a_withdrawn_key_is_refused_a_minute_later_at_most(
    shop: Shop, clock: Clock, checker: Tokens
) -> None:
    wall = Clock()
    wall.now = time.time()
    kept = CheckedTokens(checker, clock=wall)
    sent = token("old")
    assert await status(kept, sent) == 200
    shop.publish("new")
    clock.now += KEEP_S + 1
    wall.now += KEEP_CHECKED_S - 1
    assert await status(kept, sent) == 200
    assert await status(kept, token("old", life_s=3_601)) == 401
    wall.now += 2
    assert await status(kept, sent) == 401


async def test_a_kept_token_is_asked_about_again_after_its_time(shop: Shop, checker: Tokens) -> None:
    """Half a minute later, that is: clocks may differ by so much."""
    wall = Clock()
    wall.now = time.time()
    kept = CheckedTokens(checker, clock=wall)
    sent = token("old", life_s=-26)  # so that its time ends within seconds
    assert await status(kept, sent) == 200
    wall.now += 5
    await eventually(lambda: time.time() > wall.now)
    assert await status(kept, sent) == 401


@pytest.mark.parametrize(
    ("code", "answer"),
    [
        (500, b"{}"),
        (302, b""),
        (200, b"<html>"),
        (200, b"[]"),
        (200, b"{}"),
        (200, b'{"keys": 5}'),
        (200, b'{"keys": [5, null, {}, {"kty": "RSA"}]}'),
        (200, b'{"keys": [{"kty": "oct", "k": "AAAA", "kid": "old"}]}'),
        (200, b"[" * 100_000),
        (200, b" " * (MAX_DOCUMENT_BYTES + 1)),
    ],
    ids=["500", "redirect", "html", "list", "no keys", "number", "nonsense", "secret", "deep", "huge"],
)
async def test_known_keys_stay_good_while_the_shop_has_none_to_give(
    shop: Shop, clock: Clock, checker: Tokens, code: int, answer: bytes
) -> None:
    assert await status(checker, token("old")) == 200
    shop.status, shop.answer = code, answer
    clock.now += KEEP_S + 1
    assert await status(checker, token("old")) == 200
    assert await status(checker, token("new")) == 401
    shop.status = 200
    shop.publish("new")
    clock.now += KEEP_S + 1
    assert await status(checker, token("new")) == 200
    assert await status(checker, token("old")) == 401


async def test_a_set_without_keys_withdraws_them_all(shop: Shop, clock: Clock, checker: Tokens) -> None:
    assert await status(checker, token("old")) == 200
    shop.publish()
    clock.now += KEEP_S + 1
    assert await status(checker, token("old")) == 401
    shop.publish("new")
    clock.now += AT_MOST_EVERY_S + 1
    assert await status(checker, token("new")) == 200


async def test_known_keys_that_nobody_confirms_end_after_a_day(shop: Shop, clock: Clock, checker: Tokens) -> None:
    assert await status(checker, token("old")) == 200
    shop.status = 500
    for hours, expected in ((23, 200), (1.1, 503)):
        clock.now += hours * 3_600
        assert await status(checker, token("old")) == expected
    shop.status = 200
    clock.now += AT_MOST_EVERY_S + 1
    assert await status(checker, token("old")) == 200


async def test_before_the_first_keys_everybody_is_asked_to_come_again_and_one_fetch_a_second_is_made(
    shop: Shop, clock: Clock, checker: Tokens
) -> None:
    shop.status = 500
    assert {await status(checker, token("old")) for _ in range(20)} == {503}
    assert shop.fetches == 1
    shop.status = 200
    clock.now += 1.5
    assert await status(checker, token("old")) == 200


async def test_unknown_keys_by_the_hundred_cause_one_fetch(shop: Shop, clock: Clock, checker: Tokens) -> None:
    assert await status(checker, token("old")) == 200
    clock.now += AT_MOST_EVERY_S + 1
    sent = [token("old", named=f"made-up-{number}") for number in range(300)]
    assert set(await asyncio.gather(*(status(checker, each) for each in sent))) == {401}
    assert shop.fetches == 2
    clock.now += AT_MOST_EVERY_S - 1
    assert await status(checker, sent[0]) == 401
    assert shop.fetches == 2


async def test_all_who_come_while_the_first_keys_are_fetched_get_in_with_that_one_fetch(
    shop: Shop, checker: Tokens
) -> None:
    shop.open.clear()
    waiting = [asyncio.create_task(status(checker, token("old"))) for _ in range(50)]
    await eventually(lambda: shop.fetches == 1)
    shop.open.set()
    assert set(await asyncio.gather(*waiting)) == {200}
    assert shop.fetches == 1


async def test_who_has_a_known_key_does_not_wait_for_a_fetch_that_another_began(
    shop: Shop, clock: Clock, checker: Tokens
) -> None:
    assert await status(checker, token("old")) == 200
    clock.now += AT_MOST_EVERY_S + 1
    shop.open.clear()
    stranger = asyncio.create_task(status(checker, token("old", named="made-up")))
    await eventually(lambda: shop.fetches == 2)
    clock.now += KEEP_S
    assert await status(checker, token("old")) == 200
    assert not stranger.done()
    shop.open.set()
    assert await stranger == 401


async def test_a_gateway_follows_the_shops_rotation(shop: Shop, vhost: Vhost, tmp_path: Path) -> None:
    """The same through the HTTP API of a gateway that runs for real, with the settings of production."""
    async with QueryApi(free_port()).serving() as query_api, aiohttp.ClientSession() as session:
        query_api.answers["/v1/me"] = (200, b"{}", {})
        settings = environment(vhost, query_api) | {"TOKEN_DEMO_SECRET": "", "TOKEN_JWKS_URL": shop.url}
        gateway = ServiceProcess("gateway", settings, directory=tmp_path).start()
        try:
            api = Api(await gateway.ready(), session)
            assert (await api.call("GET", "/v1/me", bearer=token("old"))).status == 200
            strange = [token("new"), *(token("old", named=f"made-up-{number}") for number in range(50))]
            answers = await asyncio.gather(*(api.call("GET", "/v1/me", bearer=each) for each in strange))
            assert {answer.status for answer in answers} == {401}
            assert shop.fetches == 1
        finally:
            gateway.kill()


async def test_a_gateway_takes_the_tokens_of_several_issuers_each_by_its_rules(
    shop: Shop, vhost: Vhost, tmp_path: Path
) -> None:
    """The customers' shop beside the staff's identity provider, which calls its role otherwise and its audience by the client's id."""
    shop.publish("old", "new")
    issuers: list[dict[str, Any]] = [
        {"issuer": "shop", "jwks_url": shop.url, "roles": ["customer"]},
        {
            "issuer": "https://login.example/tenant",
            "jwks_url": shop.url,
            "audience": "client-1",
            "audience_claim": "azp",
            "roles": ["admin"],
            "role_claim": "roles",
            "role_map": {"Shop.Staff": "admin"},
            "id_claim": "oid",
        },
    ]
    staff = {"iss": issuers[1]["issuer"], "azp": "client-1", "roles": ["Shop.Staff"], "oid": "o-1", "sub": "pairwise"}
    tokens = {
        "customer": token("old"),
        "staff": jwt.encode(staff | {"exp": time.time() + 60}, KEYS["new"], algorithm="RS256", headers={"kid": "new"}),
        "customer as staff": jwt.encode(
            staff | {"iss": "shop", "aud": "parley", "exp": time.time() + 60, "role": "admin"},
            KEYS["old"],
            algorithm="RS256",
            headers={"kid": "old"},
        ),
    }
    async with QueryApi(free_port()).serving() as query_api, aiohttp.ClientSession() as session:
        query_api.answers["/v1/me"] = (200, b"{}", {})
        settings = environment(vhost, query_api) | {"TOKEN_DEMO_SECRET": "", "TOKEN_ISSUER": ""}
        gateway = ServiceProcess(
            "gateway", settings | {"TOKEN_ISSUERS": json.dumps(issuers)}, directory=tmp_path
        ).start()
        try:
            api = Api(await gateway.ready(), session)
            seen = {name: (await api.call("GET", "/v1/me", bearer=each)).status for name, each in tokens.items()}
            assert seen == {"customer": 200, "staff": 200, "customer as staff": 401}
            assert shop.fetches == 1
        finally:
            gateway.kill()
