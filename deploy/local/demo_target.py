"""Which running stack the demo talks to: the local one by its run directory, or any other by its addresses in the environment."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from deploy.local.credentials import Credentials
from deploy.local.errors import StackError
from deploy.local.settings import LocalSettings
from deploy.local.shop import USER
from deploy.local.state import StackState
from deploy.local.tokens import TokenMint

ADDRESSES = ("GATEWAY_URL", "MAIL_PAGE_URL", "AMQP_URL", "TOKEN_DEMO_SECRET", "LINK_SECRET")


@dataclass(frozen=True)
class DemoTarget:
    """Where the API, the caught mails and the broker are, and how long the notifier waits before it mails."""

    gateway_url: str
    mail_page_url: str
    amqp_url: str
    mail_delay_s: float
    mint: TokenMint

    @classmethod
    def read(cls, environment: Mapping[str, str]) -> "DemoTarget":
        """With GATEWAY_URL all addresses and secrets come from the environment. Raises StackError where no stack is named."""
        if environment.get("GATEWAY_URL"):
            return cls._given(environment)
        settings = LocalSettings.read(environment)
        return cls._local(settings, StackState.read(settings.run_directory))

    @classmethod
    def _given(cls, environment: Mapping[str, str]) -> "DemoTarget":
        missing = [name for name in ADDRESSES if not environment.get(name)]
        if missing:
            raise StackError(f"with GATEWAY_URL, {', '.join(missing)} must be set too")
        gateway_url, mail_page_url, amqp_url, token_secret, link_secret = (environment[name] for name in ADDRESSES)
        credentials = Credentials(
            token_secret, link_secret, command_id_secret="", address_key="", rabbitmq={}, mongo={}
        )
        delay_s = float(environment.get("MAIL_DELAY") or 0)
        return cls(gateway_url.rstrip("/"), mail_page_url.rstrip("/"), amqp_url, delay_s, TokenMint(credentials))

    @classmethod
    def _local(cls, settings: LocalSettings, state: StackState) -> "DemoTarget":
        credentials = Credentials.load_or_make(Path(settings.run_directory) / "secrets")
        return cls(
            gateway_url=state.gateway_url,
            mail_page_url=state.mail_page_url,
            amqp_url=f"amqp://{USER}:{credentials.rabbitmq[USER]}@127.0.0.1:{state.amqp_port}/parley",
            mail_delay_s=state.mail_delay_s,
            mint=TokenMint(credentials),
        )
