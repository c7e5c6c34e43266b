"""Logs: one line a happening, an event name with ids; JSON for machines, text for people. Never a body, an address or a token.

Lines up to `info` are gathered for at most 50 ms and written in one piece: alone, a line costs three times as much. `warning` and worse are
written at once, behind what was gathered, and so is the rest at the process's end. One that is killed outright (SIGKILL, out of memory)
takes the lines of its last 50 ms along, and nothing else: no promise of ours is kept by a log.

SIGUSR1 changes what is logged at run time: from the level of the start to `debug`, and back.
"""

import asyncio
import atexit
import contextlib
import hashlib
import json
import logging
import os
import signal
import sys
import threading
import traceback
from collections import deque
from collections.abc import Callable
from contextvars import ContextVar
from datetime import UTC, datetime
from typing import Final, Literal, TextIO

import orjson
import structlog
from structlog.typing import EventDict, Processor, WrappedLogger

LogFormat = Literal["json", "text"]
LogLevel = Literal["debug", "info", "warning", "error"]
Complete = Callable[[WrappedLogger, str, EventDict], EventDict]
Rendered = Callable[[EventDict], bytes]

# Libraries that say two lines a message, or log what people wrote.
_QUIET = ("aiormq", "aio_pika", "pymongo", "faststream", "uvicorn.access", "aiohttp.access", "mail.log")
MAX_CAUSES: Final = 5
GATHERED_S: Final = 0.05
MAX_GATHERED: Final = 256
_NUMBERS: Final = {"debug": 10, "info": 20, "warning": 30, "error": 40, "critical": 50}

request_id: Final[ContextVar[str | None]] = ContextVar("request_id", default=None)
"""The id of the HTTP request that this task answers; every line of the task names it."""


def configure(*, service: str, log_format: LogFormat, level: LogLevel) -> None:
    """Sets up the process's logs; called once, by a service's __main__.

    Our own lines go straight to the output; those of libraries come through Python's `logging`, and look the same.
    """
    complete, rendered = _completed_for(service), _as_json if log_format == "json" else _text()
    lines = _Lines(level, complete=complete, rendered=rendered)
    structlog.configure(
        processors=[], wrapper_class=_Logger, logger_factory=lambda *_: lines, cache_logger_on_first_use=True
    )
    handler = _OfLibraries(lines)
    last: list[Processor] = [
        structlog.stdlib.ProcessorFormatter.remove_processors_meta,
        lambda _logger, _method, event: rendered(event).decode(),
    ]
    handler.setFormatter(structlog.stdlib.ProcessorFormatter(foreign_pre_chain=[complete], processors=last))
    logging.basicConfig(handlers=[handler], level=lines.least, force=True)
    for name in _QUIET:
        logging.getLogger(name).setLevel(logging.WARNING)
    atexit.register(lines.write)
    if threading.current_thread() is threading.main_thread():
        signal.signal(signal.SIGUSR1, lambda *_: lines.turn())


def logged(order_id: str | None) -> str | None:
    """An order's number as logs show it: the same order looks the same, and none can be read back from a list of numbers at a glance."""
    return None if order_id is None else hashlib.sha256(order_id.encode()).hexdigest()[:12]


class _Logger(structlog.BoundLoggerBase):
    """What `structlog.get_logger` gives."""

    _logger: "_Lines"

    def debug(self, event: str, **fields: object) -> None:
        self._take("debug", event, fields)

    def info(self, event: str, **fields: object) -> None:
        self._take("info", event, fields)

    def warning(self, event: str, **fields: object) -> None:
        self._take("warning", event, fields)

    def error(self, event: str, **fields: object) -> None:
        self._take("error", event, fields)

    def critical(self, event: str, **fields: object) -> None:
        self._take("critical", event, fields)

    def exception(self, event: str, **fields: object) -> None:
        self._take("error", event, {"exc_info": True, **fields})

    def _take(self, level: str, event: str, fields: dict[str, object]) -> None:
        if _NUMBERS[level] >= self._logger.least:
            self._logger.take(level, {**self._context, **fields, "event": event})


class _Lines:
    """What is logged at the moment (the level of the start, or `debug`), and the lines that are still to be written."""

    def __init__(self, level: LogLevel, *, complete: Complete, rendered: Rendered) -> None:
        self._at_start = self.least = _NUMBERS[level]
        self._complete, self._rendered = complete, rendered
        self._gathered: deque[EventDict] = deque()
        self._will_be_written = False

    def take(self, level: str, event: EventDict) -> None:
        """A line of this level. Also from other threads, and where no event loop runs: there nothing is gathered."""
        self._gathered.append(self._complete(self, level, event))
        if _NUMBERS[level] > logging.INFO or len(self._gathered) >= MAX_GATHERED:
            self.write()
        elif not self._will_be_written:
            self._write_soon()

    def _write_soon(self) -> None:
        try:
            loop = asyncio.get_running_loop()
        except RuntimeError:
            self.write()
        else:
            self._will_be_written = True
            loop.call_later(GATHERED_S, self.write)

    def write(self) -> None:
        """Writes all lines so far. Where nobody reads the output any more, they are lost and the work goes on."""
        self._will_be_written = False
        said = bytearray()
        # Empty at last, maybe because another thread is writing too.
        with contextlib.suppress(IndexError):
            while True:
                said += self._rendered(self._gathered.popleft()) + b"\n"
        with contextlib.suppress(OSError, ValueError):
            unwritten = memoryview(said)
            while unwritten:
                unwritten = unwritten[os.write(sys.stdout.fileno(), unwritten) :]

    def turn(self) -> None:
        """Says so at the more talkative of the two levels: the line must be seen either way."""
        wanted = logging.DEBUG if self.least > logging.DEBUG else self._at_start
        self.least = logging.DEBUG
        structlog.get_logger(__name__).warning("log_level_changed", log_level=logging.getLevelName(wanted).lower())
        self.least = wanted
        logging.getLogger().setLevel(wanted)


class _OfLibraries(logging.StreamHandler[TextIO]):
    """Libraries' lines are written at once, behind ours: also uvicorn's last one, before it lets SIGTERM end the process."""

    def __init__(self, lines: _Lines) -> None:
        super().__init__(sys.stdout)
        self._lines = lines

    def emit(self, record: logging.LogRecord) -> None:
        self._lines.write()
        super().emit(record)


def _completed_for(service: str) -> Complete:
    def complete(_logger: WrappedLogger, level: str, event: EventDict) -> EventDict:
        """What every line says, in one step: each further one costs."""
        event["level"], event["timestamp"], event["service"] = level, datetime.now(UTC), service
        if (request := request_id.get()) is not None:
            event["request_id"] = request
        if "exc_info" in event:
            _say_where_it_failed(event)
        return event

    return complete


def _say_where_it_failed(event: EventDict) -> None:
    """An exception's kind and place, with those that led to it, and never its message: a refused write names the whole document."""
    given = event.pop("exc_info")
    error = given[1] if isinstance(given, tuple) else given if isinstance(given, BaseException) else None
    if given is True:
        error = sys.exc_info()[1]
    told: list[str] = []
    while error is not None and len(told) < MAX_CAUSES:
        told.append("".join(traceback.format_tb(error.__traceback__)) + type(error).__qualname__)
        error = error.__cause__ or (None if error.__suppress_context__ else error.__context__)
    if told:
        event["exception"] = "\nafter:\n".join(told)


def _as_json(event: EventDict) -> bytes:
    try:
        return orjson.dumps(event, default=repr, option=orjson.OPT_UTC_Z)
    except TypeError:
        # Half a character, from the wire: orjson writes none, and a line must not be lost over it.
        return json.dumps(event, default=repr, skipkeys=True).encode()


def _text() -> Rendered:
    console = structlog.dev.ConsoleRenderer(colors=False)

    def as_text(event: EventDict) -> bytes:
        event["timestamp"] = event["timestamp"].isoformat().replace("+00:00", "Z")
        return console(None, "", event).encode(errors="backslashreplace")

    return as_text
