"""A server as a child process: started in its own session, recorded, stopped in order, and never left behind."""

import contextlib
import os
import shutil
import signal
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from deploy.local.errors import StackError
from deploy.local.records import ProcessRecords

LOG_MAX_BYTES = 10_000_000
TAIL_LINES = 3
TAIL_MAX_BYTES = 64_000


class ServerProcess:
    """One child process with a log of its own; it can be started again after it has ended.

    It lives in its own session, so that Ctrl-C in the terminal reaches the supervisor alone, which stops its children in
    order. When the parent dies without that, Linux sends `orphan_signal` to the child (PR_SET_PDEATHSIG). That is bound to
    the *thread* that started the child: start it from the main thread.
    """

    def __init__(
        self,
        name: str,
        arguments: Sequence[str],
        *,
        environment: Mapping[str, str],
        log: Path,
        directory: Path,
        records: ProcessRecords | None = None,
        orphan_signal: signal.Signals = signal.SIGTERM,
    ) -> None:
        self.name, self.log = name, log
        self._arguments, self._environment, self._directory = list(arguments), dict(environment), directory
        self._records, self._orphan_signal = records, orphan_signal
        self._process: subprocess.Popen[bytes] | None = None
        self._log_start = 0

    @property
    def pid(self) -> int:
        """The child's process id. Raises StackError where it was never started."""
        if self._process is None:
            raise StackError(f"{self.name} has not been started")
        return self._process.pid

    @property
    def is_running(self) -> bool:
        return self._process is not None and self._process.poll() is None

    @property
    def exit_status(self) -> int | None:
        """None while it runs or was never started; negative is the signal that ended it."""
        return None if self._process is None else self._process.poll()

    def start(self) -> None:
        """Starts it. Raises StackError where it runs already or cannot be started."""
        if self.is_running:
            raise StackError(f"{self.name} runs already (pid {self.pid})")
        self._turn_log()
        with self.log.open("ab") as log:
            self._log_start = log.tell()
            try:
                self._process = subprocess.Popen(
                    [*self._orphan_guard(), *self._arguments],
                    env=self._environment,
                    cwd=self._directory,
                    stdin=subprocess.DEVNULL,
                    stdout=log,
                    stderr=subprocess.STDOUT,
                    start_new_session=True,
                )
            except OSError as error:
                raise StackError(f"{self.name} cannot be started: {error}") from None
        if self._records is not None:
            self._records.add(self.name, self._process.pid)

    def stop(self, *, timeout_s: float = 20) -> None:
        """Asks it to end (SIGTERM), and ends it with all its group where it has not by then. Does nothing if it has ended."""
        if self.is_running:
            self._signal(signal.SIGCONT)
            self._signal(signal.SIGTERM)
            if not self._ended_within(timeout_s):
                self.kill()
        self._forget()

    def kill(self) -> None:
        """SIGKILL to it and whatever is left of its group, without a chance to clean up. Does nothing if it has ended."""
        if self.is_running:
            self._signal(signal.SIGKILL, group=True)
            if not self._ended_within(10):
                raise StackError(f"{self.name} (pid {self.pid}) does not end even on SIGKILL")
        self._forget()

    def pause(self) -> None:
        """SIGSTOP: its connections stay open and nothing answers any more, until `resume`. Returns when it stands still."""
        if self.is_running:
            self._signal(signal.SIGSTOP)
            os.waitid(os.P_PID, self.pid, os.WSTOPPED | os.WEXITED | os.WNOWAIT)

    def resume(self) -> None:
        self._signal(signal.SIGCONT)

    def require_running(self) -> None:
        """Raises StackError, in one line with its last words, where it has ended."""
        if not self.is_running:
            raise StackError(
                f"{self.name} ended by itself ({self.how_it_ended()}): {self.last_words()}; log: {self.log}"
            )

    def how_it_ended(self) -> str:
        status = self.exit_status
        if status is None:
            return "not started" if self._process is None else "still running"
        if status < 0:
            return f"signal {-status}, {signal.Signals(-status).name}"
        return f"exit status {status}"

    def last_words(self, lines: int = TAIL_LINES) -> str:
        """The last lines that it has logged since its start, joined to one."""
        found = [line.strip() for line in self.log_text()[-TAIL_MAX_BYTES:].splitlines() if line.strip()]
        return " | ".join(found[-lines:])[-800:] or "it logged nothing"

    def log_text(self) -> str:
        """What it has logged since its last start."""
        try:
            with self.log.open("rb") as log:
                log.seek(self._log_start)
                return log.read().decode(errors="replace")
        except FileNotFoundError:
            return ""

    def _orphan_guard(self) -> list[str]:
        """`setpriv` (util-linux) sets the signal for the parent's death and becomes the command, with the same pid."""
        setpriv = shutil.which("setpriv")
        return [] if setpriv is None else [setpriv, "--pdeathsig", self._orphan_signal.name.removeprefix("SIG"), "--"]

    def _turn_log(self) -> None:
        self.log.parent.mkdir(parents=True, exist_ok=True)
        if self.log.exists() and self.log.stat().st_size > LOG_MAX_BYTES:
            self.log.replace(self.log.with_name(f"{self.log.name}.1"))

    def _signal(self, number: signal.Signals, *, group: bool = False) -> None:
        if not self.is_running:
            return
        send = os.killpg if group else os.kill
        with contextlib.suppress(ProcessLookupError):
            send(self.pid, number)

    def _ended_within(self, timeout_s: float) -> bool:
        if self._process is None:
            return True
        try:
            self._process.wait(timeout=timeout_s)
        except subprocess.TimeoutExpired:
            return False
        return True

    def _forget(self) -> None:
        if self._records is not None:
            self._records.remove(self.name)


# What children see of the environment besides their own settings: a stray SMTP_USER in a shell must not reach a service.
PASSED_ON = ("PATH", "HOME", "USER", "LANG", "LC_ALL", "TZ", "TMPDIR", "LD_LIBRARY_PATH", "SSL_CERT_FILE", "PYTHONPATH")


def passed_on() -> dict[str, str]:
    return {name: os.environ[name] for name in PASSED_ON if name in os.environ}


@dataclass(frozen=True)
class Children:
    """Makes child processes alike: where they log, where they are recorded, and what they get when the parent dies."""

    logs: Path
    records: ProcessRecords | None = None
    orphan_signal: signal.Signals = signal.SIGTERM

    def make(
        self, name: str, arguments: Sequence[str], *, environment: Mapping[str, str], directory: Path
    ) -> ServerProcess:
        return ServerProcess(
            name,
            arguments,
            environment=passed_on() | dict(environment),
            log=self.logs / f"{name}.log",
            directory=directory,
            records=self.records,
            orphan_signal=self.orphan_signal,
        )
