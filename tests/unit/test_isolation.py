"""What a test leaves in the process is put back, or fails that very test: so the order in which they run decides nothing."""

import re

import pytest
from structlog.testing import capture_logs

from deploy.local.settings import REPOSITORY
from shared import losses

ISOLATION = ("-p", "tests.isolation", "-p", "no:cacheprovider", "-o", "asyncio_default_fixture_loop_scope=session")
LEAVES = {
    "the environment": "os.environ['LEFT_BEHIND'] = 'yes'",
    "signal handlers": "signal.signal(signal.SIGHUP, lambda *_: None)",
    "the working directory": "os.chdir('/')",
    "the locale": "locale.setlocale(locale.LC_ALL, 'C.UTF-8' if locale.setlocale(locale.LC_ALL) == 'C' else 'C')",
    "sys.path": "sys.path.append('/nowhere')",
    "the decimal context": "decimal.getcontext().prec = 3",
}


def test_a_logger_that_was_set_up_is_heard_again_by_the_next_test(pytester: pytest.Pytester) -> None:
    """The module's logger says a line while logs are set up, keeps that set-up, and a later test listens for its lines."""
    pytester.makepyfile(
        """
        import logging
        from structlog.testing import capture_logs
        from shared import logs, losses

        def test_sets_up_and_says():
            logs.configure(service="test", log_format="json", level="info")
            losses.log.warning("said")
            assert logging.getLogger("aiormq").level == logging.WARNING

        def test_listens():
            with capture_logs() as lines:
                losses.log.warning("heard")
            assert [line["event"] for line in lines] == ["heard"]
            assert logging.getLogger("aiormq").level == logging.NOTSET
        """
    )
    pytester.runpytest_inprocess(*ISOLATION).assert_outcomes(passed=2)
    with capture_logs() as lines:
        losses.log.warning("heard")
    assert len(lines) == 1


def test_whoever_changes_the_process_for_others_fails(
    pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PYTHONPATH", str(REPOSITORY))
    lines = "".join(f"def test_{number}():\n    {leaves}\n" for number, leaves in enumerate(LEAVES.values()))
    pytester.makepyfile(f"import decimal, locale, os, signal, sys\n{lines}")

    done = pytester.runpytest_subprocess(*ISOLATION)

    done.assert_outcomes(passed=len(LEAVES), errors=len(LEAVES))
    found = re.findall(
        "^E +AssertionError: left changed for whoever runs next: {'([a-z. ]+)'", done.stdout.str(), re.MULTILINE
    )
    assert found == list(LEAVES)
