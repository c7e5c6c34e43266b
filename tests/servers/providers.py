"""Where the servers come from: an address in the environment, else a server of this machine, else a container.

TEST_SERVERS=containers asks for containers whatever else there is; RABBITMQ_IMAGE and MONGO_IMAGE name the images.
"""

import os
import shutil
import signal
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

import pytest

from deploy.local import mongod_binary, rabbitmq
from deploy.local.errors import StackError
from deploy.local.mongodb import MongoServer, wait_for_primary
from deploy.local.ports import LOOPBACK, free_port
from deploy.local.processes import Children
from deploy.local.progress import Progress
from deploy.local.rabbitmq import RabbitNode
from deploy.local.settings import REPOSITORY
from shared.topology import definitions
from tests.servers.control import InContainer, NotOurs
from tests.servers.mongodb import SharedMongo
from tests.servers.rabbitmq import (
    ADMIN,
    PASSWORDS,
    Ctl,
    Management,
    RabbitAddress,
    SharedRabbit,
    local_ctl,
    make_users,
)
from tests.servers.waiting import eventually_now

RABBITMQ_IMAGE = "rabbitmq:4-management"
MONGO_IMAGE = "mongo:8.0"
CONTAINER_START_TIMEOUT_S = 120
# Without it, some images' node is a child of shells that pass no signal on: stopping would be killing.
NODE_AS_PID_1 = REPOSITORY / "deploy" / "containers" / "rabbitmq.sh"
TOOLS = REPOSITORY / ".run" / "tools"


def short_lived_children(directory: Path) -> Children:
    """Children of the test run: killed by the kernel when pytest dies, whatever it dies of."""
    return Children(logs=directory / "log", orphan_signal=signal.SIGKILL)


class LocalRabbit:
    """Controls a node of our own."""

    def __init__(self, node: RabbitNode) -> None:
        self.node = node

    def start(self) -> None:
        self.node.start()
        self.node.wait_ready()

    def stop(self) -> None:
        self.node.stop()

    def kill(self) -> None:
        self.node.kill()

    def pause(self) -> None:
        self.node.process.pause()

    def resume(self) -> None:
        self.node.process.resume()


class LocalMongo:
    """Controls a mongod of our own."""

    def __init__(self, server: MongoServer) -> None:
        self.server = server

    def start(self) -> None:
        self.server.start()
        self.server.wait_ready()

    def stop(self) -> None:
        self.server.stop()

    def kill(self) -> None:
        self.server.kill()

    def pause(self) -> None:
        self.server.process.pause()

    def resume(self) -> None:
        self.server.process.resume()


@contextmanager
def shared_rabbit(directory: Path) -> Iterator[SharedRabbit]:
    given = os.environ.get("TEST_AMQP_URL")
    if given:
        yield _given_rabbit(given)
        return
    try:
        _require_local_servers()
        rabbitmq.require_installed()
    except StackError as missing:
        with _rabbit_in_container(str(missing)) as server:
            yield server
        return
    with local_rabbit(directory) as server:
        yield server


def _require_local_servers() -> None:
    if os.environ.get("TEST_SERVERS") == "containers":
        raise StackError("TEST_SERVERS asks for containers")


@contextmanager
def local_rabbit(directory: Path) -> Iterator[SharedRabbit]:
    """A private node from the system's package, killed in the end: its data is of no use to anybody."""
    amqp_port, management_port, exporter_port = free_port(), free_port(), free_port()
    node = RabbitNode(
        directory / "rabbitmq",
        amqp_port=amqp_port,
        management_port=management_port,
        exporter_port=exporter_port,
        definitions={**definitions(PASSWORDS), "exchanges": [], "queues": [], "bindings": []},
        children=short_lived_children(directory),
        settings={"management.rates_mode": "none"},
    )
    control = LocalRabbit(node)
    try:
        control.start()
        management = Management(LOOPBACK, management_port, user=ADMIN, password=PASSWORDS[ADMIN])
        address = RabbitAddress(LOOPBACK, amqp_port, management, exporter_port)
        yield SharedRabbit(address, control, ctl=local_ctl(str(directory / "rabbitmq" / "rabbitmqctl")))
    finally:
        node.process.resume()
        node.kill()
        shutil.rmtree(directory / "rabbitmq", ignore_errors=True)


@contextmanager
def shared_mongo(directory: Path) -> Iterator[SharedMongo]:
    given = os.environ.get("TEST_MONGO_URL")
    if given:
        yield SharedMongo(given, NotOurs())
        return
    try:
        _require_local_servers()
        binary = mongod_binary.find(TOOLS, Progress())
    except StackError as missing:
        with _mongo_in_container(str(missing)) as server:
            yield server
        return
    with local_mongo(directory, binary) as server:
        yield server


@contextmanager
def local_mongo(directory: Path, binary: Path) -> Iterator[SharedMongo]:
    """A mongod of our own, killed in the end."""
    server = MongoServer(directory / "mongo", port=free_port(), binary=binary, children=short_lived_children(directory))
    control = LocalMongo(server)
    try:
        control.start()
        yield SharedMongo(server.url, control)
    finally:
        server.process.resume()
        server.kill()
        shutil.rmtree(directory / "mongo", ignore_errors=True)


def _given_rabbit(url: str) -> SharedRabbit:
    """TEST_AMQP_URL names an administrator; its management API is on TEST_MANAGEMENT_PORT, else on the AMQP port + 10000."""
    parts = urlsplit(url)
    host, port = parts.hostname or LOOPBACK, parts.port or 5672
    management = Management(
        host,
        int(os.environ.get("TEST_MANAGEMENT_PORT") or port + 10_000),
        user=unquote(parts.username or "guest"),
        password=unquote(parts.password or "guest"),
    )
    make_users(management)
    return SharedRabbit(RabbitAddress(host, port, management), NotOurs())


@contextmanager
def _rabbit_in_container(why: str) -> Iterator[SharedRabbit]:
    amqp_port, management_port, exporter_port = free_port(), free_port(), free_port()
    container = _container(os.environ.get("RABBITMQ_IMAGE", RABBITMQ_IMAGE), why)
    container = container.with_bind_ports(5672, amqp_port).with_bind_ports(15672, management_port)
    container = container.with_bind_ports(15692, exporter_port)
    container = container.with_env("RABBITMQ_DEFAULT_USER", ADMIN).with_env("RABBITMQ_DEFAULT_PASS", PASSWORDS[ADMIN])
    container = container.with_volume_mapping(str(NODE_AS_PID_1), "/rabbitmq.sh")
    container = container.with_kwargs(entrypoint=["/bin/sh", "/rabbitmq.sh"])
    management = Management(LOOPBACK, management_port, user=ADMIN, password=PASSWORDS[ADMIN])

    def wait_ready() -> None:
        eventually_now(management.answers, timeout_s=CONTAINER_START_TIMEOUT_S, what="RabbitMQ in a container")

    with container:
        wait_ready()
        make_users(management)
        control = InContainer(container.get_wrapped_container(), wait_ready)
        address = RabbitAddress(LOOPBACK, amqp_port, management, exporter_port)
        yield SharedRabbit(address, control, ctl=_container_ctl(container))


def _container_ctl(container: Any) -> Ctl:
    def run(arguments: Sequence[str]) -> str:
        status, output = container.exec(["rabbitmqctl", "--quiet", *arguments])
        assert status == 0, f"rabbitmqctl {' '.join(arguments)}: {output.decode(errors='replace')}"
        return str(output.decode())

    return run


@contextmanager
def _mongo_in_container(why: str) -> Iterator[SharedMongo]:
    """mongod takes the same port inside and outside, so that its member's address is right for both."""
    port = free_port()
    options = f"--replSet rs0 --bind_ip_all --port {port} --networkMessageCompressors disabled"
    container = _container(os.environ.get("MONGO_IMAGE", MONGO_IMAGE), why)
    container = container.with_command(f"mongod {options}").with_bind_ports(port, port)

    def wait_ready() -> None:
        wait_for_primary(port, timeout_s=CONTAINER_START_TIMEOUT_S)

    with container:
        wait_ready()
        control = InContainer(container.get_wrapped_container(), wait_ready)
        yield SharedMongo(f"mongodb://{LOOPBACK}:{port}/?replicaSet=rs0", control)


def _container(image: str, why: str) -> Any:
    """A container of this image; without Docker the tests fail, and say what would let them run."""
    if shutil.which("docker") is None:
        pytest.fail(f"{why}  (or install Docker, or give TEST_AMQP_URL and TEST_MONGO_URL)", pytrace=False)
    from testcontainers.core.container import DockerContainer  # imported here: it talks to Docker when imported

    return DockerContainer(image)
