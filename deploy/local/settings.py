"""Where the local stack lives and which ports it takes; each is an environment variable (`make run GATEWAY_PORT=9090`)."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from deploy.local.errors import StackError
from deploy.local.ports import LOOPBACK
from shared import topology

REPOSITORY = Path(__file__).resolve().parents[2]
DEFAULT_PORTS = {
    "GATEWAY_PORT": 8080,
    "THREADS_PORT": 8081,
    "NOTIFIER_PORT": 8082,
    "AMQP_PORT": 5673,
    "MANAGEMENT_PORT": 15673,
    "MONGO_PORT": 27117,
    "SMTP_PORT": 1025,
    "MAIL_PAGE_PORT": 8025,
    "PLAYGROUND_PORT": 8090,
}
DEFAULT_MAIL_DELAY_S = 2.0


@dataclass(frozen=True)
class LocalSettings:
    """One local stack. Two of them can run beside each other with other ports and another RUN_DIR."""

    run_directory: Path
    ports: Mapping[str, int]
    mail_delay_s: float = DEFAULT_MAIL_DELAY_S
    log_level: str = "info"
    publishers: tuple[str, ...] = (topology.SHOP,)
    more_origins: str = ""

    @classmethod
    def read(cls, environment: Mapping[str, str]) -> "LocalSettings":
        """Raises StackError for a value that cannot be."""
        directory = Path(environment.get("RUN_DIR") or REPOSITORY / ".run")
        return cls(
            run_directory=directory if directory.is_absolute() else REPOSITORY / directory,
            ports={name: _port(name, environment.get(name), default) for name, default in DEFAULT_PORTS.items()},
            mail_delay_s=_seconds("MAIL_DELAY", environment.get("MAIL_DELAY"), DEFAULT_MAIL_DELAY_S),
            log_level=environment.get("LOG_LEVEL") or "info",
            publishers=_publishers(environment.get("ORDER_PUBLISHERS")),
            more_origins=environment.get("CORS_ORIGINS") or "",
        )

    @property
    def tools_directory(self) -> Path:
        """What was fetched once serves every stack of this checkout."""
        return REPOSITORY / ".run" / "tools"

    @property
    def gateway_url(self) -> str:
        return self.address("GATEWAY_PORT")

    @property
    def login_url(self) -> str:
        """The pages' demo login; it takes a token in the fragment, which browsers send to nobody."""
        return f"{self.gateway_url}/pages/login"

    @property
    def threads_url(self) -> str:
        return self.address("THREADS_PORT")

    @property
    def mail_page_url(self) -> str:
        return self.address("MAIL_PAGE_PORT")

    @property
    def playground_url(self) -> str:
        return self.address("PLAYGROUND_PORT")

    @property
    def cors_origins(self) -> str:
        """Whose pages may call the API: the playground, by each of its names, and what CORS_ORIGINS adds."""
        port = self.ports["PLAYGROUND_PORT"]
        return f"http://{LOOPBACK}:{port} http://localhost:{port} {self.more_origins}".strip()

    @property
    def mongo_url(self) -> str:
        """Without credentials."""
        return f"mongodb://{LOOPBACK}:{self.ports['MONGO_PORT']}/?replicaSet=rs0"

    def address(self, setting: str) -> str:
        return f"http://{LOOPBACK}:{self.ports[setting]}"

    def amqp_url(self, user: str, password: str) -> str:
        return f"amqp://{user}:{password}@{LOOPBACK}:{self.ports['AMQP_PORT']}/parley"


def _port(name: str, value: str | None, default: int) -> int:
    if not value:
        return default
    if not value.isdecimal() or not 1 <= int(value) <= 65_535:
        raise StackError(f"{name} must be a port from 1 to 65535, not {value!r}")
    return int(value)


def _publishers(value: str | None) -> tuple[str, ...]:
    """The demo shop's user is always among them."""
    try:
        return tuple(dict.fromkeys((topology.SHOP, *(topology.publishers(value) if value else ()))))
    except ValueError as error:
        raise StackError(f"ORDER_PUBLISHERS: {error}") from None


def _seconds(name: str, value: str | None, default: float) -> float:
    if not value:
        return default
    try:
        seconds = float(value)
    except ValueError:
        seconds = -1.0
    if not 0 <= seconds <= 86_400:
        raise StackError(f"{name} must be a number of seconds from 0 to 86400, not {value!r}")
    return seconds
