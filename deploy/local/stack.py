"""Starts the stack in order, watches over it, and stops it in the opposite order."""

import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

from deploy.local import mongod_binary
from deploy.local.credentials import Credentials, mongo_key_file
from deploy.local.errors import StackError
from deploy.local.mongodb import Access, MongoServer
from deploy.local.ports import LOOPBACK, require_free
from deploy.local.processes import Children, ServerProcess
from deploy.local.progress import EndRequest, Progress, wait_until
from deploy.local.rabbitmq import RabbitNode, require_installed
from deploy.local.records import ProcessRecords
from deploy.local.services import SERVICES, environments
from deploy.local.settings import REPOSITORY, LocalSettings
from deploy.local.state import StackState
from shared.topology import definitions

SERVICE_START_TIMEOUT_S = 60.0
SERVICE_STOP_TIMEOUT_S = 20.0
WATCH_EVERY_S = 0.2


class Stack:
    """RabbitMQ, MongoDB, the mail catcher, the three services and the playground, as children of this process."""

    def __init__(self, settings: LocalSettings, *, progress: Progress, end: EndRequest) -> None:
        self._settings, self._progress, self._end = settings, progress, end
        run = settings.run_directory
        self._records = ProcessRecords(run / "processes")
        self._children = Children(logs=run / "log", records=self._records)
        self._rabbit: RabbitNode | None = None
        self._mongo: MongoServer | None = None
        self._catcher: ServerProcess | None = None
        self._services: dict[str, ServerProcess] = {}
        self._playground: ServerProcess | None = None

    def start(self, credentials: Credentials) -> None:
        """Returns when everything is ready. Raises StackError or Interrupted; `stop` then stops what was started."""
        self._stop_left_over()
        require_free(self._settings.ports)
        require_installed()
        binary = mongod_binary.find(self._settings.tools_directory, self._progress)
        self._start_servers(credentials, binary=binary)
        self._start_services(credentials)
        self._start_playground()

    def watch(self) -> None:
        """Returns when the end was asked for. Raises StackError when a part of the stack has ended by itself."""
        while not self._end.requested:
            self.require_running()
            time.sleep(WATCH_EVERY_S)

    def require_running(self) -> None:
        for process in self._running():
            process.require_running()

    @property
    def has_started(self) -> bool:
        """Whether there is, or was, anything to stop."""
        return any(True for _ in self._stops())

    def stop(self) -> None:
        """The playground and the services first, so that nobody misses a server; then catcher, MongoDB and RabbitMQ with its epmd.

        Raises StackError where something would not end, after everything else has been stopped.
        """
        failures: list[StackError] = []
        for what, stop in self._stops():
            self._progress.say(f"stopping {what}")
            try:
                stop()
            except StackError as failure:
                failures.append(failure)
        if failures:
            raise failures[0]

    def _stops(self) -> Iterator[tuple[str, Callable[[], None]]]:
        if self._playground is not None:
            yield "the playground", self._playground.stop
        for name, service in reversed(self._services.items()):
            yield name, partial(service.stop, timeout_s=SERVICE_STOP_TIMEOUT_S)
        if self._catcher is not None:
            yield "the mail catcher", self._catcher.stop
        if self._mongo is not None:
            yield "MongoDB", self._mongo.stop
        if self._rabbit is not None:
            yield "RabbitMQ (takes about six seconds)", self._rabbit.stop

    def state(self, pid: int) -> StackState:
        settings = self._settings
        return StackState(
            pid=pid,
            gateway_url=settings.gateway_url,
            threads_url=settings.threads_url,
            notifier_url=settings.address("NOTIFIER_PORT"),
            mail_page_url=settings.mail_page_url,
            amqp_port=settings.ports["AMQP_PORT"],
            mongo_url=settings.mongo_url,
            mail_delay_s=settings.mail_delay_s,
        )

    def _stop_left_over(self) -> None:
        for recorded in self._records.stop_left_over():
            self._progress.say(f"stopped what an earlier run had left behind: {recorded.name} (pid {recorded.pid})")

    def _start_servers(self, credentials: Credentials, *, binary: Path) -> None:
        run, ports = self._settings.run_directory, self._settings.ports
        self._rabbit = RabbitNode(
            run / "rabbitmq",
            amqp_port=ports["AMQP_PORT"],
            management_port=ports["MANAGEMENT_PORT"],
            definitions=definitions(credentials.rabbitmq),
            children=self._children,
        )
        self._mongo = MongoServer(
            run / "mongo",
            port=ports["MONGO_PORT"],
            binary=binary,
            children=self._children,
            access=Access(mongo_key_file(run / "secrets"), credentials.mongo),
        )
        self._catcher = self._catcher_process()
        self._progress.say("starting RabbitMQ, MongoDB and the mail catcher")
        self._rabbit.start()
        self._mongo.start()
        self._catcher.start()
        self._mongo.wait_ready(end=self._end)
        self._progress.say(f"MongoDB is ready on port {ports['MONGO_PORT']}")
        self._wait_for_page(self._catcher, f"{self._settings.mail_page_url}/livez")
        self._progress.say(f"the mail catcher is ready on port {ports['SMTP_PORT']}")
        self._rabbit.wait_ready(end=self._end)
        self._progress.say(f"RabbitMQ is ready on port {ports['AMQP_PORT']}")

    def _start_services(self, credentials: Credentials) -> None:
        self._progress.say(f"starting {', '.join(SERVICES)}")
        for name, environment in environments(self._settings, credentials).items():
            command = [sys.executable, "-m", f"services.{name}"]
            service = self._children.make(name, command, environment=environment, directory=REPOSITORY)
            service.start()
            self._services[name] = service
        for name, service in self._services.items():
            address = self._settings.address(f"{name.upper()}_PORT")
            self._wait_for_page(service, f"{address}/readyz")
            self._progress.say(f"{name} is ready on {address}")

    def _catcher_process(self) -> ServerProcess:
        environment = {
            "MAIL_DIRECTORY": str(self._settings.run_directory / "mail"),
            "MAIL_HOST": LOOPBACK,
            "SMTP_PORT": str(self._settings.ports["SMTP_PORT"]),
            "MAIL_PAGE_PORT": str(self._settings.ports["MAIL_PAGE_PORT"]),
        }
        command = [sys.executable, "-m", "deploy.local.mail_catcher"]
        return self._children.make("mail_catcher", command, environment=environment, directory=REPOSITORY)

    def _start_playground(self) -> None:
        settings = self._settings
        environment = {
            "PLAYGROUND_PORT": str(settings.ports["PLAYGROUND_PORT"]),
            "GATEWAY_URL": settings.gateway_url,
            "SECRETS_DIRECTORY": str(settings.run_directory / "secrets"),
        }
        command = [sys.executable, "-m", "deploy.local.playground"]
        self._playground = self._children.make("playground", command, environment=environment, directory=REPOSITORY)
        self._playground.start()
        self._wait_for_page(self._playground, f"{settings.playground_url}/livez")

    def _wait_for_page(self, process: ServerProcess, url: str) -> None:
        wait_until(
            lambda: answers_ok(url),
            what=f"{process.name} (log: {process.log})",
            timeout_s=SERVICE_START_TIMEOUT_S,
            alive=self.require_running,
            end=self._end,
        )

    def _running(self) -> list[ServerProcess]:
        """Everything that was started and should run."""
        servers = [part.process for part in (self._rabbit, self._mongo) if part is not None]
        catcher = [] if self._catcher is None else [self._catcher]
        playground = [] if self._playground is None else [self._playground]
        return [*servers, *catcher, *self._services.values(), *playground]


def answers_ok(url: str) -> bool:
    try:
        with urllib.request.urlopen(url, timeout=2) as answer:  # noqa: S310 - our own address, always http
            return bool(answer.status == 200)
    except (OSError, urllib.error.URLError):
        return False
