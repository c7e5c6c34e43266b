"""`make run` for real, through what can go wrong: a second one, a killed supervisor, a service that ends."""

import json
import os
import signal
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest

from deploy.local import mongod_binary, rabbitmq
from deploy.local.errors import StackError
from deploy.local.ports import LOOPBACK, free_port
from deploy.local.progress import Progress
from deploy.local.settings import DEFAULT_PORTS, REPOSITORY
from deploy.local.shop import demo_orders
from tests.servers.providers import TOOLS
from tests.servers.waiting import eventually_now

START_TIMEOUT_S = 90


class Runner:
    """Runs `python -m deploy.local` on ports and in a directory of its own."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory / "run"
        ports = {name: str(free_port()) for name in DEFAULT_PORTS}
        self._environment = {**os.environ, **ports, "RUN_DIR": str(self.directory)}
        self._output = directory / "output"
        self.process: subprocess.Popen[bytes] | None = None

    @property
    def output(self) -> str:
        return self._output.read_text()

    def launch(self) -> subprocess.Popen[bytes]:
        with self._output.open("wb") as output:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "deploy.local"],
                cwd=REPOSITORY,
                env=self._environment,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
            )
        return self.process

    def start(self) -> subprocess.Popen[bytes]:
        process = self.launch()

        def runs() -> bool:
            assert process.poll() is None, self.output
            return "Parley is running." in self.output

        eventually_now(runs, timeout_s=START_TIMEOUT_S, what="the local stack")
        return process

    def once(self) -> tuple[int, str]:
        """What another `make run` beside this one says."""
        command = [sys.executable, "-m", "deploy.local"]
        done = subprocess.run(
            command, cwd=REPOSITORY, env=self._environment, capture_output=True, text=True, timeout=60, check=False
        )
        return done.returncode, done.stdout + done.stderr

    def address(self, setting: str) -> str:
        return f"http://{LOOPBACK}:{self._environment[setting]}"

    def processes(self) -> list[str]:
        """Every process with this run's directory, or the port of one of its services, in command line or environment."""
        services = ("GATEWAY_PORT", "THREADS_PORT", "NOTIFIER_PORT")
        marks = [str(self.directory).encode(), *(f"HTTP_PORT={self._environment[name]}".encode() for name in services)]
        found: list[str] = []
        for directory in Path("/proc").glob("[0-9]*"):
            try:
                told = (directory / "cmdline").read_bytes() + (directory / "environ").read_bytes()
                if any(mark in told for mark in marks):
                    found.append((directory / "comm").read_text().strip())
            except OSError:
                continue
        return found

    def end(self) -> None:
        if self.process is not None and self.process.poll() is None:
            self.process.terminate()
            self.process.wait(timeout=60)


@pytest.fixture
def runner(tmp_path: Path) -> Iterator[Runner]:
    try:
        rabbitmq.require_installed()
        mongod_binary.find(TOOLS, Progress())
    except StackError as missing:
        pytest.skip(f"the local stack cannot run here: {missing}")
    runner = Runner(tmp_path)
    yield runner
    runner.end()
    assert runner.processes() == []


def answer_of(url: str, **headers: str) -> tuple[str, Mapping[str, str]]:
    request = urllib.request.Request(url, headers=headers)  # noqa: S310 - our own address, always http
    with urllib.request.urlopen(request, timeout=10) as answer:  # noqa: S310 - the same
        return answer.read().decode(), answer.headers


def the_playground_shows_the_widget_of_another_origin(runner: Runner) -> None:
    gateway, playground = runner.address("GATEWAY_PORT"), runner.address("PLAYGROUND_PORT")
    page, headers = answer_of(f"{playground}/")
    assert f'src="{gateway}/pages/parley.js"' in page
    assert f"connect-src 'self' {gateway};" in headers["content-security-policy"]
    order = demo_orders()[0].order_id
    given, _ = answer_of(f"{playground}/token?order={order}")
    authorization = f"Bearer {json.loads(given)['token']}"
    view, headers = answer_of(f"{gateway}/v1/orders/{order}", Authorization=authorization, Origin=playground)
    assert json.loads(view)["order"]["order_id"] == order
    assert headers["access-control-allow-origin"] == playground
    with pytest.raises(urllib.error.HTTPError, match="404"):
        answer_of(f"{playground}/token?order=nobody-s")
    with pytest.raises(urllib.error.HTTPError, match="400"):  # a name that somebody else's DNS leads here
        answer_of(f"{playground}/token?order={order}", Host="evil.example")


def test_a_killed_supervisors_children_are_stopped_and_a_service_that_ends_stops_the_stack(runner: Runner) -> None:
    first = runner.start()
    status, said = runner.once()
    assert status == 1
    assert len(runner.processes()) >= 9
    the_playground_shows_the_widget_of_another_origin(runner)
    assert f"another stack runs here already (pid {first.pid}" in said

    first.kill()
    first.wait()
    second = runner.start()
    assert "the last run was ended without stopping" in runner.output

    os.kill(json.loads((runner.directory / "processes" / "threads.json").read_text())["pid"], signal.SIGKILL)
    assert second.wait(timeout=60) == 1
    assert "make run: threads ended by itself (signal 9, SIGKILL): " in runner.output
    assert "everything is stopped" in runner.output


def test_sigterm_while_starting_stops_what_was_started(runner: Runner) -> None:
    process = runner.launch()
    eventually_now(lambda: "MongoDB is ready" in runner.output, timeout_s=START_TIMEOUT_S, what="MongoDB")

    process.terminate()

    assert process.wait(timeout=60) == 0
    assert "asked to stop while starting" in runner.output
