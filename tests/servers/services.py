"""Parley's services as processes of their own, as they run in production, under a test's control."""

import asyncio
import http.client
import json
import signal
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from deploy.local.ports import LOOPBACK, free_port
from deploy.local.processes import Children
from deploy.local.settings import REPOSITORY
from tests.servers.waiting import eventually_now

START_TIMEOUT_S = 30.0


class ServiceProcess:
    """One service process on a free port. Start it from the main thread: the kernel kills it when that thread is gone.

    `module` may name another one than the service's own: a wrapper that injects faults from outside.
    """

    def __init__(
        self,
        service: str,
        environment: Mapping[str, str],
        *,
        directory: Path,
        label: str | None = None,
        module: str | None = None,
    ) -> None:
        self.service, self.label = service, label or service
        self.port = int(environment.get("HTTP_PORT") or free_port())
        children = Children(logs=directory, orphan_signal=signal.SIGKILL)
        own = {"HTTP_HOST": LOOPBACK, "HTTP_PORT": str(self.port), "DEMO": "1", "PYTHONUNBUFFERED": "1"}
        command = [sys.executable, "-m", module or f"services.{service}"]
        self._process = children.make(self.label, command, environment={**environment, **own}, directory=REPOSITORY)

    @property
    def url(self) -> str:
        return f"http://{LOOPBACK}:{self.port}"

    @property
    def pid(self) -> int:
        return self._process.pid

    @property
    def is_running(self) -> bool:
        return self._process.is_running

    @property
    def exit_status(self) -> int | None:
        """None while it runs; negative is the signal that ended it."""
        return self._process.exit_status

    @property
    def log(self) -> str:
        """What it has logged since its last start."""
        return self._process.log_text()

    @property
    def log_events(self) -> list[dict[str, Any]]:
        """Its log lines that are JSON objects (LOG_FORMAT=json), without one that is being written just now."""
        lines = self.log.splitlines(keepends=True)
        return [json.loads(line) for line in lines if line.startswith("{") and line.endswith("\n")]

    def start(self) -> "ServiceProcess":
        """Starts it, also again after its end, and returns at once."""
        self._process.start()
        return self

    def wait_ready(self, *, timeout_s: float = START_TIMEOUT_S) -> "ServiceProcess":
        """Returns when /readyz says `ready`, with nothing missing. Raises StackError with its last words where it has ended instead."""

        def look() -> bool:
            self._process.require_running()
            return '"status":"ready"' in self.text_of("/readyz")

        try:
            eventually_now(look, timeout_s=timeout_s, what=f"{self.label} being ready (log: {self._process.log})")
        except AssertionError as late:
            raise AssertionError(f"{late}; it says {self.text_of('/readyz') or 'nothing'}") from None
        return self

    async def ready(self, *, timeout_s: float = START_TIMEOUT_S) -> "ServiceProcess":
        """`wait_ready` without holding up the event loop."""
        return await asyncio.to_thread(self.wait_ready, timeout_s=timeout_s)

    def text_of(self, path: str) -> str:
        """The body of a GET, empty where nobody answers."""
        connection = http.client.HTTPConnection(LOOPBACK, self.port, timeout=3)
        try:
            connection.request("GET", path)
            return connection.getresponse().read().decode()
        except (OSError, http.client.HTTPException):
            return ""
        finally:
            connection.close()

    def status_of(self, path: str) -> int | None:
        """The HTTP status of a GET, None where nobody answers."""
        connection = http.client.HTTPConnection(LOOPBACK, self.port, timeout=3)
        try:
            connection.request("GET", path)
            return connection.getresponse().status
        except (OSError, http.client.HTTPException):
            return None
        finally:
            connection.close()

    def wait_ended(self, *, timeout_s: float = 20) -> int:
        """Its exit status, once it has ended."""
        eventually_now(lambda: not self.is_running, timeout_s=timeout_s, what=f"the end of {self.label}")
        status = self.exit_status
        return 0 if status is None else status

    def term(self, *, timeout_s: float = 20) -> None:
        """SIGTERM, as an orchestrator sends it, and waits for the end."""
        self._process.stop(timeout_s=timeout_s)

    stop = term

    def kill(self) -> None:
        """SIGKILL: no goodbye to anybody."""
        self._process.kill()

    def pause(self) -> None:
        """SIGSTOP: a process that hangs, or is scheduled out for long (a zombie worker, once resumed)."""
        self._process.pause()

    def resume(self) -> None:
        self._process.resume()
