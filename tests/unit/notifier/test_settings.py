"""What the notifier accepts from its environment."""

import pytest

from services.notifier.headers import Mailbox, mailbox_in_setting
from services.notifier.settings import Settings
from shared import settings

GOOD = {
    "AMQP_URL": "amqp://notifier:secret@localhost/parley",
    "MONGO_URL": "mongodb://localhost",
    "SMTP_HOST": "localhost",
    "SMTP_PORT": "1025",
    "MAIL_FROM": "The Shop <orders@shop.example>",
    "THREAD_URL": "https://shop.example/threads/{order_id}",
}


def load(monkeypatch: pytest.MonkeyPatch, **changes: str | None) -> Settings:
    for name, value in (GOOD | changes).items():
        if value is None:
            monkeypatch.delenv(name, raising=False)
        else:
            monkeypatch.setenv(name, value)
    return settings.load(Settings)


def test_the_least_that_it_needs(monkeypatch: pytest.MonkeyPatch) -> None:
    told = load(monkeypatch)

    assert (told.mail_delay, told.ambiguous, told.smtp_security, told.http_port) == (20, "resend", "starttls", 8082)


def test_secrets_do_not_show(monkeypatch: pytest.MonkeyPatch) -> None:
    assert "secret" not in repr(load(monkeypatch, SMTP_USER="shop", SMTP_PASSWORD="secret"))


def test_empty_means_unset(monkeypatch: pytest.MonkeyPatch) -> None:
    told = load(monkeypatch, SMTP_USER="", SMTP_PASSWORD="", MAIL_REPLY_TO="", GUEST_URL="", UNSUBSCRIBE_URL="")

    assert (told.smtp_user, told.smtp_password, told.mail_reply_to, told.guest_url) == (None, None, None, None)


def test_a_demo_needs_no_thread_url(monkeypatch: pytest.MonkeyPatch) -> None:
    told = load(monkeypatch, THREAD_URL=None, DEMO="1")

    assert told.thread_url is not None
    assert "{order_id}" in told.thread_url


@pytest.mark.parametrize(
    ("shop_name", "mail_from", "called"),
    [
        ("Lamp House", "The Shop <orders@shop.example>", "Lamp House"),
        (None, "The Shop <orders@shop.example>", "The Shop"),
        ("", "orders@shop.example", "shop.example"),
    ],
)
def test_the_shops_name_is_its_setting_else_the_senders(
    monkeypatch: pytest.MonkeyPatch, shop_name: str | None, mail_from: str, called: str
) -> None:
    assert load(monkeypatch, SHOP_NAME=shop_name, MAIL_FROM=mail_from).shop == called


def test_a_shops_name_is_one_line(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        load(monkeypatch, SHOP_NAME="Lamp\nHouse")
    assert "SHOP_NAME" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("THREAD_URL", None),
        ("THREAD_URL", ""),
        ("THREAD_URL", "https://shop.example/threads"),
        ("THREAD_URL", "javascript:{order_id}"),
        ("THREAD_URL", "https://shop.example/a b/{order_id}"),
        ("GUEST_URL", "https://shop.example/guest"),
        ("GUEST_URL", "https://shop.example/{order_id}#here"),
        ("UNSUBSCRIBE_URL", "https://shop.example/u?a=b"),
        ("UNSUBSCRIBE_URL", "shop.example/u"),
        ("MAIL_FROM", "nobody"),
        ("MAIL_FROM", "Shop <orders@shop.example>\nBcc: x@example.com"),
        ("MAIL_FROM", "a@b@shop.example"),
        ("MAIL_FROM", "Shop <orders@shop.example>, Desk <desk@shop.example>"),
        ("MAIL_FROM", "Shop <orders@shop_.example>"),
        ("MAIL_FROM", "=?utf-8?q?B=C3=BCro?= <orders@shop.example>"),
        ("MAIL_FROM", f"{'x' * 1_000} <orders@shop.example>"),
        ("MAIL_REPLY_TO", "nobody"),
        ("UNSUBSCRIBE_URL", "https://größe.example/u"),
        ("MAIL_DELAY", "-1"),
        ("MAIL_TIME_ZONE", "Mars/Olympus"),
        ("SMTP_SECURITY", "opportunistic"),
        ("SMTP_PORT", "0"),
        ("LEASE_S", "60"),
        ("AMBIGUOUS", "drop"),
    ],
)
def test_a_bad_setting_stops_the_start_and_is_named(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], name: str, value: str | None
) -> None:
    with pytest.raises(SystemExit):
        load(monkeypatch, **{name: value})

    assert f"bad setting {name}: " in capsys.readouterr().err


@pytest.mark.parametrize(
    ("written", "name", "address"),
    [
        ("orders@shop.example", "", "orders@shop.example"),
        ("<orders@shop.example>", "", "orders@shop.example"),
        ("Brook, Birch & Co. <orders@Straße.example>", "Brook, Birch & Co.", "orders@xn--strae-oqa.example"),
        ('"Brook \\"B\\" Inc, Ltd" <orders@shop.example>', 'Brook "B" Inc, Ltd', "orders@shop.example"),
        ("Läden <zoë@shop.example>", "Läden", "zoë@shop.example"),
    ],
)
def test_the_sender_is_a_name_as_it_is_meant_and_one_address(
    monkeypatch: pytest.MonkeyPatch, written: str, name: str, address: str
) -> None:
    assert mailbox_in_setting(load(monkeypatch, MAIL_FROM=written).mail_from) == Mailbox(name, address)
