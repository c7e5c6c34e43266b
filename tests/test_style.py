"""Style, formatting, types and the import rule, as tests: beside the others, and what `make lint` says in one go."""

import subprocess
import sys
from pathlib import Path

import pytest

from deploy.local.settings import REPOSITORY

CHECKS = {
    "ruff check": [sys.executable, "-m", "ruff", "check", "."],
    "ruff format": [sys.executable, "-m", "ruff", "format", "--check", "."],
    "mypy": [sys.executable, "-m", "mypy"],
    "lint-imports": [str(Path(sys.executable).with_name("lint-imports"))],
}


@pytest.mark.timeout(900)  # mypy without a cache of an earlier run, on a machine that does other things as well
@pytest.mark.parametrize("check", CHECKS)
def test_the_code_passes(check: str) -> None:
    done = subprocess.run(CHECKS[check], cwd=REPOSITORY, capture_output=True, text=True, check=False)
    assert done.returncode == 0, f"{done.stdout}\n{done.stderr}"


def test_what_is_committed_is_files_and_no_link_into_somebodys_machine() -> None:
    listed = subprocess.run(["git", "ls-files", "--stage"], cwd=REPOSITORY, capture_output=True, text=True, check=True)
    assert [line for line in listed.stdout.splitlines() if not line.startswith("100")] == []
