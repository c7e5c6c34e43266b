"""What is installed is what was locked, under a licence that lets anybody use it; and the bill of materials says so."""

import json
import re
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import pytest

from deploy.audit import licences
from deploy.licences import is_permissive, licence
from deploy.sbom import LOCK, PAGES_LOCK, ROOT, Pinned, document, in_the_pages, pinned
from services.gateway.page_files import BUILT

DEVELOPMENT = ROOT / "requirements" / "dev.txt"


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
    assert is_permissive(said), said


@pytest.mark.parametrize(
    "said",
    [
        "License-Expression: AGPL-3.0-or-later",
        "License-Expression: MIT OR GPL-2.0-only",
        "License-Expression: GPL-3.0-only WITH Classpath-exception-2.0",
        "Classifier: License :: OSI Approved :: GNU General Public License v3 (GPLv3)",
        "Classifier: License :: OSI Approved :: MIT License\nClassifier: License :: OSI Approved :: GNU Affero General Public License v3",
        "License: GPL",
        "Summary: a package that says nothing of its licence",
    ],
)
def test_a_package_under_the_gpl_ends_the_audit(
    said: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    installed = tmp_path / "copied_left-1.0.dist-info"
    installed.mkdir()
    (installed / "METADATA").write_text(f"Metadata-Version: 2.4\nName: copied-left\nVersion: 1.0\n{said}\n")
    monkeypatch.syspath_prepend(tmp_path)
    lock = tmp_path / "lock.txt"
    lock.write_text(f"{LOCK.read_text()}copied-left==1.0 --hash=sha256:{'0' * 64}\n")

    assert not licences(lock)

    assert "not a permissive licence: copied-left: " in capsys.readouterr().out


def test_the_audit_is_content_with_the_licences_of_the_services(capsys: pytest.CaptureFixture[str]) -> None:
    assert licences()
    assert f"{len(list(pinned()))} packages, 0 refused" in capsys.readouterr().out


def test_what_the_pages_scripts_hold_is_pinned_permissive_and_comes_with_its_licence() -> None:
    locked = json.loads(PAGES_LOCK.read_text())["packages"]
    texts = (BUILT / "licences.txt").read_text()
    assert in_the_pages()
    for each in in_the_pages():
        assert locked[f"node_modules/{each['name']}"]["integrity"].startswith("sha512-")
        assert is_permissive(each["licenses"][0]["expression"]), each
        assert f"{each['name']} {each['version']}\n\n" in texts


def test_the_bill_of_materials_is_that_of_the_lock_file() -> None:
    committed = json.loads((ROOT / "docs" / "sbom.json").read_text())
    assert committed == document(), "docs/sbom.json is out of date: make docs"


def test_the_bill_of_materials_is_a_cyclonedx_document() -> None:
    """Read by CycloneDX's own library, which pip-audit brings along."""
    from cyclonedx.model.bom import Bom

    committed = json.loads((ROOT / "docs" / "sbom.json").read_text())
    bom = Bom.from_json(data=committed)  # type: ignore[attr-defined]  # a decorator of theirs puts it there
    assert {str(component.purl) for component in bom.components} == {
        *(f"pkg:pypi/{package.name}@{package.version}" for package in pinned()),
        *(each["purl"] for each in in_the_pages()),
    }
    assert bom.metadata.component is not None
    assert bom.metadata.component.name == "parley"
    assert [str(each.value) for each in bom.metadata.component.licenses] == ["Apache-2.0"]
