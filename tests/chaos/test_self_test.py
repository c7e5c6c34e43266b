"""The audit's self-test takes minutes (`make chaos-self-test`); here only that none of its defects has come to change nothing."""

import subprocess
import sys

from deploy.local.settings import REPOSITORY
from tests.chaos.self_test import CASES, seedable


def test_every_seeded_defect_and_every_named_point_still_finds_its_place() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "tests.chaos.defects"], cwd=REPOSITORY, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr


def test_there_are_twenty_defects_or_more_and_each_has_a_case() -> None:
    assert seedable() == {case.defect for case in CASES}
    assert len(CASES) >= 20
