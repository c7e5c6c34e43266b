"""What is installed is what was locked, under a licence that lets anybody use it; and the bill of materials says so."""

import json
import re
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import pytest

from deploy.sbom import LOCK, ROOT, Pinned, document, licence, pinned

DEVELOPMENT = ROOT / "requirements" / "dev.txt"
# Licences that ask a user of Parley for nothing but a notice, or for changes of that very file (MPL-2.0).
PERMISSIVE = {
    *("0BSD", "Apache-2.0", "BSD-2-Clause", "BSD-3-Clause", "ISC", "MIT", "MIT-0", "MPL-2.0", "PSF-2.0", "Unlicense"),
}


@pytest.mark.parametrize("lock", [LOCK, DEVELOPMENT], ids=lambda path: path.name)
def test_every_package_is_pinned_with_a_hash(lock: Path) -> None:
    packages = list(pinned(lock))
    assert len(packages) > 40
    assert all(package.sha256 and re.fullmatch(r"[0-9][0-9a-z.]*", package.version) for package in packages)


def test_a_lock_file_with_a_hole_is_refused(tmp_path: Path) -> None:
    for bad in ("aiohttp>=3", "aiohttp==3.14.5", "aiohttp"):
        lock = tmp_path / "bad.txt"
        lock.write_text(f"{bad}\n")
        with pytest.raises(ValueError, match="does not pin"):
            list(pinned(lock))


def test_nothing_is_taken_from_anywhere_but_the_usual_index() -> None:
    """No address, no path, no second index: a package of the same name elsewhere cannot slip in."""
    for path in (ROOT / "requirements").iterdir():
        assert not re.search(
            r"^\s*(--(extra-)?index|--find-links|-f |-e |git\+|https?:|file:)", path.read_text(), re.MULTILINE
        )
        assert " @ " not in path.read_text()


def test_the_services_lock_is_part_of_the_one_that_tests_run_with() -> None:
    tested = {package.name: package.version for package in pinned(DEVELOPMENT)}
    assert {package.name: package.version for package in pinned(LOCK)}.items() <= tested.items()


@pytest.mark.parametrize("package", list(pinned(DEVELOPMENT)), ids=lambda package: package.name)
def test_what_is_installed_is_what_was_locked(package: Pinned) -> None:
    try:
        installed = version(package.name)
    except PackageNotFoundError:
        assert package.marker is not None, f"{package.name} is not installed, and is needed everywhere"
    else:
        assert installed == package.version


@pytest.mark.parametrize("package", list(pinned(LOCK)), ids=lambda package: package.name)
def test_every_package_of_the_services_has_a_permissive_licence(package: Pinned) -> None:
    said = licence(package.name)
    if said is None:
        assert package.marker is not None
        return
    named = set(re.split(r" (?:AND|OR) |[()]", said)) - {""}
    assert named <= PERMISSIVE, said


def test_the_bill_of_materials_is_that_of_the_lock_file() -> None:
    committed = json.loads((ROOT / "docs" / "sbom.json").read_text())
    assert committed == document(), "docs/sbom.json is out of date: make docs"


def test_the_bill_of_materials_is_a_cyclonedx_document() -> None:
    """Read by CycloneDX's own library, which pip-audit brings along."""
    from cyclonedx.model.bom import Bom

    committed = json.loads((ROOT / "docs" / "sbom.json").read_text())
    bom = Bom.from_json(data=committed)  # type: ignore[attr-defined]  # a decorator of theirs puts it there
    assert {str(component.purl) for component in bom.components} == {
        f"pkg:pypi/{package.name}@{package.version}" for package in pinned()
    }
    assert bom.metadata.component is not None
    assert bom.metadata.component.name == "parley"
