"""How `make test` shares the tests out, and what it says meanwhile."""

import pytest

from deploy.local.settings import REPOSITORY
from tests.lanes import LAST, LONG_FIRST, TOGETHER, rank, unit_of


@pytest.mark.parametrize("start", [*TOGETHER, *LONG_FIRST, *LAST])
def test_whatever_has_a_place_in_the_queue_is_there(start: str) -> None:
    assert (REPOSITORY / start).exists()


def test_a_file_is_one_unit_and_so_is_a_folder_with_a_fixture_for_the_package() -> None:
    assert unit_of("tests/grid/test_grid.py::test_a[tests/b.py::c]") == "tests/grid/test_grid.py"
    assert unit_of("tests/api/bad_input/test_bodies.py::test_a") == "tests/api/bad_input/"


def test_what_takes_long_comes_first_and_unit_tests_last() -> None:
    in_the_end = "tests/unit/test_lanes.py::test_a"
    between = "tests/docs/test_drift.py::test_a"
    assert (
        rank(f"{LONG_FIRST[0]}::test_a")
        < rank(f"{LONG_FIRST[1]}test_grid.py::test_a")
        < rank(between)
        < rank(in_the_end)
    )


def test_each_file_is_told_of_when_it_is_done_and_a_failure_at_once(
    pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PYTHONPATH", str(REPOSITORY))
    pytester.makepyfile(
        test_good="import pytest\ndef test_a(): pass\n@pytest.mark.skip\ndef test_b(): pass",
        test_bad="def test_c(): assert 0\ndef test_d(): pass",
    )
    # One worker, so that the order of the lines is that of the files; where both are, the last line counts them together.
    options = (
        "-p",
        "tests.lanes",
        "-p",
        "no:cacheprovider",
        "-n",
        "1",
        "-o",
        "asyncio_default_fixture_loop_scope=session",
    )
    done = pytester.runpytest_subprocess(*options)

    done.stdout.fnmatch_lines(
        [
            "*:?? * %  FAILED  test_bad.py::test_c (call)",
            "*:?? * %  test_bad.py: 2 in * s, 1 FAILED",
            "*:?? 100 %  test_good.py: 2 in * s, 1 skipped",
            "*FAILED test_bad.py::test_c*",
            "=* 1 failed, 2 passed, 1 skipped in *=",
        ]
    )
    assert done.ret == 1
