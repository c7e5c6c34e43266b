"""The bill of materials of the three services, as CycloneDX 1.6: every package of requirements/runtime.txt, and what the pages' scripts hold.

`python -m deploy.sbom` prints it; it is committed as docs/sbom.json. Licences are those that the installed packages declare.
"""

import json
import re
import sys
import tomllib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from deploy.licences import licence

ROOT: Final = Path(__file__).resolve().parents[1]
LOCK: Final = ROOT / "requirements" / "runtime.txt"
PROJECT: Final = ROOT / "pyproject.toml"
PAGES_LOCK: Final = ROOT / "deploy" / "pages" / "package-lock.json"

Json = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Pinned:
    """One package of the lock file. `marker` says where it is needed, if not everywhere."""

    name: str
    version: str
    marker: str | None
    sha256: tuple[str, ...]


def pinned(lock: Path = LOCK) -> Iterator[Pinned]:
    """Every package of the lock file. Raises ValueError for one without an exact version or a hash."""
    whole = lock.read_text().replace("\\\n", " ")
    for line in whole.splitlines():
        if not line.strip() or line.lstrip().startswith("#"):
            continue
        requirement, *hashes = re.split(r"\s+--hash=sha256:", line.strip())
        name_and_version, _, marker = requirement.partition(";")
        name, exactly, version = name_and_version.strip().partition("==")
        if not exactly or not hashes:
            raise ValueError(f"{lock.name} does not pin this with a hash: {requirement}")
        name = name.partition("[")[0]
        yield Pinned(name, version.strip(), marker.strip() or None, tuple(sorted(each.strip() for each in hashes)))


def _component(package: Pinned) -> Json:
    """Hashes are left to the lock file: there is one for each platform's build of a version."""
    component: Json = {
        "type": "library",
        "bom-ref": f"{package.name}@{package.version}",
        "name": package.name,
        "version": package.version,
        "purl": f"pkg:pypi/{package.name}@{package.version}",
        "scope": "required",
    }
    said = licence(package.name)
    if said is not None:
        component["licenses"] = [{"expression": said} if _is_expression(said) else {"license": {"name": said}}]
    if package.marker is not None:
        component["properties"] = [{"name": "parley:needed", "value": package.marker}]
    return component


def in_the_pages() -> list[Json]:
    """The npm packages that `make pages` puts into the pages' and the widget's scripts; what only builds them is not among them."""
    packages: dict[str, Json] = json.loads(PAGES_LOCK.read_text())["packages"]
    shipped = {
        path.rpartition("node_modules/")[2]: told for path, told in packages.items() if path and not told.get("dev")
    }
    return [
        {
            "type": "library",
            "bom-ref": f"npm:{name}@{told['version']}",
            "name": name,
            "version": told["version"],
            "purl": f"pkg:npm/{name}@{told['version']}",
            "scope": "required",
            "licenses": [{"expression": told["license"]}],
        }
        for name, told in sorted(shipped.items())
    ]


def _is_expression(said: str) -> bool:
    return re.fullmatch(r"[A-Za-z0-9.+() -]+", said) is not None and said != "unknown" and " License" not in said


def document() -> Json:
    """The whole document. The same lock file and packages give the same bytes: it has no time and no serial number."""
    project = tomllib.loads(PROJECT.read_text())["project"]
    root: Json = {"type": "application", "bom-ref": "parley", "name": "parley", "version": project["version"]}
    root["licenses"] = [{"expression": project["license"]}]
    components = [_component(package) for package in sorted(pinned(), key=lambda each: each.name)]
    components += in_the_pages()
    depends = [{"ref": "parley", "dependsOn": [each["bom-ref"] for each in components]}]
    return {
        "$schema": "http://cyclonedx.org/schema/bom-1.6.schema.json",
        "bomFormat": "CycloneDX",
        "specVersion": "1.6",
        "version": 1,
        "metadata": {"component": root},
        "components": components,
        "dependencies": depends,
    }


def main() -> None:
    json.dump(document(), sys.stdout, indent=1)
    print()


if __name__ == "__main__":
    main()
