"""Ports are given out once on a machine, however many test runs ask for them."""

import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import pytest

from deploy.local import ports
from deploy.local.errors import StackError
from deploy.local.settings import REPOSITORY

ASKS = "import sys; from deploy.local.ports import free_port; print(free_port(), flush=True); sys.stdin.read()"


def given_long_ago(port: int) -> None:
    mark = Path(tempfile.gettempdir()) / f"parley-ports-{os.getuid()}" / str(port)
    long_ago = time.time() - ports.RESERVED_S - 1
    os.utime(mark, (long_ago, long_ago))


def test_a_port_stays_its_process_s_while_that_lives(monkeypatch: pytest.MonkeyPatch) -> None:
    """Also while nobody listens there: the server that was stopped finds it free when it starts again."""
    other = subprocess.Popen(
        [sys.executable, "-c", ASKS], cwd=REPOSITORY, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert other.stdout is not None
    port = int(other.stdout.readline())
    monkeypatch.setattr(ports, "FREE_PORTS", [port] * 200)
    given_long_ago(port)
    with pytest.raises(StackError, match="no free port"):
        ports.free_port()

    other.communicate()

    given_long_ago(port)
    assert ports.free_port() == port
    given_long_ago(port)
    with pytest.raises(StackError, match="no free port"):  # our own, now
        ports.free_port()


def test_a_port_that_was_given_to_a_process_of_before_is_kept_for_a_minute(monkeypatch: pytest.MonkeyPatch) -> None:
    """Who asked for somebody else, as a shell script does, has ended when the port is used."""
    asked = subprocess.run(
        [sys.executable, "-c", ASKS],
        cwd=REPOSITORY,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=True,
    )
    port = int(asked.stdout)
    monkeypatch.setattr(ports, "FREE_PORTS", [port] * 200)
    with pytest.raises(StackError, match="no free port"):
        ports.free_port()

    given_long_ago(port)

    assert ports.free_port() == port
