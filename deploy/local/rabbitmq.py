"""A private RabbitMQ node from the system's package: loopback only, its own epmd, everything below one directory."""

import hashlib
import json
import os
import shlex
import shutil
import socket
import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from deploy.local.errors import StackError
from deploy.local.ports import LOOPBACK, free_port
from deploy.local.processes import Children
from deploy.local.progress import EndRequest, wait_until

# /usr/sbin/rabbitmq-server refuses ordinary users, and as root becomes the user rabbitmq; the script behind it does neither.
SCRIPTS = Path("/usr/lib/rabbitmq/bin")
NODE_NAME = "parley@localhost"
PLUGINS = ("rabbitmq_management",)
EXPORTER = "rabbitmq_prometheus"
START_TIMEOUT_S = 90.0
# With a stream in it, a node takes five seconds more to stop: the stream coordinator's own time-out (seen on 3.10.8).
STOP_TIMEOUT_S = 30.0
EPMD_STOP_TIMEOUT_S = 5.0
PROTOCOL_HEADER = b"AMQP\x00\x00\x09\x01"
HOW_TO_INSTALL = "apt-get install --no-install-recommends rabbitmq-server"

ACCESS_PARTS = ("vhosts", "users", "permissions", "topic_permissions")
TOPOLOGY_PARTS = ("exchanges", "queues", "bindings")
IMPORT_TIMEOUT_S = 60

Definitions = Mapping[str, Any]


class RabbitNode:
    """One broker: an Erlang node and an epmd of its own, started and stopped together.

    Users and permissions are imported at every start, before clients can connect. Exchanges, queues and bindings are made
    once, when the node has started, and again when they have changed: RabbitMQ 4.0 ends in the middle of its start where it
    is to bind a stream whose leader is not there yet. What exists stays as it is.
    """

    def __init__(
        self,
        directory: Path,
        *,
        amqp_port: int,
        management_port: int,
        definitions: Definitions,
        children: Children,
        settings: Mapping[str, str] | None = None,
        exporter_port: int | None = None,
    ) -> None:
        """`exporter_port` is where RabbitMQ's own figures for Prometheus are served, if anywhere."""
        self.amqp_port, self.management_port, self.exporter_port = amqp_port, management_port, exporter_port
        self._directory = directory.resolve()
        self._definitions, self._settings = definitions, dict(settings or {})
        environment = self._environment(epmd_port=free_port(), distribution_port=free_port())
        self._epmd = children.make("epmd", ["epmd"], environment=environment, directory=Path("/"))
        self.process = children.make(
            "rabbitmq", [str(SCRIPTS / "rabbitmq-server")], environment=environment, directory=Path("/")
        )
        self._ctl_environment = environment
        self._topology = _Topology(self._directory, definitions)

    def start(self) -> None:
        """Starts epmd and node, and returns at once: `wait_ready` waits."""
        require_installed()
        self._write_files()
        if not self._epmd.is_running:
            self._epmd.start()
        self.process.start()

    def wait_ready(self, *, end: EndRequest | None = None, timeout_s: float = START_TIMEOUT_S) -> None:
        """Returns when clients can connect and find every queue. Raises StackError with the node's last words if it ended."""
        alive = self.process.require_running
        wait_until(self.answers, what="RabbitMQ", timeout_s=timeout_s, alive=alive, end=end)
        wait_until(self._topology.is_made, what="RabbitMQ's queues", timeout_s=timeout_s, alive=alive, end=end)

    def answers(self) -> bool:
        """Whether the broker greets a client; its AMQP listener opens last."""
        try:
            with socket.create_connection((LOOPBACK, self.amqp_port), timeout=1) as connection:
                connection.settimeout(2)
                connection.sendall(PROTOCOL_HEADER)
                return connection.recv(1) == b"\x01"
        except OSError:
            return False

    def stop(self) -> None:
        self.process.stop(timeout_s=STOP_TIMEOUT_S)
        self._epmd.stop(timeout_s=EPMD_STOP_TIMEOUT_S)

    def kill(self) -> None:
        """As a power cut would: queues and messages on disk stay."""
        self.process.kill()
        self._epmd.kill()

    def _write_files(self) -> None:
        for part in ("home", "mnesia", "log", "conf.d"):
            (self._directory / part).mkdir(parents=True, exist_ok=True)
        self._directory.chmod(0o700)
        (self._directory / "enabled_plugins").write_text(f"[{','.join(self._plugins())}].\n")
        access = {part: self._definitions[part] for part in ACCESS_PARTS if part in self._definitions}
        (self._directory / "access.json").write_text(json.dumps(access, indent=1))
        (self._directory / "rabbitmq.conf").write_text(self._configuration())
        ctl = self._directory / "rabbitmqctl"
        exports = " ".join(f"{name}={shlex.quote(value)}" for name, value in self._ctl_environment.items())
        ctl.write_text(f'#!/bin/sh\nexec env {exports} {SCRIPTS}/rabbitmqctl "$@"\n')
        ctl.chmod(0o700)

    def _plugins(self) -> tuple[str, ...]:
        return PLUGINS if self.exporter_port is None else (*PLUGINS, EXPORTER)

    def _configuration(self) -> str:
        settings = {
            "listeners.tcp.1": f"{LOOPBACK}:{self.amqp_port}",
            "management.tcp.ip": LOOPBACK,
            "management.tcp.port": str(self.management_port),
            "load_definitions": str(self._directory / "access.json"),
            "vm_memory_high_watermark.absolute": "1GB",
            "disk_free_limit.absolute": "200MB",
            "raft.wal_max_size_bytes": "67108864",
            # As in deploy/containers/rabbitmq.conf.
            "consumer_timeout": "86400000",
        } | self._settings
        if self.exporter_port is not None:
            settings |= {"prometheus.tcp.ip": LOOPBACK, "prometheus.tcp.port": str(self.exporter_port)}
        return "".join(f"{name} = {value}\n" for name, value in settings.items())

    def _environment(self, *, epmd_port: int, distribution_port: int) -> dict[str, str]:
        """The variables that the node, its epmd and `rabbitmqctl` must share."""
        here = self._directory
        return {
            "HOME": str(here / "home"),
            "LANG": "C.UTF-8",
            "RABBITMQ_NODENAME": NODE_NAME,
            "RABBITMQ_DIST_PORT": str(distribution_port),
            "RABBITMQ_MNESIA_BASE": str(here / "mnesia"),
            "RABBITMQ_LOG_BASE": str(here / "log"),
            "RABBITMQ_LOGS": "-",
            "RABBITMQ_LOG": "info,-color",
            "RABBITMQ_CONFIG_FILE": str(here / "rabbitmq.conf"),
            "RABBITMQ_CONFIG_FILES": str(here / "conf.d"),
            "RABBITMQ_ADVANCED_CONFIG_FILE": str(here / "advanced.config"),
            "RABBITMQ_CONF_ENV_FILE": "/dev/null",
            "RABBITMQ_ENABLED_PLUGINS_FILE": str(here / "enabled_plugins"),
            "ERL_EPMD_ADDRESS": LOOPBACK,
            "ERL_EPMD_PORT": str(epmd_port),
            # Without inet_dist_use_interface the node would take Erlang distribution from every network.
            "RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS": "-kernel inet_dist_use_interface {127,0,0,1} +S 2:2",
            # Lets the start script become the Erlang node instead of waiting for it, so that signals reach the node.
            "RUNNING_UNDER_SYSTEMD": "true",
        }


class _Topology:
    """Exchanges, queues and bindings, and whether this node has them already."""

    def __init__(self, directory: Path, definitions: Definitions) -> None:
        self._ctl, self._file, self._imported = (
            directory / name for name in ("rabbitmqctl", "topology.json", "imported")
        )
        self._content = json.dumps({part: definitions.get(part, []) for part in TOPOLOGY_PARTS}, indent=1)
        self._is_empty = not definitions.get("queues")

    def is_made(self) -> bool:
        """Makes it where it is not; False where that did not work, which right after a start may be so for a moment."""
        fingerprint = hashlib.sha256(self._content.encode()).hexdigest()
        if self._is_empty or (self._imported.exists() and self._imported.read_text() == fingerprint):
            return True
        self._file.write_text(self._content)
        command = [str(self._ctl), "--quiet", "import_definitions", str(self._file)]
        done = subprocess.run(command, capture_output=True, timeout=IMPORT_TIMEOUT_S, check=False)
        if done.returncode == 0:
            self._imported.write_text(fingerprint)
        return done.returncode == 0


def require_installed() -> None:
    """Raises StackError with the command to type where the system's package is missing."""
    if not os.access(SCRIPTS / "rabbitmq-server", os.X_OK) or shutil.which("epmd") is None:
        sudo = "" if os.geteuid() == 0 else "sudo "
        raise StackError(f"RabbitMQ is not installed; type:  {sudo}{HOW_TO_INSTALL}")
