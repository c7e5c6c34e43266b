"""What a running stack says about itself on disk, and the lock that keeps a second one out of its directory."""

import fcntl
import json
import os
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import IO

from deploy.local.errors import StackError
from deploy.local.records import start_time


@dataclass(frozen=True)
class StackState:
    """Where the parts of a running stack are. Holds no secret."""

    pid: int
    gateway_url: str
    threads_url: str
    notifier_url: str
    mail_page_url: str
    amqp_port: int
    mongo_url: str
    mail_delay_s: float

    def write(self, run_directory: Path) -> None:
        path = _path(run_directory)
        scratch = path.with_suffix(".tmp")
        scratch.write_text(json.dumps(asdict(self), indent=1) + "\n")
        scratch.replace(path)

    @classmethod
    def read(cls, run_directory: Path) -> "StackState":
        """Raises StackError where no stack runs in this directory."""
        try:
            state = cls(**json.loads(_path(run_directory).read_text()))
        except FileNotFoundError:
            raise StackError(f"no stack runs in {run_directory}; start one with  make run") from None
        except (ValueError, TypeError):
            raise StackError(f"{_path(run_directory)} cannot be read; start the stack again with  make run") from None
        if start_time(state.pid) is None:
            raise StackError(
                f"the stack in {run_directory} was killed (pid {state.pid}); start it again with  make run"
            )
        return state


def _path(run_directory: Path) -> Path:
    return run_directory / "state.json"


def forget_state(run_directory: Path) -> None:
    _path(run_directory).unlink(missing_ok=True)


class DirectoryLock:
    """Held while a stack runs in a directory. The kernel lets go of it when the holder ends, however it ends."""

    def __init__(self, run_directory: Path) -> None:
        self._path = run_directory / "lock"
        self._file: IO[str] | None = None

    def take(self) -> bool:
        """Takes it, and says whether the last holder ended without giving it back. Raises StackError where one still runs."""
        self._path.parent.mkdir(parents=True, exist_ok=True)
        file = self._path.open("a+")
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            file.seek(0)
            holder = file.read().strip() or "unknown"
            file.close()
            raise StackError(
                f"another stack runs here already (pid {holder}, in {self._path.parent}); stop it first, or choose RUN_DIR and ports"
            ) from None
        file.seek(0)
        was_held = bool(file.read().strip())
        self._write(file, str(os.getpid()))
        self._file = file
        return was_held

    def give_back(self) -> None:
        if self._file is not None:
            self._write(self._file, "")
            self._file.close()
            self._file = None

    @staticmethod
    def _write(file: IO[str], content: str) -> None:
        file.seek(0)
        file.truncate()
        file.write(content)
        file.flush()
