"""A setting that can never work stops the start with its own name, and with what it must be."""

from typing import Any

import pytest

from services.gateway.settings import GatewaySettings
from services.notifier.languages import LANGUAGES
from services.notifier.settings import Settings as NotifierSettings
from services.threads.settings import Settings as ThreadsSettings
from shared.settings import BAD_SETTING_EXIT, MAIL_LANGUAGES, load

SECRET = "a-secret-of-the-tests-of-32-bytes-and-more"
GOOD = {
    "AMQP_URL": "amqp://localhost",
    "MONGO_URL": "mongodb://localhost",
    "THREADS_URL": "http://localhost:8081",
    "TOKEN_ISSUER": "shop",
    "TOKEN_JWKS_URL": "https://shop.example/keys",
    "LINK_SECRET": SECRET,
    "COMMAND_ID_SECRET": SECRET,
    "ADDRESS_KEY": SECRET,
    "SMTP_HOST": "localhost",
    "SMTP_PORT": "25",
    "MAIL_FROM": "shop@shop.example",
    "THREAD_URL": "https://shop.example/{order_id}",
}
SAME_TWICE = '[{"issuer": "shop", "jwks_url": "https://other.example/keys", "audience": ["web", "parley"]}]'
STAFF = '[{"issuer": "staff", "jwks_url": "https://login.example/keys", "roles": ["admin"]}]'
ALL: tuple[Any, ...] = (GatewaySettings, ThreadsSettings, NotifierSettings)


@pytest.fixture
def told(monkeypatch: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    for name in ("SECRETS_DIR", "TOKEN_DEMO_SECRET", "DEMO", "HTTP_PORT"):
        monkeypatch.delenv(name, raising=False)
    for name, value in GOOD.items():
        monkeypatch.setenv(name, value)
    return monkeypatch


def refusal(kind: Any, capsys: pytest.CaptureFixture[str]) -> list[str]:
    with pytest.raises(SystemExit) as ended:
        load(kind)
    assert ended.value.code == BAD_SETTING_EXIT
    return capsys.readouterr().err.splitlines()


@pytest.mark.parametrize("kind", ALL)
@pytest.mark.parametrize(
    ("name", "value"),
    [("HTTP_PORT", "0"), ("HTTP_PORT", "99999"), ("SHUTDOWN_GRACE_S", "-5"), ("SHUTDOWN_GRACE_S", "inf")],
)
def test_what_no_service_can_do_is_refused_by_all(
    told: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], kind: Any, name: str, value: str
) -> None:
    told.setenv(name, value)
    assert [line.startswith(f"bad setting {name}: ") for line in refusal(kind, capsys)] == [True]


@pytest.mark.parametrize(
    ("kind", "name", "value", "said"),
    [
        (ThreadsSettings, "ADMIN_LOCALE", "zz", "must be in a language that mails are written in: de, en"),
        (ThreadsSettings, "ROLES", "worker,boss", "must be worker, api or worker,api"),
        (GatewaySettings, "DEMO_LOGIN", "on", "is for demo mode alone"),
        (GatewaySettings, "TOKEN_DEMO_SECRET", SECRET, "must not be set beside TOKEN_JWKS_URL"),
        (GatewaySettings, "TOKEN_JWKS_URL", "", "is required"),
        (ThreadsSettings, "TOKEN_JWKS_URL", "", "is required"),
        (NotifierSettings, "THREAD_URL", "", "is required"),
        (GatewaySettings, "COMMAND_ID_SECRET", "x" * 31, "must have at least 32 characters"),
        (GatewaySettings, "TOKEN_ISSUER", "", "is required"),
        (GatewaySettings, "TOKEN_JWKS_URL", "ftp://shop.example/keys", "String should match pattern '^https?://"),
        (GatewaySettings, "TOKEN_JWKS_URL", "https://a:b@shop.example/keys", "String should match pattern '^https?://"),
        (ThreadsSettings, "TOKEN_ROLE_MAP", "clerk-of-shop", "must be pairs like shop-admin:admin"),
        (ThreadsSettings, "TOKEN_ISSUERS", "[5]", "must be a JSON array of issuers; 0: "),
        (GatewaySettings, "TOKEN_ISSUERS", SAME_TWICE, "must not name shop twice with the same audience"),
    ],
)
def test_the_setting_is_named_and_what_it_must_be(
    told: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], kind: Any, name: str, value: str, said: str
) -> None:
    told.setenv(name, value)
    lines = refusal(kind, capsys)
    assert [line for line in lines if line.startswith(f"bad setting {name}: {said}")] == lines != []
    assert not value or len(value) < 8 or value not in lines[0]


@pytest.mark.parametrize(
    ("given", "taken"),
    [
        ("https://shop.example", ["https://shop.example"]),
        ("https://Shop2.Example/", ["https://shop2.example"]),
        ("HTTPS://shop.example:443, http://shop.example:80", ["https://shop.example", "http://shop.example"]),
        ("http://127.0.0.1:3000 https://[::1]:8443", ["http://127.0.0.1:3000", "https://[::1]:8443"]),
        ("*", ["*"]),
        ("", []),
    ],
)
def test_origins_become_what_browsers_say(told: pytest.MonkeyPatch, given: str, taken: list[str]) -> None:
    told.setenv("CORS_ORIGINS", given)
    assert load(GatewaySettings).origins == taken


@pytest.mark.parametrize(
    "value",
    [
        *(
            "shop.example",
            "//shop.example",
            "https://shop.example/pages",
            "https://shop.example?x",
            "ftp://shop.example",
        ),
        *("https://user@shop.example", "https://", "https://*.shop.example", "https://münchen.example", "null"),
        *("https://shop.example:99999", "https://shop.example, shop2.example", "https://[::1"),
    ],
)
def test_an_origin_that_no_browser_says_stops_the_start(
    told: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], value: str
) -> None:
    told.setenv("CORS_ORIGINS", value)
    assert [
        line.startswith("bad setting CORS_ORIGINS: must be origins like") for line in refusal(GatewaySettings, capsys)
    ] == [True]


@pytest.mark.parametrize("value", ["de", "de-AT", "fr_CA", "EN"])
def test_a_locale_in_a_language_of_mails_is_taken(told: pytest.MonkeyPatch, value: str) -> None:
    told.setenv("ADMIN_LOCALE", value)
    assert load(ThreadsSettings).admin_locale == value


def test_the_languages_that_settings_know_are_those_of_the_phrases() -> None:
    assert sorted(LANGUAGES) == sorted(MAIL_LANGUAGES)


@pytest.mark.parametrize(
    ("changes", "issuers"),
    [
        ({}, [("shop", "https://shop.example/keys")]),
        ({"TOKEN_ISSUERS": STAFF}, [("shop", "https://shop.example/keys"), ("staff", "https://login.example/keys")]),
        ({"TOKEN_ISSUERS": STAFF, "TOKEN_ISSUER": "", "TOKEN_JWKS_URL": ""}, [("staff", "https://login.example/keys")]),
    ],
)
def test_one_issuer_several_or_both(told: pytest.MonkeyPatch, changes: dict[str, str], issuers: list[Any]) -> None:
    for name, value in changes.items():
        told.setenv(name, value)
    kinds: tuple[Any, ...] = (GatewaySettings, ThreadsSettings)
    for kind in kinds:
        assert [(each.issuer, each.jwks_url) for each in load(kind).issuers] == issuers


def test_the_short_form_says_the_same_of_one_issuer(told: pytest.MonkeyPatch) -> None:
    said = {
        "TOKEN_AUDIENCE": "client-1",
        "TOKEN_AUDIENCE_CLAIM": "client_id",
        "TOKEN_ROLE_CLAIM": "cognito:groups",
        "TOKEN_ROLE_MAP": "staff:admin,buyers:customer",
        "TOKEN_ID_CLAIM": "custom:id",
        "TOKEN_SELLER_CLAIM": "custom:seller",
        "TOKEN_NAME_CLAIM": "username",
    }
    for name, value in said.items():
        told.setenv(name, value)
    (issuer,) = load(GatewaySettings).issuers
    assert (issuer.audiences, issuer.audience_claim, issuer.role_claim) == (
        ("client-1",),
        "client_id",
        "cognito:groups",
    )
    assert list(issuer.role_map.items()) == [("staff", "admin"), ("buyers", "customer")]
    assert (issuer.id_claim, issuer.seller_claim, issuer.name_claim) == ("custom:id", "custom:seller", "username")


@pytest.mark.parametrize(
    "address",
    [
        "https://shop.example/login",
        "https://shop.example/login?next={return_url}",
        "http://localhost:8000/sign-in?to={return_path}&lang=en",
        "/account/login?back={return_path}",
        "https://shop.example?next={return_url}",
    ],
)
def test_the_pages_lead_to_the_shops_sign_in(told: pytest.MonkeyPatch, address: str) -> None:
    told.setenv("PAGES_LOGIN_URL", address)
    assert load(GatewaySettings).pages_login_url == address


@pytest.mark.parametrize(
    "address",
    [
        "shop.example/login",
        "javascript:alert(1)",
        "//evil.example/login",
        "/\\evil.example",
        "https://shop.example/{return_path}",
        "https://shop.example/login?next={returnUrl}",
        "https://shop.example/login?next={return_url",
        "https://user@shop.example/login",
        "https://shop.example/login#next={return_url}",
        "https://shop.example/log in",
    ],
)
def test_a_sign_in_that_cannot_be_led_to_stops_the_start(
    told: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], address: str
) -> None:
    told.setenv("PAGES_LOGIN_URL", address)
    (line,) = refusal(GatewaySettings, capsys)
    assert line.startswith(
        "bad setting PAGES_LOGIN_URL: must be an address like https://shop.example/login?next={return_url}"
    )
    assert "evil" not in line
