"""No test sees what another left in the process: a pytest plugin, so that tests pass in any order.

Logs are put back after each test, because setting them up is meant for a process that does it once. Whatever else is the process's own
(`STATE`) fails the test that leaves it changed: monkeypatch undoes what it did, and a test that needs more runs in a process of its own.
"""

import decimal
import locale
import logging
import os
import signal
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from typing import Final

import pytest
import structlog
from structlog._config import BoundLoggerLazyProxy

# Not SIGALRM and SIGCHLD: pytest-timeout and the event loop have those.
SIGNALS: Final = (signal.SIGHUP, signal.SIGINT, signal.SIGTERM, signal.SIGUSR1, signal.SIGUSR2)
STATE: Final[Mapping[str, Callable[[], object]]] = {
    # pytest itself says in PYTEST_CURRENT_TEST where it is.
    "the environment": lambda: {name: value for name, value in os.environ.items() if name != "PYTEST_CURRENT_TEST"},
    "signal handlers": lambda: [signal.getsignal(number) for number in SIGNALS],
    "the working directory": os.getcwd,
    "the locale": lambda: locale.setlocale(locale.LC_ALL),
    "the time zone": lambda: time.tzname,
    "sys.path": lambda: list(sys.path),
    "the decimal context": lambda: repr(decimal.getcontext()),
}


@pytest.fixture(autouse=True)
def leaves_the_process_as_it_was() -> Iterator[None]:
    """Set up before every fixture of the test's own, and so the last to look."""
    logs_before = _Logs()
    before = {what: look() for what, look in STATE.items()}
    yield
    logs_before.put_back()
    changed = {what: (before[what], now) for what, look in STATE.items() if (now := look()) != before[what]}
    assert not changed, f"left changed for whoever runs next: {changed}"


class _Logs:
    """How the process logs: structlog's configuration, and the root logger of Python's own."""

    def __init__(self) -> None:
        self._was_configured = structlog.is_configured()
        self._structlog = structlog.get_config()
        root = logging.getLogger()
        self._level, self._disabled = root.level, logging.root.manager.disable
        self._handlers = list(root.handlers)
        self._levels = {name: logger.level for name, logger in _loggers()}
        self._handler_of_usr1 = signal.getsignal(signal.SIGUSR1)

    def put_back(self) -> None:
        if structlog.get_config() != self._structlog:
            _forget_cached_loggers()
        if self._was_configured:
            structlog.configure(**self._structlog)
        else:
            structlog.reset_defaults()
        root = logging.getLogger()
        root.setLevel(self._level)
        logging.disable(self._disabled)
        if root.handlers != self._handlers:
            root.handlers[:] = self._handlers
        for name, logger in _loggers():
            if logger.level != (level := self._levels.get(name, logging.NOTSET)):
                logger.setLevel(level)
        signal.signal(signal.SIGUSR1, self._handler_of_usr1)


def _loggers() -> list[tuple[str, logging.Logger]]:
    known = logging.root.manager.loggerDict.items()
    return [(name, logger) for name, logger in known if isinstance(logger, logging.Logger)]


def _forget_cached_loggers() -> None:
    """A module's logger keeps the set-up with which it said its first line, and structlog has no way to make it forget that one."""
    for module in list(sys.modules.values()):
        for found in list(getattr(module, "__dict__", {}).values()):
            if type(found) is BoundLoggerLazyProxy:
                vars(found).pop("bind", None)
