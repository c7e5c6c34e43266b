"""Tools of Node.js: whether they are here, and how they are run."""

import functools
import os
import shutil
import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import Final

import pytest

HERE: Final = Path(__file__).parent
LIMIT_S: Final = 240
LEAST_NODE: Final = 20


@functools.cache
def missing() -> str | None:
    """What there must be for tools of Node.js, and is not."""
    node = shutil.which("node")
    version = run(node, "--version").stdout.strip() if node else ""
    if not version or int(version[1:].split(".")[0]) < LEAST_NODE:
        return f"Node.js from {LEAST_NODE} on is needed, there is {version or 'none'}: deploy/local/bootstrap.sh node"
    if not (HERE / "node_modules" / ".package-lock.json").exists():
        return "the packages of tests/clients are not installed: deploy/local/bootstrap.sh node"
    return None


def need_node() -> None:
    """Skips the test and says what is missing; on CI it must be there."""
    what = missing()
    if what is not None:
        assert "CI" not in os.environ, what
        pytest.skip(what)


def run(
    *command: str | Path, cwd: Path = HERE, env: Mapping[str, str] | None = None
) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [str(part) for part in command],
        cwd=cwd,
        env={**os.environ, **(env or {})},
        capture_output=True,
        text=True,
        check=False,
        timeout=LIMIT_S,
    )


def tool(name: str, *arguments: str | Path, cwd: Path = HERE) -> subprocess.CompletedProcess[str]:
    """One of the tools that package.json names."""
    need_node()
    return run(HERE / "node_modules" / ".bin" / name, *arguments, cwd=cwd)
