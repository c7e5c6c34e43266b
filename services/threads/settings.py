"""The settings of threads."""

from typing import Annotated, Self

from pydantic import Field, SecretStr, model_validator

from shared.fields import EmailAddress, Locale
from shared.settings import CommonSettings, TokenSettings

ROLES = frozenset({"worker", "api"})


class Settings(CommonSettings, TokenSettings):
    """`roles`: `worker` applies commands, `api` answers queries; one process may be both (`worker,api`)."""

    http_port: int = 8081
    mongo_url: SecretStr
    mongo_database: str = "threads"
    roles: str = "worker,api"
    admin_email: EmailAddress | None = None
    admin_locale: Locale = "en"
    group_max: Annotated[int, Field(ge=1, le=1_000)] = 128
    ready_lag_s: Annotated[float, Field(gt=0)] = 300

    @model_validator(mode="after")
    def _roles_are_known(self) -> Self:
        if not self.role_set or not self.role_set <= ROLES:
            raise ValueError("ROLES must be worker, api or worker,api")
        return self

    @property
    def role_set(self) -> frozenset[str]:
        return frozenset(part.strip() for part in self.roles.split(",") if part.strip())
