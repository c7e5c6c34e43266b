"""When lines are written: gathered while nothing is wrong, at once where something is, and all of them at the end."""

import asyncio
import json
import logging
import subprocess
import sys
from collections.abc import Iterator
from typing import Any

import pytest
import structlog

from shared import logs
from tests.servers.waiting import eventually

Capture = pytest.CaptureFixture[bytes]


@pytest.fixture(autouse=True)
def leaves_no_line_to_the_next_test() -> Iterator[None]:
    """What a test leaves gathered would be written within the next 50 ms, whoever runs then."""
    yield
    if structlog.is_configured():
        structlog.get_config()["logger_factory"]().write()


def _log() -> Any:
    logs.configure(service="test", log_format="json", level="info")
    return structlog.get_logger()


def _lines(capture: Capture) -> list[dict[str, Any]]:
    return [json.loads(line) for line in capture.readouterr().out.splitlines()]


def _events(capture: Capture) -> list[str]:
    return [line["event"] for line in _lines(capture)]


async def test_lines_are_gathered_for_a_moment_and_stay_in_order(capfdbinary: Capture) -> None:
    log, found = _log(), list[str]()
    for number in range(3):
        log.info(f"line_{number}")
    log.debug("not_wanted")
    assert _lines(capfdbinary) == []

    def look() -> list[str]:
        found.extend(_events(capfdbinary))
        return found

    await eventually(look)
    assert found == ["line_0", "line_1", "line_2"]


@pytest.mark.parametrize("level", ["warning", "error", "exception", "critical"])
async def test_what_is_worse_than_info_is_written_at_once_behind_the_rest(capfdbinary: Capture, level: str) -> None:
    log = _log()
    log.info("before")
    getattr(log, level)("trouble")
    log.info("after")
    assert _events(capfdbinary) == ["before", "trouble"]


async def test_a_librarys_line_is_written_at_once_behind_the_rest(capfdbinary: Capture) -> None:
    _log().info("before")
    logging.getLogger("library").info("something")
    assert _events(capfdbinary) == ["before", "something"]


async def test_there_is_an_end_to_what_is_gathered(capfdbinary: Capture) -> None:
    log = _log()
    for number in range(logs.MAX_GATHERED + 1):
        log.info("line", number=number)
    assert [line["number"] for line in _lines(capfdbinary)] == list(range(logs.MAX_GATHERED))


def test_without_an_event_loop_lines_are_written_as_they_come(capfdbinary: Capture) -> None:
    _log().info("alone")
    assert _events(capfdbinary) == ["alone"]


async def test_lines_of_a_thread_are_not_lost_among_those_of_the_loop(capfdbinary: Capture) -> None:
    log = _log()
    log.info("of_the_loop")
    await asyncio.to_thread(log.info, "of_a_thread")
    log.error("last")
    assert _events(capfdbinary) == ["of_the_loop", "of_a_thread", "last"]


def test_a_line_says_what_every_line_says(capfdbinary: Capture) -> None:
    log, before = _log(), logs.request_id.set("r-1")
    log.bind(bound=1).info("said", some={"n": None}, other=frozenset())
    logs.request_id.reset(before)
    log.info("alone")
    first, second = _lines(capfdbinary)
    assert first.pop("timestamp").endswith("Z")
    assert first == {
        "event": "said",
        "level": "info",
        "service": "test",
        "request_id": "r-1",
        "bound": 1,
        "some": {"n": None},
        "other": "frozenset()",
    }
    assert "request_id" not in second


def test_half_a_character_costs_no_line(capfdbinary: Capture) -> None:
    _log().info("odd", name="\ud83d")
    assert _lines(capfdbinary)[0]["name"] == "\ud83d"


@pytest.mark.parametrize("log_format", ["json", "text"])
def test_at_the_end_of_the_process_all_is_written(log_format: str) -> None:
    program = f"""
import asyncio, structlog
from shared import logs
logs.configure(service="test", log_format={log_format!r}, level="info")
async def work():
    structlog.get_logger().info("last_words")
asyncio.run(work())
"""
    ended = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True, timeout=60)
    assert "last_words" in ended.stdout


SERVICE = """
import contextlib, types, structlog
from fastapi import FastAPI
from deploy.local.ports import free_port
from shared import logs, serve
logs.configure(service="test", log_format="json", level="info")
@contextlib.asynccontextmanager
async def life(_):
    yield
    structlog.get_logger().info("last_words")
settings = types.SimpleNamespace(http_host="127.0.0.1", http_port=free_port(), shutdown_grace_s=5)
serve.run(FastAPI(lifespan=life), settings)
"""


def test_a_service_that_is_told_to_end_says_all_that_it_had_to_say() -> None:
    with subprocess.Popen([sys.executable, "-c", SERVICE], stdout=subprocess.PIPE, text=True) as service:
        assert service.stdout is not None
        for line in service.stdout:
            if "Uvicorn running" in line:
                service.terminate()
            if "last_words" in line:
                break
        else:
            pytest.fail("its last words are lost")
