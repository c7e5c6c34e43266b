"""Logs: one line a happening, an event name with ids; JSON for machines, text for people. Never a body, an address or a token.

SIGUSR1 changes what is logged at run time: from the level of the start to `debug`, and back.
"""

import contextlib
import hashlib
import logging
import signal
import sys
import threading
import traceback
from typing import Final, Literal

import orjson
import structlog
from structlog.typing import EventDict, Processor

LogFormat = Literal["json", "text"]
LogLevel = Literal["debug", "info", "warning", "error"]

# Libraries that say two lines a message, or log what people wrote.
_QUIET = ("aiormq", "aio_pika", "pymongo", "faststream", "uvicorn.access", "aiohttp.access", "mail.log")
MAX_CAUSES: Final = 5
_NUMBERS: Final = {"debug": 10, "info": 20, "warning": 30, "error": 40, "exception": 40, "critical": 50}


def configure(*, service: str, log_format: LogFormat, level: LogLevel) -> None:
    """Sets up the process's logs; called once, by a service's __main__.

    Our own lines go straight to the output (10 us each); those of libraries come through Python's `logging`, and look the same.
    """
    gate, first, last = _Gate(level), _first_steps(service), _last_step(log_format)
    structlog.configure(
        processors=[gate.let_through, structlog.contextvars.merge_contextvars, *first, last],
        wrapper_class=structlog.make_filtering_bound_logger(logging.DEBUG),
        logger_factory=lambda *_: _Output(),
        cache_logger_on_first_use=True,
    )
    handler = logging.StreamHandler(sys.stdout)
    rendered: list[Processor] = [structlog.stdlib.ProcessorFormatter.remove_processors_meta, last, _as_text]
    handler.setFormatter(structlog.stdlib.ProcessorFormatter(foreign_pre_chain=first, processors=rendered))
    logging.basicConfig(handlers=[handler], level=gate.least, force=True)
    for name in _QUIET:
        logging.getLogger(name).setLevel(logging.WARNING)
    if threading.current_thread() is threading.main_thread():
        signal.signal(signal.SIGUSR1, lambda *_: gate.turn())


def logged(order_id: str | None) -> str | None:
    """An order's number as logs show it: the same order looks the same, and none can be read back from a list of numbers at a glance."""
    return None if order_id is None else hashlib.sha256(order_id.encode()).hexdigest()[:12]


class _Output:
    """Writes whole lines to the standard output. Where nobody reads it any more, lines are lost and the work goes on."""

    def msg(self, line: bytes) -> None:
        with contextlib.suppress(OSError, ValueError):
            sys.stdout.buffer.write(line + b"\n")
            sys.stdout.buffer.flush()

    debug = info = warning = error = exception = critical = msg


class _Gate:
    """What is logged at the moment: the level of the start, or `debug`."""

    def __init__(self, level: LogLevel) -> None:
        self._at_start = self.least = _NUMBERS[level]

    def let_through(self, _logger: object, method: str, event: EventDict) -> EventDict:
        if _NUMBERS.get(method, logging.CRITICAL) < self.least:
            raise structlog.DropEvent
        return event

    def turn(self) -> None:
        """Says so at the more talkative of the two levels: the line must be seen either way."""
        wanted = logging.DEBUG if self.least > logging.DEBUG else self._at_start
        self.least = logging.DEBUG
        structlog.get_logger(__name__).warning("log_level_changed", log_level=logging.getLevelName(wanted).lower())
        self.least = wanted
        logging.getLogger().setLevel(wanted)


def _first_steps(service: str) -> list[Processor]:
    def name_the_service(_logger: object, _method: str, event: EventDict) -> EventDict:
        event["service"] = service
        return event

    return [
        structlog.stdlib.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        _say_where_it_failed,
        name_the_service,
    ]


def _say_where_it_failed(_logger: object, _method: str, event: EventDict) -> EventDict:
    """An exception's kind and place, with those that led to it, and never its message: a refused write names the whole document."""
    given = event.pop("exc_info", None)
    error = given[1] if isinstance(given, tuple) else given if isinstance(given, BaseException) else None
    if given is True:
        error = sys.exc_info()[1]
    told: list[str] = []
    while error is not None and len(told) < MAX_CAUSES:
        told.append("".join(traceback.format_tb(error.__traceback__)) + type(error).__qualname__)
        error = error.__cause__ or (None if error.__suppress_context__ else error.__context__)
    if told:
        event["exception"] = "\nafter:\n".join(told)
    return event


def _last_step(log_format: LogFormat) -> Processor:
    if log_format == "json":
        return structlog.processors.JSONRenderer(serializer=_json)
    console = structlog.dev.ConsoleRenderer(colors=False)

    def as_bytes(logger: object, method: str, event: EventDict) -> bytes:
        return console(logger, method, event).encode()

    return as_bytes


def _json(event: EventDict, **options: object) -> bytes:
    fallback = options.get("default")
    return orjson.dumps(event, default=fallback if callable(fallback) else str)


def _as_text(_logger: object, _method: str, line: object) -> str:
    """Python's `logging` writes text."""
    return line.decode() if isinstance(line, bytes) else str(line)
