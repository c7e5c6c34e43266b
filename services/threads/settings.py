"""The settings of threads."""

import re
from typing import Annotated

from pydantic import Field, SecretStr, field_validator

from shared import topology
from shared.fields import Locale, SendableAddress
from shared.settings import MAIL_LANGUAGES, CommonSettings, Port, ShopSettings, TokenSettings

ROLES = frozenset({"worker", "api"})


class Settings(CommonSettings, ShopSettings, TokenSettings):
    """`roles`: `worker` applies commands, `api` answers queries; one process may be both (`worker,api`)."""

    http_port: Port = 8081
    mongo_url: SecretStr
    mongo_database: str = "threads"
    address_key: Annotated[SecretStr, Field(min_length=32)]
    roles: str = "worker,api"
    admin_email: SendableAddress | None = None
    admin_locale: Locale = "en"
    group_max: Annotated[int, Field(ge=1, le=1_000)] = 128
    ready_lag_s: Annotated[float, Field(gt=0)] = 300
    order_publishers: str = topology.ORDER_PUBLISHERS

    @field_validator("order_publishers")
    @classmethod
    def _users_of_rabbitmq(cls, value: str) -> str:
        topology.publishers(value)
        return value

    @field_validator("roles")
    @classmethod
    def _known_roles(cls, value: str) -> str:
        if not _split(value) or not _split(value) <= ROLES:
            raise ValueError("must be worker, api or worker,api")
        return value

    @field_validator("admin_locale")
    @classmethod
    def _language_of_mails(cls, value: str) -> str:
        if re.split("[-_]", value)[0].lower() not in MAIL_LANGUAGES:
            raise ValueError(
                f"must be in a language that mails are written in: {', '.join(MAIL_LANGUAGES)} (or de-AT, …)"
            )
        return value

    @property
    def publishers(self) -> frozenset[str]:
        """The shop's RabbitMQ users, beside the gateway's."""
        return frozenset(topology.publishers(self.order_publishers))

    @property
    def role_set(self) -> frozenset[str]:
        return _split(self.roles)


def _split(roles: str) -> frozenset[str]:
    return frozenset(part.strip() for part in roles.split(",") if part.strip())
