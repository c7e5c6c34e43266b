"""`/livez`, `/readyz` and `/metrics`: the same three questions to every service."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Final

from fastapi import APIRouter
from fastapi.responses import JSONResponse, Response
from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, generate_latest

CHECK_LIMIT_S: Final = 1.0

Check = Callable[[], Awaitable[str | None]]
"""Answers None when all is well, else what is wrong in a few words."""


class Probes:
    """The named checks that a service must pass to be ready, and those that only say what it has to do without."""

    def __init__(self, needed: dict[str, Check], *, useful: dict[str, Check] | None = None) -> None:
        self._needed, self._useful = needed, useful or {}

    async def look(self) -> tuple[dict[str, str], dict[str, str]]:
        """What is wrong, and what is missing but not needed, by check. A check that takes longer than a second is wrong too."""
        wrong, missing = await asyncio.gather(self._answers(self._needed), self._answers(self._useful))
        return wrong, missing

    async def _answers(self, checks: dict[str, Check]) -> dict[str, str]:
        answers = await asyncio.gather(*(self._answer(check) for check in checks.values()))
        return {name: answer for name, answer in zip(checks, answers, strict=True) if answer is not None}

    async def _answer(self, check: Check) -> str | None:
        try:
            async with asyncio.timeout(CHECK_LIMIT_S):
                return await check()
        except TimeoutError:
            return f"no answer within {CHECK_LIMIT_S:g} s"
        except Exception as error:
            return type(error).__name__


def routes(probes: Probes, registry: CollectorRegistry) -> APIRouter:
    """The three routes; none of them needs a token, so they belong on an inner network or behind a rule of the proxy."""
    router = APIRouter(tags=["operations"])

    @router.get("/livez", operation_id="getLivez", summary="Is the process alive?")
    async def livez() -> dict[str, str]:
        return {"status": "alive"}

    @router.get(
        "/readyz",
        operation_id="getReadyz",
        summary="Can it do its work?",
        responses={503: {"description": "Not ready"}},
    )
    async def readyz() -> JSONResponse:
        wrong, missing = await probes.look()
        status = "not ready" if wrong else "degraded" if missing else "ready"
        answer = {"status": status, "wrong": wrong, "missing": missing}
        return JSONResponse(answer, status_code=503 if wrong else 200)

    @router.get("/metrics", operation_id="getMetrics", summary="Figures for Prometheus", response_class=Response)
    async def metrics() -> Response:
        return Response(generate_latest(registry), media_type=CONTENT_TYPE_LATEST)

    return router
