"""How the tests are shared out among pytest-xdist's workers, and what is said meanwhile: a pytest plugin, for `pytest -n auto`.

Each worker has servers of its own, which its tests may stop and kill. A file's tests stay together, because they share what a module's
fixture has started; so do those of the folders in `TOGETHER`, whose fixtures live as long as the package. (Each worker that gets files
of tests/browser has a Parley and a browser of its own for them.) Files that take long come first, so that no worker begins one when the
others have nothing left to do; how many tests a file has says little about that.
"""

import os
import secrets
import time
from collections import Counter
from collections.abc import Iterable, Sequence
from typing import Any, Final

import pytest
from xdist.scheduler import LoadScopeScheduling

TOGETHER: Final = ("tests/api/bad_input/",)
# The folders and files whose tests take longest, most of them because services are killed and started again; unit tests come last.
LONG_FIRST: Final = (
    "tests/model/test_thread_machine.py",
    "tests/grid/",
    "tests/browser/",
    "tests/fuzz/",
    "tests/api/test_schema.py",
    "tests/integration/gateway/test_writes.py",
    "tests/integration/gateway/test_live.py",
    "tests/e2e/",
    "tests/integration/notifier/test_consuming.py",
    "tests/integration/worker/",
    "tests/integration/gateway/",
    "tests/servers/test_local_stack.py",
    "tests/test_style.py",
    "tests/operations/",
    "tests/integration/",
)
LAST: Final = ("tests/unit/", "tests/contracts/")


def unit_of(nodeid: str) -> str:
    """What is given to one worker as a whole: a folder of TOGETHER, else a file."""
    for folder in TOGETHER:
        if nodeid.startswith(folder):
            return folder
    return nodeid.partition("::")[0]


def rank(nodeid: str) -> int:
    """The place of a test's unit in the queue: by LONG_FIRST, then the rest, then LAST."""
    for place, start in enumerate(LONG_FIRST):
        if nodeid.startswith(start):
            return place
    return len(LONG_FIRST) + nodeid.startswith(LAST)


class ByUnit(LoadScopeScheduling):  # type: ignore[misc]  # xdist says nothing of its types
    """Hands out whole units, in the order in which they were collected."""

    def _split_scope(self, nodeid: str) -> str:
        return unit_of(nodeid)


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> ByUnit:
    config.option.loadscopereorder = False
    return ByUnit(config, log)


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_auto_num_workers() -> int:
    """One more than there are processors: a good part of most tests is waiting, for a limit or a server that starts."""
    return 1 + len(os.sched_getaffinity(0))


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    items.sort(key=lambda item: rank(item.nodeid))


@pytest.hookimpl(trylast=True)  # pytest's own reporter is there then
def pytest_configure(config: pytest.Config) -> None:
    if getattr(config.option, "numprocesses", None) and not hasattr(config, "workerinput"):
        # All workers must collect the same tests in the same order, also where the parameters come from a set.
        os.environ.setdefault("PYTHONHASHSEED", str(secrets.randbelow(2**32)))
        config.pluginmanager.register(Progress(config))


class Progress:
    """One line for each unit that is done, and one at once for each test that failed."""

    def __init__(self, config: pytest.Config) -> None:
        self._terminal: Any = config.pluginmanager.getplugin("terminalreporter")
        self._began = time.monotonic()
        self._of: Counter[str] = Counter()
        self._done: Counter[str] = Counter()
        self._took_s: Counter[str] = Counter()
        self._said: Counter[tuple[str, str]] = Counter()

    @pytest.hookimpl(optionalhook=True)
    def pytest_xdist_node_collection_finished(self, ids: Sequence[str]) -> None:
        self._of = Counter(map(unit_of, ids))

    @pytest.hookimpl(tryfirst=True)
    def pytest_report_teststatus(self, report: pytest.TestReport) -> tuple[str, str, str] | None:
        """No letter for each test: a line for each unit says more."""
        if report.failed:
            return ("failed", "", "FAILED") if report.when == "call" else ("error", "", "ERROR")
        if report.when == "call" or report.skipped:
            return report.outcome, "", ""
        return None

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        unit = unit_of(report.nodeid)
        self._took_s[unit] += report.duration  # type: ignore[assignment]  # seconds, which a Counter adds up as well
        if report.failed:
            self._said[unit, "FAILED"] += 1
            self._say(f"FAILED  {report.nodeid} ({report.when})")
        elif report.skipped:
            self._said[unit, "skipped"] += 1
        if report.when == "teardown":
            self._done[unit] += 1
            if self._done[unit] == self._of[unit]:
                self._say(f"{unit}: {self._summary(unit)}")

    def _summary(self, unit: str) -> str:
        words: Iterable[str] = (
            f", {self._said[unit, what]} {what}" for what in ("skipped", "FAILED") if self._said[unit, what]
        )
        return f"{self._of[unit]} in {self._took_s[unit]:.1f} s" + "".join(words)

    def _say(self, line: str) -> None:
        minutes, seconds = divmod(int(time.monotonic() - self._began), 60)
        share = 100 * self._done.total() // max(1, self._of.total())
        self._terminal.write_line(f"{minutes:3d}:{seconds:02d} {share:3d} %  {line}")
