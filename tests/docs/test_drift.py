"""What the documentation says is what is there: generated documents, links, commands, codes, packages."""

import hashlib
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
import yaml

from services.gateway.problems import HTTP_CODES
from shared.errors import STATUS_OF
from tests.docs import markdown
from tests.docs.markdown import ROOT

README = ROOT / "README.md"
API = ROOT / "docs" / "api.md"
DECISIONS = sorted((ROOT / "docs" / "adr").glob("[0-9]*.md"))


@pytest.mark.parametrize(
    ("document", "module"),
    [
        ("asyncapi.yaml", ["deploy.asyncapi"]),
        ("asyncapi-shop.yaml", ["deploy.asyncapi", "shop"]),
        ("openapi.yaml", ["deploy.openapi"]),
    ],
)
def test_the_generated_documents_are_those_of_the_code(document: str, module: list[str]) -> None:
    made = subprocess.run([sys.executable, "-m", *module], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    assert (ROOT / "docs" / document).read_text() == made, f"docs/{document} is out of date: make docs"


@pytest.mark.parametrize("path", DECISIONS, ids=lambda path: path.stem)
def test_every_decision_says_what_was_decided_in_one_sentence(path: Path) -> None:
    title, empty, decision = path.read_text().splitlines()[:3]
    assert title.startswith(f"# {path.stem[:4]}: ")
    assert empty == ""
    assert re.fullmatch(r"\*\*Decision:\*\* .+\.", decision)
    assert f"]({path.name})" in (path.parent / "README.md").read_text()


@pytest.mark.parametrize("path", markdown.files(), ids=lambda path: str(path.relative_to(ROOT)))
def test_every_link_leads_somewhere(path: Path) -> None:
    for target in markdown.links(path):
        name, _, anchor = target.partition("#")
        there = (path.parent / name).resolve() if name else path
        assert there.exists(), f"{target} is not there"
        if anchor:
            assert anchor in markdown.anchors(there), f"{target}: no such heading"


def test_the_readme_names_both_commands() -> None:
    text = README.read_text()
    assert "make run" in text
    assert "make test" in text


@pytest.mark.parametrize("path", markdown.files(), ids=lambda path: str(path.relative_to(ROOT)))
def test_every_make_target_that_is_named_exists(path: Path) -> None:
    targets = set(re.findall(r"^([a-z][a-z-]*):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    named = set(re.findall(r"(?:`|^ {4}|then: {2})make ([a-z][a-z-]*)", path.read_text(), re.MULTILINE))
    assert named <= targets


def test_every_proof_that_the_readme_names_selects_tests() -> None:
    test_files = list((ROOT / "tests").rglob("test_*.py"))
    names = [name for path in test_files for name in re.findall(r"def (test_\w+)", path.read_text())]
    proofs = re.findall(r"`make test ARGS=(?:\"-k ([^\"]+)\"|(\S+))`", README.read_text())
    assert len(proofs) >= 10
    for words, path in proofs:
        assert (ROOT / path).exists()
        for word in words.replace("'", "").split(" or ") if words else []:
            assert any(word in name for name in names), f"no test has {word} in its name"


def test_the_code_in_the_readme_is_that_of_the_example() -> None:
    example = (ROOT / "docs" / "examples" / "publish_order.py").read_text()
    (block,) = markdown.blocks(README, "python")
    assert block.code in example


def test_every_problem_is_explained_with_its_status() -> None:
    explained = dict(re.findall(r"^\| `(\w+)` \| (\d+) \|", API.read_text(), re.MULTILINE))
    codes: dict[str, str] = {code: str(status) for code, status in STATUS_OF.items()}
    codes |= {code: str(status) for status, (code, _) in HTTP_CODES.items()}
    assert explained == codes


def test_every_package_that_the_services_run_with_is_explained() -> None:
    lines = (ROOT / "requirements" / "runtime.in").read_text().splitlines()
    needed = {re.split(r"[<>=~!]", line)[0].strip() for line in lines if line and not line.startswith("#")}
    table = (ROOT / "docs" / "adr" / "0012-dependencies.md").read_text()
    assert set(re.findall(r"^\| `([^`]+)` \|", table, re.MULTILINE)) == needed


def test_every_place_that_names_a_licence_names_the_same() -> None:
    """Apache-2.0, whose text is the standard one: other people's tools compare it byte by byte."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    openapi = yaml.safe_load((ROOT / "docs" / "openapi.yaml").read_text())["info"]["license"]
    asyncapi = yaml.safe_load((ROOT / "docs" / "asyncapi.yaml").read_text())["info"]["license"]
    labels = re.findall(r'image\.licenses="([^"]+)"', (ROOT / "deploy" / "Dockerfile").read_text())

    assert [project["license"], openapi["identifier"], *labels] == ["Apache-2.0"] * 3
    assert asyncapi["name"] == openapi["name"] == "Apache License 2.0"
    assert all((ROOT / name).is_file() for name in project["license-files"])
    digest = hashlib.sha256((ROOT / "LICENSE").read_bytes()).hexdigest()
    assert digest == "cfc7749b96f63bd31c3c42b5c471bf756814053e847c10f3eb003417bc523d30"
