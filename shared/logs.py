"""Logs: one line a happening, an event name with ids; JSON for machines, text for people. Never a body, an address or a token."""

import logging
import sys
from typing import Literal

import structlog

LogFormat = Literal["json", "text"]
LogLevel = Literal["debug", "info", "warning", "error"]

# Libraries that say two lines a message, or log what people wrote.
_QUIET = ("aiormq", "aio_pika", "pymongo", "faststream", "uvicorn.access", "aiohttp.access", "mail.log")


def configure(*, service: str, log_format: LogFormat, level: LogLevel) -> None:
    """Sets up the process's logs; called once, by a service's __main__."""
    number = getattr(logging, level.upper())
    shared_steps: list[structlog.typing.Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        structlog.processors.format_exc_info,
    ]
    structlog.configure(
        processors=[*shared_steps, structlog.stdlib.ProcessorFormatter.wrap_for_formatter],
        wrapper_class=structlog.make_filtering_bound_logger(number),
        logger_factory=structlog.stdlib.LoggerFactory(),
        cache_logger_on_first_use=True,
    )
    handler = logging.StreamHandler(sys.stdout)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(foreign_pre_chain=shared_steps, processors=_last_steps(service, log_format))
    )
    logging.basicConfig(handlers=[handler], level=number, force=True)
    for name in _QUIET:
        logging.getLogger(name).setLevel(logging.WARNING)


def _last_steps(service: str, log_format: LogFormat) -> list[structlog.typing.Processor]:
    def name_the_service(
        _logger: object, _method: str, event: structlog.typing.EventDict
    ) -> structlog.typing.EventDict:
        event["service"] = service
        return event

    renderer: structlog.typing.Processor = (
        structlog.processors.JSONRenderer() if log_format == "json" else structlog.dev.ConsoleRenderer(colors=False)
    )
    return [name_the_service, structlog.stdlib.ProcessorFormatter.remove_processors_meta, renderer]
