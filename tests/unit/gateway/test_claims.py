"""Claims as other people's identity providers issue them: by settings where they say who somebody is, by nothing where they are only shown."""

import json
import time
from typing import Any

import jwt
import pytest
import structlog
from cryptography.hazmat.primitives.asymmetric import rsa

from shared.claims import ClaimRules
from shared.errors import ProblemError
from shared.issuers import Issuer, read_issuers, read_role_map
from shared.key_sets import DemoKeys, JwksKeys
from shared.tokens import SignedIn, Tokens, Trust

SECRET = "a-demo-secret-of-more-than-32-bytes"
LINK_SECRET = "a-link-secret-of-more-than-32-bytes"


def claims(**changes: Any) -> dict[str, Any]:
    whole = {"iss": "shop", "aud": "parley", "sub": "c-7", "role": "customer", "name": "Ada", "exp": time.time() + 60}
    return {name: value for name, value in (whole | changes).items() if value is not None}


async def check(said: dict[str, Any], **issuer: Any) -> SignedIn:
    """What a token with these claims is to an issuer with these settings."""
    trusted = Issuer(issuer="shop", **issuer)
    trust = Trust("shop", trusted.audiences, DemoKeys(SECRET), trusted.rules, trusted.audience_claim)
    return await Tokens([trust], link_secret=LINK_SECRET).check(jwt.encode(said, SECRET))


async def refusal(said: dict[str, Any], **issuer: Any) -> str:
    with pytest.raises(ProblemError) as raised:
        await check(said, **issuer)
    assert raised.value.problem.status == 401
    return raised.value.problem.detail


# What is only shown never locks anybody out


@pytest.mark.parametrize(
    ("claim", "given", "becomes"),
    [
        ("email", "", None),
        ("email", "not an address", None),
        ("email", 5, None),
        ("email", "ada@example.com", "ada@example.com"),
        ("locale", "", None),
        ("locale", "C", None),
        ("locale", ["de"], None),
        ("locale", "en_US.UTF-8", "en_US"),
        ("locale", "en_US@posix", "en_US"),
        ("locale", "de-DE-u-co-phonebk", "de-DE"),
        ("locale", "en-US,en;q=0.9", "en-US"),
        ("locale", "verylonglanguage", None),
        ("locale", "de-AT", "de-AT"),
        ("name", "x" * 250, "x" * 200),
        ("name", "", "c-7"),
        ("name", "  ", "c-7"),
        ("name", "a\r\nb", "a b"),
        ("name", "\x00\x1b", "c-7"),
        ("name", {"first": "Ada"}, "c-7"),
        ("name", ["Ada"], "c-7"),
    ],
)
async def test_a_claim_that_is_only_shown_is_cut_or_left_out(claim: str, given: Any, becomes: str | None) -> None:
    with structlog.testing.capture_logs() as logged:
        signed_in = await check(claims(**{claim: given}))
    shown = {"email": signed_in.email, "locale": signed_in.locale, "name": signed_in.caller.name}
    assert (signed_in.caller.id, shown[claim]) == ("c-7", becomes)
    told = [line for line in logged if line["event"] == "claims_not_used_as_they_are"]
    assert [line["claims"] for line in told] == ([] if given == becomes else [(claim,)])
    assert not given or given == becomes or str(given) not in str(told)


async def test_a_claim_that_is_null_or_missing_is_nothing_to_say_of() -> None:
    with structlog.testing.capture_logs() as logged:
        signed_in = await check(claims(name=None))
    assert (signed_in.caller.name, signed_in.email, logged) == ("c-7", None, [])


# Who somebody is, as these products say it (their documentation; the names are made up)

KEYCLOAK = {
    "aud": ["parley", "account"],
    "azp": "shop-web",
    "role": None,
    "realm_access": {"roles": ["default-roles-shop", "offline_access", "shop-vendor"]},
    "resource_access": {"shop.web": {"roles": ["clerk"]}},
    "vendor_id": 42,
}
AUTH0 = {"role": None, "https://shop.example/role": "admin", "https://shop.example/name": "Bea", "azp": "abc"}
ENTRA = {"role": None, "roles": ["Shop.Staff"], "azp": "11111111-2222", "oid": "a-stable-id", "ver": "2.0"}
COGNITO = {"aud": None, "client_id": "6q7e", "token_use": "access", "role": None, "cognito:groups": ["customers"]}


@pytest.mark.parametrize(
    ("said", "issuer", "who"),
    [
        (
            KEYCLOAK,
            {
                "role_claim": "realm_access.roles",
                "role_map": {"shop-admin": "admin", "shop-vendor": "seller"},
                "seller_claim": "vendor_id",
            },
            ("seller", "c-7", "42", "Ada"),
        ),
        (
            KEYCLOAK,
            {"role_claim": "resource_access.shop.web.roles", "role_map": {"clerk": "admin"}},
            ("admin", "c-7", None, "Ada"),
        ),
        (
            AUTH0,
            {"role_claim": "https://shop.example/role", "name_claim": "https://shop.example/name"},
            ("admin", "c-7", None, "Bea"),
        ),
        (
            ENTRA,
            {
                "role_claim": "roles",
                "role_map": {"Shop.Staff": "admin"},
                "id_claim": "oid",
                "audience_claim": "azp",
                "audience": "11111111-2222",
            },
            ("admin", "a-stable-id", None, "Ada"),
        ),
        (
            COGNITO,
            {
                "role_claim": "cognito:groups",
                "role_map": {"customers": "customer"},
                "audience_claim": "client_id",
                "audience": "6q7e",
            },
            ("customer", "c-7", None, "Ada"),
        ),
        ({"role": None}, {"default_role": "customer"}, ("customer", "c-7", None, "Ada")),
        ({"role": ["customer"]}, {}, ("customer", "c-7", None, "Ada")),
        ({"role": "seller", "seller_id": ["s-1"]}, {}, ("seller", "c-7", "s-1", "Ada")),
        ({"customer_number": 1001}, {"id_claim": "customer_number"}, ("customer", "1001", None, "Ada")),
        ({"aud": "web"}, {"audience": ["app", "web"]}, ("customer", "c-7", None, "Ada")),
    ],
    ids=[
        "Keycloak realm",
        "Keycloak client",
        "Auth0",
        "Entra",
        "Cognito",
        "default",
        "array",
        "list",
        "number",
        "audiences",
    ],
)
async def test_identity_is_read_where_the_settings_say(
    said: Any, issuer: Any, who: tuple[str, str, str | None, str]
) -> None:
    caller = (await check(claims(**said), **issuer)).caller
    assert (caller.role, caller.id, caller.seller_id, caller.name) == who


@pytest.mark.parametrize(
    ("said", "issuer", "named"),
    [
        ({}, {"role_claim": "realm_access.roles"}, "realm_access.roles"),
        (KEYCLOAK, {"role_claim": "realm_access.roles"}, "realm_access.roles must be customer"),
        ({"role": "admin"}, {"role_map": {"shop-admin": "admin"}}, "role must be shop-admin"),
        ({"role": ["customer", "seller"]}, {}, "several roles (customer, seller)"),
        ({"role": "admin"}, {"roles": ["customer"]}, "may not give the role admin"),
        ({"role": None}, {"roles": ["seller"], "default_role": "customer"}, "may not give the role customer"),
        ({"role": "guest"}, {}, "role must be"),
        ({"role": "seller"}, {"seller_claim": "vendor.id"}, "vendor.id is missing"),
        ({"role": "seller", "seller_id": "~shop"}, {}, "seller_id names the shop itself"),
        ({"role": "seller", "seller_id": "x" * 129}, {}, "seller_id must be 1 to 128"),
        ({"oid": "a\nb"}, {"id_claim": "oid"}, "oid must be"),
        ({}, {"id_claim": "oid"}, "oid is missing"),
        (COGNITO, {}, "the claim aud"),
        (COGNITO, {"audience_claim": "client_id"}, "the claim client_id"),
        ({"aud": {"parley": 1}}, {}, "the claim aud"),
    ],
)
async def test_an_identity_that_is_not_as_it_must_be_is_refused_with_its_claim(
    said: Any, issuer: Any, named: str
) -> None:
    detail = await refusal(claims(**said), **issuer)
    assert named in detail
    assert "a\nb" not in detail


async def test_the_first_word_of_the_map_that_a_token_has_counts() -> None:
    """Staff have the customers' role too, since everybody has: the operator's order says which one counts."""
    said = claims(role=["customers", "staff"])
    for words, role in ((("staff", "customers"), "admin"), (("customers", "staff"), "customer")):
        known = {"staff": "admin", "customers": "customer"}
        signed_in = await check(said, role_map={word: known[word] for word in words})
        assert signed_in.caller.role == role


# Several issuers


def signed(issuer: str, key: Any, **changes: Any) -> str:
    return jwt.encode(claims(iss=issuer, **changes), key, algorithm="RS256", headers={"kid": issuer})


SHOP_KEY, STAFF_KEY = (rsa.generate_private_key(public_exponent=65537, key_size=2048) for _ in range(2))


def trust(name: str, key: Any, *, audiences: tuple[str, ...] = ("parley",), **rules: Any) -> Trust:
    public = json.loads(jwt.algorithms.RSAAlgorithm.to_jwk(key.public_key())) | {"kid": name}

    async def fetch() -> dict[str, Any]:
        return {"keys": [public]}

    return Trust(name, audiences, JwksKeys(fetch), ClaimRules(**rules))


def both() -> Tokens:
    customers = trust("shop", SHOP_KEY, roles=frozenset({"customer", "seller"}))
    staff = trust("staff", STAFF_KEY, roles=frozenset({"admin"}), role="roles", role_map={"Clerk": "admin"})
    return Tokens([customers, staff], link_secret=LINK_SECRET)


async def test_each_issuer_is_read_by_its_own_rules() -> None:
    tokens = both()
    assert (await tokens.check(signed("shop", SHOP_KEY))).caller.role == "customer"
    assert (await tokens.check(signed("staff", STAFF_KEY, roles=["Clerk"]))).caller.role == "admin"


@pytest.mark.parametrize(
    ("issuer", "key", "said"),
    [
        ("shop", SHOP_KEY, {"role": "admin"}),
        ("shop", STAFF_KEY, {}),
        ("staff", SHOP_KEY, {"roles": ["Clerk"]}),
        ("staff", STAFF_KEY, {"role": "customer"}),
        ("somebody", SHOP_KEY, {}),
    ],
    ids=["role of the other", "key of the other", "name of the other", "claim of the other", "nobody's"],
)
async def test_no_issuer_stands_for_another(issuer: str, key: Any, said: dict[str, Any]) -> None:
    with pytest.raises(ProblemError) as raised:
        await both().check(signed(issuer, key, **said))
    assert raised.value.problem.status == 401


async def test_one_issuer_may_have_applications_with_rules_of_their_own() -> None:
    web = trust("shop", SHOP_KEY, audiences=("web",), roles=frozenset({"customer"}))
    desk = trust("shop", SHOP_KEY, audiences=("desk",), roles=frozenset({"admin"}))
    tokens = Tokens([web, desk], link_secret=LINK_SECRET)
    assert (await tokens.check(signed("shop", SHOP_KEY, aud="desk", role="admin"))).caller.role == "admin"
    for aud, role in (("web", "admin"), ("desk", "customer"), ("other", "customer")):
        with pytest.raises(ProblemError):
            await tokens.check(signed("shop", SHOP_KEY, aud=aud, role=role))


# The settings


@pytest.mark.parametrize(
    ("given", "where"),
    [
        ("{}", "array"),
        ("[", "JSON"),
        ('[{"issuer": "a"}]', "0.jwks_url"),
        ('[{"issuer": "a", "jwks_url": "ftp://x/y"}]', "0.jwks_url"),
        ('[{"issuer": "a", "jwks_url": "https://x/y", "rolls": []}]', "0.rolls"),
        ('[{"issuer": "a", "jwks_url": "https://x/y", "roles": ["guest"]}]', "0.roles.0"),
        ('[{"issuer": "a", "jwks_url": "https://x/y", "role_map": {"x": "boss"}}]', "0.role_map.x"),
        ('[{"issuer": "a", "jwks_url": "https://x/y", "default_role": "admin"}]', "0.default_role"),
    ],
)
def test_a_list_of_issuers_that_is_none_says_where(given: str, where: str) -> None:
    with pytest.raises(ValueError, match="must be a JSON array of issuers") as raised:
        read_issuers(given)
    assert where in str(raised.value)


def test_a_map_of_roles_is_read_pair_by_pair() -> None:
    assert read_role_map(" shop-admin:admin, urn:shop:vendor : seller ") == {
        "shop-admin": "admin",
        "urn:shop:vendor": "seller",
    }
    for wrong in ("admin", "a:boss", ":admin", "a:"):
        with pytest.raises(ValueError, match="pairs like"):
            read_role_map(wrong)
