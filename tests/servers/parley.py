"""The three services together, wired to one virtual host, databases and SMTP server of a test's own."""

import asyncio
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from deploy.local.credentials import Credentials
from deploy.local.ports import LOOPBACK, free_port
from deploy.local.services import SERVICES, environments
from deploy.local.settings import DEFAULT_PORTS, LocalSettings
from deploy.local.tokens import TokenMint
from deploy.mongo_access import USERS as MONGO_USERS
from tests.servers.mongodb import FreshDatabases, SharedMongo
from tests.servers.rabbitmq import PASSWORDS, SharedRabbit, Vhost, make_vhost
from tests.servers.services import ServiceProcess
from tests.servers.smtp import SmtpServer

CREDENTIALS = Credentials(
    token_secret="token-secret-of-the-tests-32-bytes-and-more",
    link_secret="link-secret-of-the-tests-32-bytes-and-more",
    command_id_secret="command-id-secret-of-the-tests-32-bytes",
    address_key="address-key-of-the-tests-32-bytes-and-more",
    rabbitmq=dict(PASSWORDS),
    mongo={user: f"{user}-password" for user in MONGO_USERS},
)


class Parley:
    """A whole Parley for one test. Services are started by name, any number of each, with settings of one's own.

    parley.start("threads", "notifier", "gateway")
    await parley.ready()
    second = parley.add("threads", label="threads-2", ROLES="worker").start()
    """

    def __init__(
        self, *, vhost: Vhost, mongo: SharedMongo, databases: FreshDatabases, smtp: SmtpServer, directory: Path
    ) -> None:
        self.vhost, self.smtp, self.mongo = vhost, smtp, mongo
        self.mint = TokenMint(CREDENTIALS)
        self.database_names = {service: databases(service) for service in ("threads", "notifier")}
        self.services: dict[str, ServiceProcess] = {}
        self._directory = directory
        self._settings = LocalSettings(directory, {name: free_port() for name in DEFAULT_PORTS}, mail_delay_s=0)

    @property
    def gateway_url(self) -> str:
        return self._settings.gateway_url

    @property
    def threads_url(self) -> str:
        return self._settings.threads_url

    def add(
        self, service: str, *, label: str | None = None, module: str | None = None, **settings: str
    ) -> ServiceProcess:
        """A service process, not started yet, with these settings instead of the usual (`MAIL_DELAY="1"`).

        The first of each service has the port that the others know; one with a label of its own gets a free one.
        """
        name = label or service
        environment = {**self.environment(service), **settings}
        if name != service and "HTTP_PORT" not in settings:
            environment["HTTP_PORT"] = str(free_port())
        process = ServiceProcess(service, environment, directory=self._directory, label=name, module=module)
        self.services[name] = process
        return process

    def start(self, *services: str, **settings: str) -> None:
        """Starts these services (all three, if none is named) and returns at once."""
        for service in services or SERVICES:
            self.add(service, **settings).start()

    async def ready(self, *, timeout_s: float = 30) -> None:
        """Returns when every service that runs is ready."""
        running = [process for process in self.services.values() if process.is_running]
        await asyncio.gather(*(process.ready(timeout_s=timeout_s) for process in running))

    def environment(self, service: str) -> dict[str, str]:
        """The settings of a service here; a test that runs a part of it in its own process can use them too."""
        own: Mapping[str, str] = environments(self._settings, CREDENTIALS)[service]
        changed = {"AMQP_URL": self.vhost.url(service), "LOG_LEVEL": "debug"}
        if service in self.database_names:
            changed |= {"MONGO_URL": self.mongo.url, "MONGO_DATABASE": self.database_names[service]}
        if service == "gateway":
            changed |= {"PERSON_WRITES_PER_S": "0", "PERSON_KEPT_MB_PER_H": "0", "THREAD_WRITES_PER_S": "0"}
        if service == "notifier":
            changed |= {"SMTP_HOST": LOOPBACK, "SMTP_PORT": str(self.smtp.port), "MAIL_LIMIT": "0"}
        return {**own, **changed}

    def customer(self, person: str, name: str | None = None) -> str:
        """A bearer token."""
        return self.mint.mint("customer", person, name=name)

    def seller(self, seller_id: str, *, login: str | None = None, name: str | None = None) -> str:
        return self.mint.mint("seller", login or f"{seller_id}-login", name=name, seller_id=seller_id)

    def admin(self, person: str = "a-1", name: str | None = "Shop staff") -> str:
        return self.mint.mint("admin", person, name=name)

    def service(self, person: str = "demo-shop") -> str:
        return self.mint.mint("service", person)

    def guest(self, order_id: str) -> str:
        return self.mint.mint_guest(order_id)

    def kill(self) -> None:
        """Ends every service process at once; for the fixture."""
        for process in self.services.values():
            process.resume()
            process.kill()


@contextmanager
def own_parley(rabbit: SharedRabbit, mongo: SharedMongo, directory: Path) -> Iterator[Parley]:
    """A Parley on a virtual host, databases and an SMTP server of its own, its services not started yet. All of it is gone afterwards."""
    vhost, databases, smtp = make_vhost(rabbit), FreshDatabases(mongo), SmtpServer()
    smtp.start()
    parley = Parley(vhost=vhost, mongo=mongo, databases=databases, smtp=smtp, directory=directory)
    try:
        yield parley
    finally:
        parley.kill()
        smtp.close()
        vhost.delete()
        databases.drop()
