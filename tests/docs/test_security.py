"""docs/security.md answers every requirement once, and every test that it names exists."""

import ast
import re
from collections import Counter
from functools import cache
from pathlib import Path

import pytest

from tests.docs.markdown import ROOT

DOCUMENT = (ROOT / "docs" / "security.md").read_text()
NAMED = sorted(set(re.findall(r"`(tests/[\w/]+\.py)(?:::(\w+))?`", DOCUMENT)))

# How many requirements of levels 1 and 2 each chapter of ASVS 5.0.0 has: 253 together.
CHAPTERS = (27, 11, 19, 10, 9, 35, 18, 7, 7, 29, 14, 9, 13, 9, 13, 16, 7)


@cache
def _tests(path: Path) -> frozenset[str]:
    tree = ast.parse(path.read_text())
    return frozenset(node.name for node in ast.walk(tree) if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef))


@pytest.mark.parametrize(("path", "test"), NAMED)
def test_every_test_that_it_names_exists(path: str, test: str) -> None:
    assert (ROOT / path).is_file()
    assert not test or test in _tests(ROOT / path)


def _answered() -> list[str]:
    """The requirements of the table, ranges written out: `1.2.6–1.2.8` is three of them."""
    table = DOCUMENT.partition("## ASVS 5.0")[2]
    answered: list[str] = []
    for cell in re.findall(r"^\| (\d[^|*]*) \| .*\S", table, re.MULTILINE):
        for part in cell.split(","):
            first, _, last = part.strip().partition("–")
            section, _, number = first.rpartition(".")
            end = int(last.rpartition(".")[2]) if last else int(number)
            answered += [f"{section}.{each}" for each in range(int(number), end + 1)]
    return answered


def test_every_requirement_of_asvs_is_answered_once() -> None:
    answered = Counter(_answered())
    assert not [requirement for requirement, times in answered.items() if times > 1]
    by_chapter = Counter(int(requirement.partition(".")[0]) for requirement in answered)
    assert by_chapter == dict(enumerate(CHAPTERS, start=1))
    assert sum(CHAPTERS) == len(answered) == 253


def test_every_risk_of_the_api_top_ten_is_answered() -> None:
    assert re.findall(r"^\| (API\d+) \|", DOCUMENT, re.MULTILINE) == [f"API{number}" for number in range(1, 11)]
