"""The gateway's settings: where threads answers, and the limits of what it takes on."""

import re
from typing import Annotated, Final, Literal, Self
from urllib.parse import urlsplit

from pydantic import Field, SecretStr, field_validator, model_validator

from shared.settings import CommonSettings, Port, SettingError, ShopSettings, TokenSettings

ANY_ORIGIN: Final = "*"
DEFAULT_PORTS: Final = {"http": 80, "https": 443}
HOST: Final = r"[a-z0-9._-]+|[0-9a-f:.]+"
NO_LOGIN_URL: Final = (
    "must be an address like https://shop.example/login?next={return_url}, or a path on the same origin; {return_url} and {return_path} "
    "(where to come back to) may stand in its query, and no other braces"
)
NO_ORIGIN: Final = (
    "must be origins like https://shop.example or https://shop.example:8443, with their scheme, without a path, "
    "international names as xn--…; or * for all"
)


class GatewaySettings(CommonSettings, ShopSettings, TokenSettings):
    """`live_…`, `person_…` and `thread_writes_…` are limits of one gateway process; `cors_origins` is a list with commas or spaces.

    `pages_login_url` is where the pages send whoever is not signed in: an address of the shop's, in whose query `{return_url}` (or
    `{return_path}`, without the origin) stands for where to come back to. `pages_token_url` is the shop's address, on the same origin, where the pages fetch the visitor's token (as the widget does);
    `pages_frame_ancestors` is who may frame them (a CSP source list; empty: nobody). `demo_login` is a page that takes a token from a
    link: in demo mode alone, because whoever makes the link decides who its reader is.
    """

    http_port: Port = 8080
    command_id_secret: Annotated[SecretStr, Field(min_length=32)]
    threads_url: Annotated[str, Field(pattern=r"^https?://[^\s/]+$")]
    pages: Literal["on", "off"] = "off"
    pages_token_url: Annotated[str, Field(pattern=r"^(/[^/\\][^\s]*)?$")] = ""
    pages_login_url: str = ""
    pages_frame_ancestors: Annotated[str, Field(pattern=r"^[^;,\x00-\x1f]*$")] = ""
    demo_login: Literal["on", "off"] = "off"
    cors_origins: str = ""
    live_max_connections: Annotated[int, Field(ge=1)] = 2_000
    live_max_connections_per_person: Annotated[int, Field(ge=1)] = 100
    live_ring_bytes: Annotated[int, Field(ge=10_000)] = 4_000_000
    person_writes_per_s: Annotated[float, Field(ge=0, allow_inf_nan=False)] = 20.0
    person_writes_burst: Annotated[int, Field(ge=1)] = 200
    person_kept_mb_per_h: Annotated[float, Field(ge=0, allow_inf_nan=False)] = 20.0
    thread_writes_per_s: Annotated[float, Field(ge=0, allow_inf_nan=False)] = 20.0
    thread_writes_burst: Annotated[int, Field(ge=1)] = 200

    @model_validator(mode="after")
    def _demo_login_in_demo_mode(self) -> Self:
        if self.demo_login == "on" and not self.demo:
            raise SettingError("DEMO_LOGIN", "is for demo mode alone (DEMO=1)")
        return self

    @field_validator("pages_login_url")
    @classmethod
    def _a_login_address(cls, value: str) -> str:
        if not value:
            return value
        before_query, _, query = value.partition("?")
        is_address = re.fullmatch(r"(https?://[^\s/\\@{}]+(/[^\s\\{}]*)?|/([^\s/\\{}][^\s\\{}]*)?)", before_query)
        is_query = re.fullmatch(r"([^\s\\{}#]|\{return_url\}|\{return_path\})*", query)
        if is_address is None or is_query is None or "#" in before_query:
            raise ValueError(NO_LOGIN_URL)
        return value

    @field_validator("cors_origins")
    @classmethod
    def _as_browsers_say_them(cls, value: str) -> str:
        return " ".join(_origin(each) for each in value.replace(",", " ").split())

    @property
    def origins(self) -> list[str]:
        """The origins whose pages may call the API."""
        return self.cors_origins.split()


def _origin(value: str) -> str:
    """An origin as browsers write it (RFC 6454, 6.2): lower case, no path, no port that is the scheme's own. Raises ValueError."""
    if value == ANY_ORIGIN:
        return value
    try:
        parts = urlsplit(value)
        port = parts.port
    except ValueError:
        raise ValueError(NO_ORIGIN) from None
    is_bare = parts.path in ("", "/") and not parts.query and not parts.fragment and "@" not in parts.netloc
    if parts.scheme not in DEFAULT_PORTS or not is_bare or not re.fullmatch(HOST, parts.hostname or ""):
        raise ValueError(NO_ORIGIN)
    host = f"[{parts.hostname}]" if ":" in (parts.hostname or "") else parts.hostname
    return f"{parts.scheme}://{host}" + ("" if port in (None, DEFAULT_PORTS[parts.scheme]) else f":{port}")
