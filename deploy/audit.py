"""`make audit`: weaknesses in the code (bandit) and in the packages (pip-audit), licences; it says what could not be looked at.

Exit status 1 where something was found. Packages whose advisories cannot be fetched from here are counted, not passed over.
"""

import json
import subprocess
import sys
from pathlib import Path
from typing import Final

from deploy.licences import refused, summary
from deploy.sbom import LOCK, pinned

ROOT: Final = Path(__file__).resolve().parents[1]
LOCKS: Final = ("requirements/runtime.txt", "requirements/dev.txt")
LIMIT_S: Final = 600

# ruff has the same rules (S101, S105, S106, S310, S311), and there each line says why it may stand.
SAID_BY_RUFF: Final = "B101,B105,B106,B310,B311"
# Starting RabbitMQ and MongoDB is what deploy/ is for; nothing from outside is part of a command line, and no shell is between.
STARTS_PROGRAMS: Final = "B404,B603,B607"


def code() -> bool:
    """Whether bandit finds nothing."""
    product = _bandit("services", "shared", skip=SAID_BY_RUFF)
    deployment = _bandit("deploy", skip=f"{SAID_BY_RUFF},{STARTS_PROGRAMS}")
    return product and deployment


def _bandit(*folders: str, skip: str) -> bool:
    command = [sys.executable, "-m", "bandit", "--quiet", "--recursive", *folders, "--skip", skip]
    clean = subprocess.run(command, cwd=ROOT, check=False, timeout=LIMIT_S).returncode == 0
    print(f"bandit {' '.join(folders)}: {'nothing found' if clean else 'see above'}", flush=True)
    return clean


def packages(lock: str) -> bool:
    """Whether pip-audit knows no weakness of any package; those that it could not ask about are named as such."""
    command = [sys.executable, "-m", "pip_audit", "--disable-pip", "--require-hashes", "--requirement", lock]
    command += ["--format", "json", "--progress-spinner", "off"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False, timeout=LIMIT_S)
    try:
        found = json.loads(done.stdout)["dependencies"]
    except (ValueError, KeyError):
        print(f"pip-audit {lock}: NOT DONE, its database of advisories cannot be reached from here")
        return True
    weak = [
        f"{each['name']} {each['version']}: {weakness['id']}" for each in found for weakness in each.get("vulns", ())
    ]
    unknown = sum("skip_reason" in each for each in found)
    for each in weak:
        print(each)
    said = f"NOT DONE for {unknown} packages, whose advisories cannot be fetched from here; " if unknown else ""
    print(
        f"pip-audit {lock}: {said}{len(found) - unknown} packages looked up, {len(weak)} weaknesses known", flush=True
    )
    return not weak


def licences(lock: Path = LOCK) -> bool:
    """Whether every package that the services run with is under a permissive licence."""
    names = [package.name for package in pinned(lock)]
    found = refused(names)
    for each in found:
        print(f"not a permissive licence: {each}")
    print(f"licences of {lock.name}: {len(names)} packages, {len(found)} refused ({summary(names)})", flush=True)
    return not found


def main() -> int:
    looked = [code(), *(packages(lock) for lock in LOCKS), licences()]
    return 0 if all(looked) else 1


if __name__ == "__main__":
    sys.exit(main())
