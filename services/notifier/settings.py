"""What the notifier is told by its environment."""

import re
import socket
from typing import Annotated, Literal
from urllib.parse import urlsplit
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from pydantic import Field, SecretStr, ValidationInfo, field_validator

from services.notifier.finished import NotAsGivenError
from services.notifier.headers import mailbox_in_setting
from services.notifier.message import compose
from shared.addresses import AddressError
from shared.settings import CommonSettings, Port, ShopSettings

DEMO_THREAD_URL = "http://127.0.0.1:8080/pages/orders/{order_id}"
ORDER_PLACE = "{order_id}"
Seconds = Annotated[float, Field(gt=0)]


def _host_name() -> str:
    """This machine's name for EHLO, without asking DNS (which may stall)."""
    name = socket.gethostname()
    return name if re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9.-]*", name) else "localhost"


class Settings(CommonSettings, ShopSettings):
    """The mail server, the links in the mails, and how patient the sender is.

    `mail_delay` gathers a burst into one mail (seconds; 0 sends at once). One person gets at most `mail_limit` mails in
    `mail_limit_window_s` (0: any number); what is over waits and gathers, only dispute steps may go up to twice as often. `thread_url` and `guest_url` (by default the same) hold
    `{order_id}`; a guest's token is appended to the latter as its fragment. `unsubscribe_url` gets `?token=…`.
    """

    http_port: Port = 8082
    mongo_url: SecretStr
    mongo_database: str = "notifier"

    smtp_host: str
    smtp_port: int = Field(ge=1, le=65_535)
    smtp_security: Literal["none", "starttls", "tls"] = "starttls"
    smtp_user: str | None = None
    smtp_password: SecretStr | None = None
    smtp_local_hostname: str = Field(default_factory=_host_name)
    smtp_connections: int = Field(default=8, ge=1, le=64)
    smtp_connect_limit_s: Seconds = 20
    smtp_idle_s: Seconds = 30
    smtp_mails_per_connection: int = Field(default=100, ge=1)

    mail_from: str
    mail_reply_to: str | None = None
    mail_delay: float = Field(default=20, ge=0, le=86_400)
    mail_limit: int = Field(default=60, ge=0)
    mail_limit_window_s: Seconds = 3_600
    mail_time_zone: str = "UTC"
    thread_url: str | None = Field(default=None, validate_default=True)
    guest_url: str | None = None
    unsubscribe_url: str | None = None

    ambiguous: Literal["resend", "hold"] = "resend"
    send_limit_s: Seconds = 60
    lease_s: Seconds = 120
    poll_s: float = Field(default=1.0, gt=0, le=1)
    first_pause_s: Seconds = 1.0
    longest_pause_s: Seconds = 900
    give_up_h: float = Field(default=48, gt=0)
    prefetch: int = Field(default=128, ge=1, le=1_000)

    @field_validator("smtp_user", "smtp_password", "mail_reply_to", "guest_url", "unsubscribe_url", mode="before")
    @classmethod
    def _empty_is_unset(cls, value: object) -> object:
        """Compose files pass unset variables on as empty ones."""
        return None if value == "" else value

    @field_validator("mail_from", "mail_reply_to")
    @classmethod
    def _mailbox(cls, value: str | None) -> str | None:
        """Written as the mails will have it, and read again: what could not stand in a mail stops the start."""
        if value is None:
            return None
        try:
            mailbox = mailbox_in_setting(value)
            compose([("From", mailbox)], text="", html="", boundary="=_")
        except AddressError as error:
            raise ValueError(f"{error}: shop@example.com or The Shop <shop@example.com>") from None
        except (ValueError, NotAsGivenError):
            raise ValueError(
                "must be one line like shop@example.com or The Shop <shop@example.com>, with the name as it is meant"
            ) from None
        return value

    @field_validator("thread_url")
    @classmethod
    def _thread_url(cls, value: str | None, info: ValidationInfo) -> str:
        if not value and info.data.get("demo"):
            return DEMO_THREAD_URL
        if not value:
            raise ValueError("is required: the address of a thread's page, with {order_id} in it")
        return _with_order_place(value)

    @field_validator("guest_url")
    @classmethod
    def _guest_url(cls, value: str | None) -> str | None:
        if value is not None and "#" in value:
            raise ValueError("must have no fragment: that is where the guest's token goes")
        return None if value is None else _with_order_place(value)

    @field_validator("unsubscribe_url")
    @classmethod
    def _unsubscribe_url(cls, value: str | None) -> str | None:
        if value is not None and ("?" in value or "#" in value):
            raise ValueError("must have no query and no fragment: ?token=… is appended")
        if value is not None and not value.isascii():
            raise ValueError(
                "must be ASCII, as it stands in a header: an international domain as xn--…, a path percent-encoded"
            )
        return None if value is None else _web_address(value)

    @field_validator("mail_time_zone")
    @classmethod
    def _time_zone(cls, value: str) -> str:
        try:
            ZoneInfo(value)
        except (ZoneInfoNotFoundError, ValueError):
            raise ValueError("must be a time zone like Europe/Berlin or UTC") from None
        return value

    @field_validator("lease_s")
    @classmethod
    def _longer_than_a_send(cls, value: float, info: ValidationInfo) -> float:
        limit_s = info.data.get("send_limit_s")
        if limit_s is not None and value < 1.5 * limit_s:
            raise ValueError("must be at least one and a half times SEND_LIMIT_S: a lease outlives the whole send")
        return value


def _with_order_place(value: str) -> str:
    if ORDER_PLACE not in value:
        raise ValueError("must contain {order_id}")
    _web_address(value.replace(ORDER_PLACE, "1"))
    return value


def _web_address(value: str) -> str:
    parts = urlsplit(value)
    if parts.scheme not in ("http", "https") or not parts.hostname or re.search(r"[\s<>\"]", value):
        raise ValueError("must be an address that begins with https:// or http://")
    return value
