"""The gateway's settings: whom to trust, where threads answers, and the limits of what it takes on."""

from typing import Literal, Self

from pydantic import Field, SecretStr, model_validator

from shared.settings import CommonSettings

MIN_SECRET_CHARACTERS = 32


class GatewaySettings(CommonSettings):
    """Either `token_jwks_url` or, in demo mode alone, `token_demo_secret` says whose tokens count."""

    http_port: int = 8080
    token_issuer: str
    token_audience: str = "parley"  # noqa: S105 - an audience is no secret
    token_jwks_url: str | None = None
    token_demo_secret: SecretStr | None = None
    link_secret: SecretStr = Field(min_length=MIN_SECRET_CHARACTERS)
    command_id_secret: SecretStr = Field(min_length=MIN_SECRET_CHARACTERS)
    threads_url: str = Field(pattern=r"^https?://[^\s/]+$")
    pages: Literal["on", "off"] = "off"
    cors_origins: str = ""
    live_max_connections: int = Field(default=2_000, ge=1)
    live_max_connections_per_person: int = Field(default=100, ge=1)
    live_ring_bytes: int = Field(default=16_000_000, ge=10_000)

    @property
    def origins(self) -> list[str]:
        """The origins whose pages may call the API, from a list with commas or spaces."""
        return self.cors_origins.replace(",", " ").split()

    @model_validator(mode="after")
    def _tokens_can_be_checked(self) -> Self:
        if (self.token_jwks_url is None) == (self.token_demo_secret is None):
            raise ValueError("set one of TOKEN_JWKS_URL and TOKEN_DEMO_SECRET")
        if self.token_demo_secret is not None and not self.demo:
            raise ValueError("TOKEN_DEMO_SECRET is for demo mode (DEMO=1): whoever holds it can be anybody")
        if (
            self.token_demo_secret is not None
            and len(self.token_demo_secret.get_secret_value()) < MIN_SECRET_CHARACTERS
        ):
            raise ValueError(f"TOKEN_DEMO_SECRET must have at least {MIN_SECRET_CHARACTERS} characters")
        return self
