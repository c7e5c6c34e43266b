"""The gateway's settings: where threads answers, and the limits of what it takes on."""

from typing import Annotated, Literal

from pydantic import Field, SecretStr

from shared.settings import CommonSettings, TokenSettings


class GatewaySettings(CommonSettings, TokenSettings):
    """`live_…` are limits of one gateway process; `cors_origins` is a list with commas or spaces."""

    http_port: int = 8080
    command_id_secret: Annotated[SecretStr, Field(min_length=32)]
    threads_url: Annotated[str, Field(pattern=r"^https?://[^\s/]+$")]
    pages: Literal["on", "off"] = "off"
    cors_origins: str = ""
    live_max_connections: Annotated[int, Field(ge=1)] = 2_000
    live_max_connections_per_person: Annotated[int, Field(ge=1)] = 100
    live_ring_bytes: Annotated[int, Field(ge=10_000)] = 16_000_000

    @property
    def origins(self) -> list[str]:
        """The origins whose pages may call the API."""
        return self.cors_origins.replace(",", " ").split()
