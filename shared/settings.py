"""Settings from the environment: what all services share, and how a bad one stops the start with its name.

Each may also be a file of its own, called like the setting in lower case, in the folder that SECRETS_DIR names: orchestrators mount
secrets so, and a file is in nobody's list of processes. The environment wins; one that is empty there counts as not set.
"""

import os
import sys
from collections.abc import Mapping
from typing import Annotated, Any, Final, Self, TypeVar

from pydantic import Field, SecretStr, ValidationError, field_validator, model_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

from shared.addresses import name_and_address
from shared.errors import message_of
from shared.fields import NAME_MAX_CHARACTERS, Name
from shared.issuers import JWKS_URL_PATTERN, Claim, Issuer, read_issuers, read_role_map, require_distinct
from shared.logs import LogFormat, LogLevel
from shared.orders import UNNAMED_SHOP

S = TypeVar("S", bound=BaseSettings)
BAD_SETTING_EXIT = 2
# What mails are written in; the notifier's phrases are these, which a test holds.
MAIL_LANGUAGES: Final = ("de", "en", "es", "fr", "it", "nl")
Port = Annotated[int, Field(ge=1, le=65_535)]
CONFIG = SettingsConfigDict(frozen=True, extra="ignore", hide_input_in_errors=True, env_ignore_empty=True)


class SettingError(ValueError):
    """Raised by a validator that looks at several settings: the one that is to be changed, and what it must be."""

    def __init__(self, name: str, must: str) -> None:
        super().__init__(must)
        self.name = name


class CommonSettings(BaseSettings):
    """What every service is told. Names are those of the environment, in lower case."""

    model_config = CONFIG

    amqp_url: SecretStr
    http_host: str = "127.0.0.1"
    http_port: Port
    log_format: LogFormat = "json"
    log_level: LogLevel = "info"
    demo: bool = False
    shutdown_grace_s: Annotated[float, Field(ge=0, allow_inf_nan=False)] = 10.0


class ShopSettings(BaseSettings):
    """What the shop is called, for the three services that say it: its name stands where it sells an order itself.

    `mail_from` names the shop where `shop_name` is not set, as the mails do.
    """

    # Said again: of several bases, the last one's configuration holds.
    model_config = CONFIG

    shop_name: Name | None = None
    mail_from: str | None = None

    @property
    def shop(self) -> str:
        """SHOP_NAME, else the name in MAIL_FROM, else the domain of its address."""
        if self.shop_name:
            return self.shop_name
        name, address = name_and_address(self.mail_from) if self.mail_from else ("", "")
        return " ".join(name.split())[:NAME_MAX_CHARACTERS] or address.rpartition("@")[2] or UNNAMED_SHOP

    @field_validator("mail_from")
    @classmethod
    def _one_mailbox(cls, value: str | None) -> str | None:
        if value:
            name_and_address(value)
        return value


class TokenSettings(BaseSettings):
    """How callers' tokens are checked, for the two services that do.

    `token_issuers` is a JSON array of issuers (`shared.issuers.Issuer`), beside the one that the other settings name, or in its place. A shared
    secret lets whoever holds it be anybody: it is taken in demo mode alone.
    """

    # Said again: of several bases, the last one's configuration holds.
    model_config = CONFIG

    token_issuer: str | None = None
    token_audience: Annotated[str, Field(min_length=1)] = "parley"  # noqa: S105 - an audience, not a secret
    token_audience_claim: Claim = "aud"  # noqa: S105 - the name of a claim
    token_jwks_url: Annotated[str, Field(pattern=JWKS_URL_PATTERN)] | None = None
    token_role_claim: Claim = "role"  # noqa: S105 - the name of a claim
    token_role_map: str = ""
    token_id_claim: Claim = "sub"  # noqa: S105 - the name of a claim
    token_seller_claim: Claim = "seller_id"  # noqa: S105 - the name of a claim
    token_name_claim: Claim = "name"  # noqa: S105 - the name of a claim
    token_issuers: str = ""
    token_demo_secret: Annotated[SecretStr, Field(min_length=32)] | None = None
    link_secret: Annotated[SecretStr, Field(min_length=32)]
    demo: bool = False

    @model_validator(mode="after")
    def _one_kind_of_keys(self) -> Self:
        if self.token_issuer is None and self.token_issuers and not (self.token_jwks_url or self.token_demo_secret):
            return self
        if not self.token_issuer:
            raise SettingError("TOKEN_ISSUER", "is required; with TOKEN_ISSUERS alone, leave TOKEN_JWKS_URL out too")
        if self.token_jwks_url is None and self.token_demo_secret is None:
            raise SettingError(
                "TOKEN_JWKS_URL", "is required; in demo mode (DEMO=1) TOKEN_DEMO_SECRET may stand in its place"
            )
        if self.token_jwks_url is not None and self.token_demo_secret is not None:
            raise SettingError("TOKEN_DEMO_SECRET", "must not be set beside TOKEN_JWKS_URL")
        if self.token_demo_secret is not None and not self.demo:
            raise SettingError("TOKEN_DEMO_SECRET", "is for demo mode alone (DEMO=1); set TOKEN_JWKS_URL")
        return self

    @model_validator(mode="after")
    def _each_token_fits_one_issuer(self) -> Self:
        try:
            read_role_map(self.token_role_map)
        except ValueError as error:
            raise SettingError("TOKEN_ROLE_MAP", str(error)) from None
        try:
            require_distinct(self.issuers)
        except ValueError as error:
            raise SettingError("TOKEN_ISSUERS", str(error)) from None
        return self

    @property
    def issuers(self) -> tuple[Issuer, ...]:
        """All whose tokens count. The one without an address for its keys is that of the demo secret. Raises ValueError."""
        several = read_issuers(self.token_issuers) if self.token_issuers else ()
        return several if self.token_issuer is None else (self._one(self.token_issuer), *several)

    def _one(self, issuer: str) -> Issuer:
        return Issuer(
            issuer=issuer,
            jwks_url=self.token_jwks_url,
            audience=self.token_audience,
            audience_claim=self.token_audience_claim,
            role_claim=self.token_role_claim,
            role_map=read_role_map(self.token_role_map),
            id_claim=self.token_id_claim,
            seller_claim=self.token_seller_claim,
            name_claim=self.token_name_claim,
        )


def load(kind: type[S]) -> S:
    """The settings, or the end of the process with one line for each bad one: its name and what it must be, never its value."""
    secrets = os.environ.get("SECRETS_DIR") or None
    if secrets is not None and not os.path.isdir(secrets):
        print(f"bad setting SECRETS_DIR: there is no folder {secrets}", file=sys.stderr)
        sys.exit(BAD_SETTING_EXIT)
    try:
        return kind(_secrets_dir=secrets)
    except ValidationError as error:
        for wrong in error.errors(include_input=False, include_url=False):
            print(f"bad setting {_name(wrong)}: {_must(wrong)}", file=sys.stderr)
        sys.exit(BAD_SETTING_EXIT)


def _name(wrong: Mapping[str, Any]) -> str:
    raised = wrong.get("ctx", {}).get("error")
    return raised.name if isinstance(raised, SettingError) else "_".join(str(part) for part in wrong["loc"]).upper()


def _must(wrong: Mapping[str, Any]) -> str:
    """What it must be, in words about a setting: pydantic's are about a field, and of a secret's characters it says items."""
    match wrong["type"]:
        case "missing":
            return "is required"
        case "too_short" | "string_too_short":
            return f"must have at least {wrong['ctx']['min_length']} characters"
        case _:
            return message_of(wrong)
