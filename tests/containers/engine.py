"""The Docker engine, and a compose project of a test's own on it."""

import json
import os
import secrets
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from deploy.local.ports import free_port
from deploy.local.settings import REPOSITORY

COMMAND_LIMIT_S = 600
# Images made by hand where no registry can be reached; each stands in where it is there and nothing else was asked for.
STAND_INS = {
    "RABBITMQ_IMAGE": "local/rabbitmq:4.0",
    "MONGO_IMAGE": "local/mongo:6.0",
    "PYTHON_IMAGE": "local/python:3.13",
}
PORTS = ("GATEWAY_PORT", "AMQP_PORT", "MANAGEMENT_PORT", "MAIL_PAGE_PORT", "PROMETHEUS_PORT", "GRAFANA_PORT")


def require_engine() -> None:
    """Skips the test, and says why, unless containers were asked for and an engine with Compose answers."""
    if os.environ.get("TEST_CONTAINERS") != "1":
        pytest.skip("containers are tried by  make test-containers")
    if shutil.which("docker") is None:
        pytest.skip("there is no Docker on this machine")
    for command in (["docker", "info"], ["docker", "compose", "version"]):
        if subprocess.run(command, capture_output=True, timeout=60, check=False).returncode != 0:
            pytest.skip(f"`{' '.join(command)}` fails: no Docker engine with Compose answers")


def has_image(name: str) -> bool:
    return (
        subprocess.run(["docker", "image", "inspect", name], capture_output=True, timeout=60, check=False).returncode
        == 0
    )


def images() -> dict[str, str]:
    """The variables that name images: what was asked for, else what stands in."""
    found = {
        variable: os.environ.get(variable) or (image if has_image(image) else "")
        for variable, image in STAND_INS.items()
    }
    named = {variable: image for variable, image in found.items() if image}
    if "PYTHON_IMAGE" in named and "MAIL_CATCHER_IMAGE" not in os.environ:
        named |= {"MAIL_CATCHER_IMAGE": "parley-tools:latest", "MAIL_CATCHER_COMMAND": "deploy.local.mail_catcher"}
        named |= {"BUILD_NETWORK": "host"}
    return named


class Project:
    """One `docker compose` project with ports of its own, gone with its data after the test."""

    def __init__(self, file: Path = REPOSITORY / "docker-compose.yml", **settings: str) -> None:
        self.name = f"parley-test-{secrets.token_hex(3)}"
        self._file = file
        own = {"COMPOSE_PROJECT_NAME": self.name, "COMPOSE_FILE": str(file)}
        ports = {name: str(free_port()) for name in PORTS}
        self.environment = {**os.environ, **own, **ports, **images(), **settings}

    def compose(self, *arguments: str, check: bool = True) -> subprocess.CompletedProcess[str]:
        done = subprocess.run(
            ["docker", "compose", *arguments],
            cwd=REPOSITORY,
            env=self.environment,
            capture_output=True,
            text=True,
            timeout=COMMAND_LIMIT_S,
            check=False,
        )
        if check and done.returncode != 0:
            raise AssertionError(
                f"docker compose {' '.join(arguments)}: {done.stdout[-2_000:]}\n{done.stderr[-4_000:]}"
            )
        return done

    def up(self, *options: str) -> None:
        done = self.compose("up", "--detach", "--wait", *options, check=False)
        if done.returncode != 0:
            logs = self.compose("logs", "--no-color", "--tail", "20", check=False).stdout
            raise AssertionError(f"docker compose up failed: {done.stderr[-3_000:]}\n{logs[-6_000:]}")

    def down(self) -> None:
        self.compose("down", "--volumes", "--remove-orphans", "--timeout", "20", check=False)

    def demo(self) -> subprocess.CompletedProcess[str]:
        """`make demo` against this project."""
        command = [sys.executable, "-m", "deploy.containers.demo"]
        return subprocess.run(
            command,
            cwd=REPOSITORY,
            env=self.environment,
            capture_output=True,
            text=True,
            timeout=COMMAND_LIMIT_S,
            check=False,
        )

    def containers(self) -> list[dict[str, str]]:
        """What `docker compose ps` says of each, those that ended included."""
        lines = self.compose("ps", "--all", "--format", "json").stdout.splitlines()
        found: list[dict[str, str]] = [json.loads(line) for line in lines if line.startswith("{")]
        return found

    def running(self, service: str) -> list[str]:
        return [each["Name"] for each in self.containers() if each["Service"] == service and each["State"] == "running"]

    def state_of(self, service: str) -> dict[str, object]:
        """Docker's own record of the service's first container."""
        name = next(each["Name"] for each in self.containers() if each["Service"] == service)
        found: dict[str, object] = json.loads(docker("inspect", name))[0]
        return found


def docker(*arguments: str) -> str:
    done = subprocess.run(["docker", *arguments], capture_output=True, text=True, timeout=COMMAND_LIMIT_S, check=False)
    assert done.returncode == 0, f"docker {' '.join(arguments)}: {done.stderr[-2_000:]}"
    return done.stdout
