"""Settings from the environment: what all services share, and how a bad one stops the start with its name.

Each may also be a file of its own, called like the setting in lower case, in the folder that SECRETS_DIR names: orchestrators mount
secrets so, and a file is in nobody's list of processes. The environment wins; one that is empty there counts as not set.
"""

import os
import sys
from typing import Annotated, Self, TypeVar

from pydantic import Field, SecretStr, ValidationError, model_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

from shared.logs import LogFormat, LogLevel

S = TypeVar("S", bound=BaseSettings)
BAD_SETTING_EXIT = 2
CONFIG = SettingsConfigDict(frozen=True, extra="ignore", hide_input_in_errors=True, env_ignore_empty=True)


class CommonSettings(BaseSettings):
    """What every service is told. Names are those of the environment, in lower case."""

    model_config = CONFIG

    amqp_url: SecretStr
    http_host: str = "127.0.0.1"
    http_port: int
    log_format: LogFormat = "json"
    log_level: LogLevel = "info"
    demo: bool = False
    shutdown_grace_s: float = 10.0


class TokenSettings(BaseSettings):
    """How callers' tokens are checked, for the two services that do.

    A shared secret lets whoever holds it be anybody: it is taken in demo mode alone.
    """

    # Said again: of several bases, the last one's configuration holds.
    model_config = CONFIG

    token_issuer: Annotated[str, Field(min_length=1)]
    token_audience: Annotated[str, Field(min_length=1)] = "parley"  # noqa: S105 - an audience, not a secret
    token_jwks_url: str | None = None
    token_demo_secret: Annotated[SecretStr, Field(min_length=32)] | None = None
    link_secret: Annotated[SecretStr, Field(min_length=32)]
    demo: bool = False

    @model_validator(mode="after")
    def _one_kind_of_keys(self) -> Self:
        if (self.token_jwks_url is None) == (self.token_demo_secret is None):
            raise ValueError("set TOKEN_JWKS_URL, or in demo mode TOKEN_DEMO_SECRET, and not both")
        if self.token_demo_secret is not None and not self.demo:
            raise ValueError("TOKEN_DEMO_SECRET is for demo mode alone (DEMO=1); set TOKEN_JWKS_URL")
        return self


def load(kind: type[S]) -> S:
    """The settings, or the end of the process with one line for each bad one: its name and what it must be, never its value."""
    secrets = os.environ.get("SECRETS_DIR") or None
    if secrets is not None and not os.path.isdir(secrets):
        print(f"bad setting SECRETS_DIR: there is no folder {secrets}", file=sys.stderr)
        sys.exit(BAD_SETTING_EXIT)
    try:
        return kind(_secrets_dir=secrets)
    except ValidationError as error:
        for wrong in error.errors(include_input=False, include_url=False, include_context=False):
            name = "_".join(str(part) for part in wrong["loc"]).upper() or "settings"
            print(f"bad setting {name}: {wrong['msg']}", file=sys.stderr)
        sys.exit(BAD_SETTING_EXIT)
