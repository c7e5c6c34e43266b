"""The gateway's settings: where threads answers, and the limits of what it takes on."""

from typing import Annotated, Literal, Self

from pydantic import Field, SecretStr, model_validator

from shared.settings import CommonSettings, TokenSettings


class GatewaySettings(CommonSettings, TokenSettings):
    """`live_…`, `person_…` and `thread_writes_…` are limits of one gateway process; `cors_origins` is a list with commas or spaces.

    `pages_token_url` is the shop's address, on the same origin, where the pages fetch the visitor's token (as the widget does);
    `pages_frame_ancestors` is who may frame them (a CSP source list; empty: nobody). `demo_login` is a page that takes a token from a
    link: in demo mode alone, because whoever makes the link decides who its reader is.
    """

    http_port: int = 8080
    command_id_secret: Annotated[SecretStr, Field(min_length=32)]
    threads_url: Annotated[str, Field(pattern=r"^https?://[^\s/]+$")]
    pages: Literal["on", "off"] = "off"
    pages_token_url: Annotated[str, Field(pattern=r"^(/[^/\\][^\s]*)?$")] = ""
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
            raise ValueError("DEMO_LOGIN is for demo mode alone (DEMO=1)")
        return self

    @property
    def origins(self) -> list[str]:
        """The origins whose pages may call the API."""
        return self.cors_origins.replace(",", " ").split()
