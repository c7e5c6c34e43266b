"""Child processes of the local stack: told about, recorded, stopped, and never left behind."""

import json
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from deploy.local import mongod_binary
from deploy.local.errors import StackError
from deploy.local.ports import free_port, require_free
from deploy.local.processes import Children, ServerProcess
from deploy.local.records import ProcessRecords, start_time
from deploy.local.settings import REPOSITORY, LocalSettings
from deploy.local.state import DirectoryLock
from tests.servers.waiting import eventually_now

FOREVER = "import signal; print('here', flush=True); signal.pause()"
DEAF = "import signal; signal.signal(signal.SIGTERM, signal.SIG_IGN); print('here', flush=True)\nwhile True: signal.pause()"


def child(directory: Path, program: str, *, records: ProcessRecords | None = None) -> ServerProcess:
    children = Children(logs=directory, records=records, orphan_signal=signal.SIGKILL)
    process = children.make("child", [sys.executable, "-c", program], environment={}, directory=directory)
    process.start()
    return process


def wait_here(process: ServerProcess) -> None:
    eventually_now(lambda: "here" in process.log_text(), what="the child's first word")


def test_a_child_that_ends_by_itself_is_told_with_its_status_its_last_words_and_its_log(tmp_path: Path) -> None:
    process = child(tmp_path, "import sys; print('first'); print('no such host'); sys.exit(3)")
    eventually_now(lambda: not process.is_running, what="the end of the child")

    with pytest.raises(
        StackError, match=r"child ended by itself \(exit status 3\): first \| no such host; log: .*child"
    ):
        process.require_running()


def test_a_child_that_does_not_hear_sigterm_is_killed_after_its_grace(tmp_path: Path) -> None:
    process = child(tmp_path, DEAF)
    wait_here(process)

    process.stop(timeout_s=0.2)

    assert process.exit_status == -signal.SIGKILL


def test_a_paused_child_can_still_be_stopped(tmp_path: Path) -> None:
    process = child(tmp_path, FOREVER)
    wait_here(process)
    process.pause()

    process.stop(timeout_s=5)

    assert process.exit_status == -signal.SIGTERM


def test_children_die_with_a_parent_that_is_killed(tmp_path: Path) -> None:
    parent_program = (
        "import signal; from pathlib import Path; from tests.servers.test_local_processes import *\n"
        f"process = child(Path({str(tmp_path)!r}), FOREVER); wait_here(process); print(process.pid, flush=True)\n"
        "signal.pause()"
    )
    with subprocess.Popen([sys.executable, "-c", parent_program], stdout=subprocess.PIPE, cwd=REPOSITORY) as parent:
        assert parent.stdout is not None
        pid = int(parent.stdout.readline())
        assert start_time(pid) is not None

        parent.kill()

        eventually_now(lambda: start_time(pid) is None, what="the end of the grandchild")


def test_what_a_killed_run_left_behind_is_stopped_by_pid_and_start_time(tmp_path: Path) -> None:
    records = ProcessRecords(tmp_path / "processes")
    left = child(tmp_path, FOREVER, records=records)
    stranger = child(tmp_path, FOREVER)
    (tmp_path / "processes" / "stranger.json").write_text(json.dumps({"pid": stranger.pid, "started": "another/1"}))

    stopped = ProcessRecords(tmp_path / "processes").stop_left_over()

    assert [recorded.pid for recorded in stopped] == [left.pid]
    assert start_time(left.pid) is None
    assert stranger.is_running
    assert list((tmp_path / "processes").iterdir()) == []
    stranger.kill()


def test_a_second_stack_in_the_same_directory_is_refused_and_a_killed_one_noticed(tmp_path: Path) -> None:
    first, second = DirectoryLock(tmp_path), DirectoryLock(tmp_path)
    assert first.take() is False

    with pytest.raises(StackError, match="another stack runs here already"):
        second.take()
    first.give_back()

    assert second.take() is False
    second.give_back()
    (tmp_path / "lock").write_text("4711")
    assert second.take() is True
    second.give_back()


def test_a_taken_port_is_told_with_its_setting() -> None:
    port = free_port()
    listener = subprocess.Popen(
        [
            sys.executable,
            "-c",
            f"import socket, signal; s = socket.create_server(('127.0.0.1', {port})); signal.pause()",
        ]
    )
    try:

        def told() -> str:
            try:
                require_free({"GATEWAY_PORT": port})
            except StackError as error:
                return str(error)
            return ""

        assert f"port {port} (GATEWAY_PORT) is taken" in eventually_now(told, what="the port being taken")
    finally:
        listener.kill()
        listener.wait()


def test_settings_that_cannot_be_are_told_with_their_name() -> None:
    with pytest.raises(StackError, match="GATEWAY_PORT must be a port from 1 to 65535, not '0'"):
        LocalSettings.read({"GATEWAY_PORT": "0"})
    with pytest.raises(StackError, match="MAIL_DELAY must be a number of seconds"):
        LocalSettings.read({"MAIL_DELAY": "soon"})
    with pytest.raises(StackError, match="are both 8081"):
        require_free(LocalSettings.read({"GATEWAY_PORT": "8081"}).ports)


def test_a_missing_library_is_told_with_the_package_to_install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    ldd = tmp_path / "ldd"
    ldd.write_text("#!/bin/sh\nprintf '\\tlibcurl.so.4 => not found\\n\\tlibm.so.6 => /lib/libm.so.6 (0x1)\\n'\n")
    ldd.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=":")

    with pytest.raises(StackError, match=r"mongod lacks libcurl\.so\.4; .*apt-get install .* libcurl4"):
        mongod_binary.require_libraries(Path("/bin/true"))
