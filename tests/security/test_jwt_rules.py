"""RFC 8725 (JSON Web Token Best Current Practices), rule by rule, with tokens that are right but for one thing.

What concerns claims, `typ` and the allow-list of algorithms in general is in tests/unit/gateway/test_tokens.py.
"""

import base64
import hashlib
import hmac
import itertools
import json
import time
from typing import Any

import jwt
import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa

from services.gateway.settings import GatewaySettings
from services.threads.settings import Settings as ThreadsSettings
from shared import key_sets, tokens
from shared.errors import ProblemError
from shared.key_sets import DemoKeys, JwksKeys, Keys
from shared.settings import BAD_SETTING_EXIT, load
from shared.tokens import MAX_TOKEN_CHARACTERS, SignedIn, Tokens, Trust

SECRET = "a-demo-secret-of-more-than-32-bytes"
LINK_SECRET = "a-link-secret-of-more-than-32-bytes"
RSA = rsa.generate_private_key(public_exponent=65537, key_size=2048)
EC = ec.generate_private_key(ec.SECP256R1())
ED = ed25519.Ed25519PrivateKey.generate()
# Each with a key that is published for it: an RSA key is one's own in as many algorithms as it is published for.
SIGNING: dict[str, Any] = {
    **dict.fromkeys(key_sets.RSA_ALGORITHMS, RSA),
    "ES256": EC,
    "ES384": ec.generate_private_key(ec.SECP384R1()),
    "ES512": ec.generate_private_key(ec.SECP521R1()),
    "EdDSA": ED,
    "Ed25519": ed25519.Ed25519PrivateKey.generate(),
}


def jwk(key: Any, kid: str, algorithm: str, **more: Any) -> dict[str, Any]:
    """The public half, as a shop publishes it."""
    maker = jwt.get_algorithm_by_name(algorithm)
    public: dict[str, Any] = json.loads(maker.to_jwk(key.public_key()))
    return public | {"kid": kid, "alg": algorithm} | more


def published(*keys: dict[str, Any]) -> JwksKeys:
    async def fetch() -> dict[str, Any]:
        return {"keys": list(keys)}

    return JwksKeys(fetch)


def all_keys() -> JwksKeys:
    return published(*(jwk(key, algorithm, algorithm) for algorithm, key in SIGNING.items()))


def claims(**changes: Any) -> dict[str, Any]:
    now = int(time.time())
    whole = {"iss": "shop", "aud": "parley", "sub": "c-7", "role": "customer", "exp": now + 60, "iat": now} | changes
    return {name: value for name, value in whole.items() if value is not None}


def part(value: bytes | dict[str, Any]) -> bytes:
    raw = value if isinstance(value, bytes) else json.dumps(value).encode()
    return base64.urlsafe_b64encode(raw).rstrip(b"=")


def signed(header: bytes | dict[str, Any], body: bytes | dict[str, Any], *, secret: str = SECRET) -> str:
    """A token whose parts are exactly these, with a good MAC over them."""
    content = part(header) + b"." + part(body)
    mac = base64.urlsafe_b64encode(hmac.digest(secret.encode(), content, hashlib.sha256)).rstrip(b"=")
    return (content + b"." + mac).decode()


async def check(token: str, *, keys: Keys | None = None) -> SignedIn:
    checker = Tokens([Trust("shop", ("parley",), keys or DemoKeys(SECRET))], link_secret=LINK_SECRET)
    return await checker.check(token)


async def assert_refused(token: str, *, keys: Keys | None = None) -> str:
    """The reason. Whatever it is, nothing of the token stands in it."""
    with pytest.raises(ProblemError) as raised:
        await check(token, keys=keys)
    problem = raised.value.problem
    assert problem.status == 401
    assert all(piece not in problem.detail for piece in token.split(".") if len(piece) > 8)
    return problem.detail


# 3.1 Perform algorithm verification; 3.2 use appropriate algorithms


@pytest.mark.parametrize("algorithm", SIGNING)
async def test_3_1_each_algorithm_on_the_list_is_taken_with_its_own_key(algorithm: str) -> None:
    token = jwt.encode(claims(), SIGNING[algorithm], algorithm=algorithm, headers={"kid": algorithm})
    assert (await check(token, keys=all_keys())).caller.id == "c-7"


@pytest.mark.parametrize(("named", "used"), list(itertools.permutations(SIGNING, 2)))
async def test_3_1_a_key_verifies_only_the_algorithm_that_it_was_published_for(named: str, used: str) -> None:
    token = jwt.encode(claims(), SIGNING[used], algorithm=used, headers={"kid": named})
    await assert_refused(token, keys=all_keys())


@pytest.mark.parametrize("algorithm", ["ES256K", "Ed448", "HS256", "none", "", None, [], {}, "rs256"])
async def test_3_1_any_other_algorithm_is_refused_whatever_signed_it(algorithm: Any) -> None:
    header = {"alg": algorithm, "typ": "JWT", "kid": "RS256"}
    await assert_refused(signed(header, claims()), keys=all_keys())


@pytest.mark.parametrize("encoding", [serialization.Encoding.PEM, serialization.Encoding.DER])
async def test_3_1_the_public_key_is_no_hmac_secret(encoding: serialization.Encoding) -> None:
    public = RSA.public_key().public_bytes(encoding, serialization.PublicFormat.SubjectPublicKeyInfo)
    content = part({"alg": "HS256", "typ": "JWT", "kid": "RS256"}) + b"." + part(claims(role="admin"))
    mac = base64.urlsafe_b64encode(hmac.digest(public, content, hashlib.sha256)).rstrip(b"=")
    await assert_refused((content + b"." + mac).decode(), keys=all_keys())


async def test_3_1_a_shared_secret_in_the_published_document_is_no_key() -> None:
    secret = {"kty": "oct", "kid": "k", "alg": "HS256", "k": part(SECRET.encode()).decode()}
    keys = published(secret, jwk(RSA, "RS256", "RS256"))
    await assert_refused(signed({"alg": "HS256", "kid": "k"}, claims()), keys=keys)


async def test_3_2_a_key_that_was_published_for_encryption_verifies_nothing() -> None:
    keys = published(jwk(RSA, "k", "RS256", use="enc"), jwk(EC, "other", "ES256", use="sig"))
    await assert_refused(jwt.encode(claims(), RSA, algorithm="RS256", headers={"kid": "k"}), keys=keys)


# 3.3 Validate all cryptographic operations


@pytest.mark.parametrize("algorithm", SIGNING)
@pytest.mark.parametrize("change", ["header", "claims", "signature", "no signature", "signature of another"])
async def test_3_3_a_token_that_was_changed_anywhere_is_refused(algorithm: str, change: str) -> None:
    def make(**more: Any) -> list[str]:
        headers = {"kid": algorithm}
        return jwt.encode(claims(**more), SIGNING[algorithm], algorithm=algorithm, headers=headers).split(".")

    head, body, signature = make()
    match change:
        case "header":
            head = part({"alg": algorithm, "kid": algorithm, "typ": "JWT", "x": 1}).decode()
        case "claims":
            body = part(claims(role="admin")).decode()
        case "signature":
            signature = ("A" if signature[5] != "A" else "B").join((signature[:5], signature[6:]))
        case "no signature":
            signature = ""
        case _:
            signature = make(sub="c-8")[2]
    await assert_refused(".".join((head, body, signature)), keys=all_keys())


@pytest.mark.parametrize("shape", ["{0}.{1}", "{0}.{1}.{2}.{2}", ".{1}.{2}", "{0}..{2}", "{0}\n.{1}.{2}"])
async def test_3_3_what_has_not_three_parts_as_they_must_be_is_refused(shape: str) -> None:
    parts = jwt.encode(claims(), SECRET, algorithm="HS256").split(".")
    await assert_refused(shape.format(*parts))


# 3.4 Validate cryptographic inputs; 3.5 ensure cryptographic keys have sufficient entropy


async def test_3_4_a_point_that_is_not_on_the_curve_is_no_key() -> None:
    bent = jwk(EC, "ES256", "ES256") | {"y": part(b"\x01" * 32).decode()}
    token = jwt.encode(claims(), EC, algorithm="ES256", headers={"kid": "ES256"})
    await assert_refused(token, keys=published(bent, jwk(RSA, "RS256", "RS256")))


async def test_3_5_an_rsa_key_below_2048_bits_is_refused() -> None:
    weak = rsa.generate_private_key(public_exponent=65537, key_size=1024)  # noqa: S505 - that is the point
    with pytest.warns(Warning, match="1024 bits"):
        token = jwt.encode(claims(), weak, algorithm="RS256", headers={"kid": "weak"})
    await assert_refused(token, keys=published(jwk(weak, "weak", "RS256")))


@pytest.mark.parametrize("settings", [GatewaySettings, ThreadsSettings], ids=["gateway", "threads"])
@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("TOKEN_DEMO_SECRET", "short"),
        ("TOKEN_DEMO_SECRET", "x" * 31),
        ("LINK_SECRET", "x" * 31),
        ("LINK_SECRET", ""),
        ("DEMO", "0"),
        ("TOKEN_ISSUER", ""),
        ("TOKEN_JWKS_URL", "https://shop.example/keys"),
        ("TOKEN_JWKS_URL", "ftp://shop.example/keys"),
        ("TOKEN_JWKS_URL", "/keys.json"),
    ],
)
def test_3_5_a_weak_secret_or_a_demo_one_outside_demo_mode_stops_the_start(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], settings: Any, name: str, value: str
) -> None:
    good = {
        "AMQP_URL": "amqp://localhost",
        "MONGO_URL": "mongodb://localhost",
        "THREADS_URL": "http://localhost:8081",
        "HTTP_PORT": "8080",
        "TOKEN_ISSUER": "shop",
        "TOKEN_DEMO_SECRET": SECRET,
        "LINK_SECRET": LINK_SECRET,
        "COMMAND_ID_SECRET": "a-command-id-secret-of-32-bytes-and-more",
        "DEMO": "1",
    }
    for key, each in (good | {name: value}).items():
        monkeypatch.setenv(key, each)
    monkeypatch.delenv("SECRETS_DIR", raising=False)
    with pytest.raises(SystemExit) as ended:
        load(settings)
    said = capsys.readouterr().err
    assert ended.value.code == BAD_SETTING_EXIT
    assert "bad setting" in said
    assert len(value) < 4 or value not in said


# 3.7 Use UTF-8; 3.8 validate issuer and subject; 3.9 use and validate audience


@pytest.mark.parametrize("body", [b"\xff\xfe{}", b'"text"', b"[]", b"null", b"{", b"", b"[" * 5_000, b'{"a":' * 2_000])
async def test_3_7_claims_that_are_no_json_object_in_utf_8_are_refused(body: bytes) -> None:
    await assert_refused(signed({"alg": "HS256"}, body))


@pytest.mark.parametrize(
    "header", [b"\xff", b"[]", b"null", b"{", b"[" * 6_000, b'{"alg":' * 900, b'{"alg":"HS256","kid":5}', b"{}"]
)
async def test_3_7_a_header_that_is_no_json_object_of_ours_is_refused(header: bytes) -> None:
    await assert_refused(signed(header, claims()))


@pytest.mark.parametrize(
    "wrong",
    [{"iss": "SHOP"}, {"iss": ["shop"]}, {"iss": "shop "}, {"aud": "PARLEY"}, {"aud": []}, {"aud": ["x"]}, {"aud": 1}],
    ids=json.dumps,
)
async def test_3_8_and_3_9_issuer_and_audience_are_compared_as_they_are(wrong: dict[str, Any]) -> None:
    await assert_refused(signed({"alg": "HS256"}, claims(**wrong)))


async def test_3_9_one_of_several_audiences_is_enough() -> None:
    assert (await check(jwt.encode(claims(aud=["shop-web", "parley"]), SECRET))).caller.id == "c-7"


# 3.10 Do not trust received claims


@pytest.mark.parametrize("name", ["jku", "x5u", "jwk", "x5c", "x5t"])
async def test_3_10_a_key_that_the_token_brings_along_is_not_looked_at(name: str) -> None:
    """Whoever makes the token would choose its key. (The key's number is the shop's, the signature somebody else's.)"""
    other = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    brought = jwk(other, "RS256", "RS256") if name == "jwk" else "http://127.0.0.1:9/keys"
    headers = {"kid": "RS256", name: [brought] if name == "x5c" else brought}
    await assert_refused(jwt.encode(claims(), other, algorithm="RS256", headers=headers), keys=all_keys())


@pytest.mark.parametrize("kid", ["", "../../dev/null", "' OR 1=1 --", "http://127.0.0.1:9/k", "RS256\x00", "x" * 4_000])
async def test_3_10_a_key_number_is_looked_up_and_nothing_else(kid: str) -> None:
    await assert_refused(jwt.encode(claims(), RSA, algorithm="RS256", headers={"kid": kid}), keys=all_keys())


@pytest.mark.parametrize("algorithm", SIGNING)
async def test_3_10_a_token_without_a_key_number_is_taken_where_one_key_alone_fits(algorithm: str) -> None:
    """Issuers with one key often leave it out (RFC 7515, 4.1.4: it is a hint)."""
    token = jwt.encode(claims(), SIGNING[algorithm], algorithm=algorithm)
    alone = published(jwk(SIGNING[algorithm], "one", algorithm))
    assert (await check(token, keys=alone)).caller.id == "c-7"
    if algorithm in key_sets.RSA_ALGORITHMS:
        other = rsa.generate_private_key(public_exponent=65537, key_size=2048)
        two = published(jwk(RSA, "one", algorithm), jwk(other, "two", algorithm))
        assert "kid" in await assert_refused(token, keys=two)


@pytest.mark.parametrize("algorithm", SIGNING)
async def test_3_1_a_key_without_an_algorithm_is_for_those_of_its_type_and_curve(algorithm: str) -> None:
    bare = {name: value for name, value in jwk(SIGNING[algorithm], "k", algorithm).items() if name != "alg"}
    token = jwt.encode(claims(), SIGNING[algorithm], algorithm=algorithm, headers={"kid": "k"})
    assert (await check(token, keys=published(bare))).caller.id == "c-7"
    for other in ("HS256", "none", *(set(SIGNING) - set(key_sets.usable({"keys": [bare]})[0].algorithms))):
        head, body, signature = token.split(".")
        forged = part({"alg": other, "kid": "k", "typ": "JWT"}).decode()
        assert head != forged
        assert "alg: its key is for" in await assert_refused(f"{forged}.{body}.{signature}", keys=published(bare))


async def test_3_1_what_is_wrong_is_said_as_it_is() -> None:
    """A shop's developer looks for the key where it is the algorithm that is wrong, and for the signature where it is the audience."""
    keys = published(jwk(RSA, "k", "RS256"))

    async def said(*, algorithm: str = "RS256", kid: str = "k", **changes: Any) -> str:
        token = jwt.encode(claims(**changes), RSA, algorithm=algorithm, headers={"kid": kid})
        return (await assert_refused(token, keys=keys)).removeprefix("The bearer token is not accepted: ")

    assert await said(algorithm="RS512") == "alg: its key is for RS256."
    assert await said(kid="x") == "kid: the token's key is not among those that its issuer publishes."
    assert await said(iss="somebody") == "the claim iss does not name an issuer that is trusted here."
    assert await said(aud="another") == "the claim aud does not name this service's audience."
    assert await said(exp=1_600_000_000) == "exp: it has expired."
    assert await said(sub=None) == "the claim sub is missing."
    assert await said(role="root") == "the claim role must be customer, seller, admin or service."
    assert await said(role="seller") == "the claim seller_id is missing."


@pytest.mark.parametrize(
    "odd",
    [
        {"kid": ["z"]},
        {"use": ["sig"]},
        {"kty": ["RSA"]},
        {"alg": "RSA-OAEP"},
        {"alg": ["RS256"]},
        {"n": "AQ"},
        {"e": None},
        {"d": "AQAB", "kid": "private"},
    ],
    ids=json.dumps,
)
async def test_3_4_one_odd_key_does_not_spoil_the_set(odd: dict[str, Any]) -> None:
    """A private key that was published by mistake is one of them: it is said in the log, and stands for nobody."""
    keys = published(jwk(RSA, "odd", "RS256") | odd, jwk(EC, "good", "ES256"))
    assert (
        await check(jwt.encode(claims(), EC, algorithm="ES256", headers={"kid": "good"}), keys=keys)
    ).caller.id == "c-7"
    await assert_refused(jwt.encode(claims(), RSA, algorithm="RS256", headers={"kid": "private"}), keys=keys)


async def test_3_4_two_keys_of_one_number_are_told_apart_by_their_type() -> None:
    """RFC 7517, 4.5, lets a set have them."""
    keys = published(jwk(RSA, "k", "RS256"), jwk(EC, "k", "ES256"))
    for algorithm, key in (("RS256", RSA), ("ES256", EC)):
        token = jwt.encode(claims(), key, algorithm=algorithm, headers={"kid": "k"})
        assert (await check(token, keys=keys)).caller.id == "c-7"


@pytest.mark.parametrize(
    "header", [{"crit": ["x"], "x": 1}, {"crit": []}, {"crit": "exp"}, {"crit": ["exp"]}, {"b64": False}]
)
async def test_3_10_a_header_that_must_be_understood_and_is_not_is_refused(header: dict[str, Any]) -> None:
    """RFC 7515, section 4.1.11."""
    await assert_refused(signed({"alg": "HS256", **header}, claims()))


@pytest.mark.parametrize(
    "wrong",
    [
        {"exp": 1_600_000_000},
        {"exp": "soon"},
        {"exp": [1]},
        {"exp": 10**15},
        {"exp": float("inf")},
        {"nbf": 4_000_000_000},
        {"nbf": "now"},
        {"iat": 4_000_000_000},
        {"iat": "now"},
    ],
    ids=str,
)
async def test_3_10_a_token_counts_only_within_its_time(wrong: dict[str, Any]) -> None:
    await assert_refused(signed({"alg": "HS256"}, claims(**wrong)))


async def test_3_10_clocks_may_differ_by_half_a_minute() -> None:
    now = int(time.time())
    token = jwt.encode(claims(exp=now - 20, nbf=now + 20, iat=now + 20), SECRET, algorithm="HS256")
    assert (await check(token)).expires_at == now - 20


async def test_3_10_of_a_claim_that_is_there_twice_the_last_counts_everywhere() -> None:
    """Both services that check tokens parse them with the same code, so one cannot see another caller than the other."""
    now = int(time.time()) + 60
    body = f'{{"iss":"shop","aud":"parley","sub":"c-8","exp":{now},"role":"customer","sub":"c-7"}}'
    assert (await check(signed({"alg": "HS256"}, body.encode()))).caller.id == "c-7"


async def test_a_token_of_a_megabyte_is_refused_before_anything_is_parsed() -> None:
    detail = await assert_refused("a" * 1_000_000)
    assert str(MAX_TOKEN_CHARACTERS) in detail


# 3.11 Use explicit typing; 3.12 use mutually exclusive validation rules for different kinds of JWTs

KINDS = ("parley-guest-link+jwt", "parley-guest-session+jwt", "parley-unsubscribe+jwt")


def own(kind: str, **changes: Any) -> str:
    """One of our own tokens, with the right secret."""
    now = int(time.time())
    whole = {"iss": "parley", "aud": kind, "sub": "c-7", "name": "Ada", "order_id": "1042", "exp": now + 60} | changes
    return jwt.encode({k: v for k, v in whole.items() if v is not None}, LINK_SECRET, headers={"typ": kind})


@pytest.mark.parametrize("asked", KINDS)
@pytest.mark.parametrize("given", [*KINDS, "JWT"])
def test_3_12_each_kind_of_our_own_tokens_stands_for_itself_alone(asked: Any, given: str) -> None:
    token = own(given)
    if asked == given:
        assert tokens.read_own(token, asked, secret=LINK_SECRET)["sub"] == "c-7"
        return
    with pytest.raises(jwt.InvalidTokenError):
        tokens.read_own(token, asked, secret=LINK_SECRET)


@pytest.mark.parametrize(
    "wrong", [{"iss": "shop"}, {"aud": "parley"}, {"exp": 1}, {"exp": None}, {"sub": None}, {"aud": list(KINDS[:1])}]
)
def test_3_12_our_own_tokens_are_checked_as_strictly(wrong: dict[str, Any]) -> None:
    token = own(KINDS[0], **wrong)
    if wrong.get("aud") == list(KINDS[:1]):
        assert tokens.read_own(token, "parley-guest-link+jwt", secret=LINK_SECRET)["sub"] == "c-7"
        return
    with pytest.raises(jwt.InvalidTokenError):
        tokens.read_own(token, "parley-guest-link+jwt", secret=LINK_SECRET)


@pytest.mark.parametrize("kind", [KINDS[0], KINDS[2], "dpop+jwt", "secevent+jwt", "id_token", ["JWT"], {}, 5])
async def test_3_11_a_token_of_another_type_is_no_bearer_token(kind: Any) -> None:
    await assert_refused(signed({"alg": "HS256", "typ": kind}, claims()))


@pytest.mark.parametrize("missing", ["order_id", "name"])
async def test_3_12_a_session_without_its_thread_opens_nothing(missing: str) -> None:
    await assert_refused(own("parley-guest-session+jwt", **{missing: None}))


def test_3_12_the_shops_tokens_and_ours_never_share_an_algorithm() -> None:
    """Ours are MACs with LINK_SECRET; the shop's, outside demo mode, signatures alone."""
    assert not {"HS256", "HS384", "HS512", "none"} & set(key_sets.ASYMMETRIC_ALGORITHMS)
