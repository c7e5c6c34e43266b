"""Names and addresses by the ten thousand, under this CPython and every other one that is here."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import idna
import pytest

from tests.clients.node import need_node, run
from tests.mails import names

ROOT = Path(__file__).parents[2]
PACKAGES = Path(idna.__file__).parents[1]


def other_interpreters() -> list[str]:
    """CPython from 3.11 on: on the PATH, and where pyenv keeps them; each version once, and not the one that runs."""
    folders = [Path(folder) for folder in os.get_exec_path()]
    found = [str(folder / f"python3.{minor}") for minor in range(11, 20) for folder in folders]
    pyenv = Path(os.environ.get("PYENV_ROOT", Path.home() / ".pyenv"))
    found += [str(each) for each in sorted(pyenv.glob("versions/3.*/bin/python3"))]
    versions = {sys.version.split()[0]: ""}
    for path in filter(os.path.exists, found):
        told = subprocess.run(
            [path, "-c", "import sys; print(sys.version.split()[0], sys.version_info >= (3, 11))"],
            capture_output=True,
            text=True,
            check=False,
        ).stdout.split()
        if told[1:] == ["True"]:
            versions.setdefault(told[0], path)
    return [path for path in versions.values() if path]


def test_every_name_is_one_mailbox_the_same_name_and_no_line_break(capsys: pytest.CaptureFixture[str]) -> None:
    mails, wrong = names.tried()

    with capsys.disabled():
        print(f"\n{names.NAMES} names, {mails} mails under {sys.version.split()[0]}: wrong: {wrong.total()}")
    assert mails == 2 * names.NAMES
    assert not wrong


@pytest.mark.parametrize(
    "python", other_interpreters() or [pytest.param("", marks=pytest.mark.skip("no other CPython"))]
)
def test_no_other_cpython_reads_or_writes_it_otherwise(python: str, capsys: pytest.CaptureFixture[str]) -> None:
    environment = {"PYTHONPATH": str(PACKAGES), "PYTHONDONTWRITEBYTECODE": "1", "PATH": os.environ["PATH"]}

    done = subprocess.run(
        [python, "-m", "tests.mails.names"], cwd=ROOT, env=environment, capture_output=True, text=True, check=False
    )

    with capsys.disabled():
        print(f"\n{done.stdout.strip()}")
    assert done.returncode == 0, done.stdout + done.stderr


def test_nor_does_the_cpython_of_pyodide(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """It is the newest that a package registry has: 3.14, in WebAssembly."""
    need_node()
    shutil.copytree(PACKAGES / "idna", tmp_path / "idna")

    done = run("node", Path(__file__).with_name("webassembly.mjs"), ROOT, tmp_path)

    with capsys.disabled():
        print(f"\n{done.stdout.strip()}")
    assert done.returncode == 0, done.stdout + done.stderr
    assert "CPython 3.14" in done.stdout
