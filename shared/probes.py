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
    """The named checks that a service must pass to be ready."""

    def __init__(self, checks: dict[str, Check]) -> None:
        self._checks = checks

    async def look(self) -> dict[str, str]:
        """What is wrong, by check; empty when ready. A check that takes longer than a second is wrong too."""
        answers = await asyncio.gather(*(self._answer(check) for check in self._checks.values()))
        return {name: answer for name, answer in zip(self._checks, answers, strict=True) if answer is not None}

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

    @router.get("/livez", summary="Is the process alive?")
    async def livez() -> dict[str, str]:
        return {"status": "alive"}

    @router.get("/readyz", summary="Can it do its work?", responses={503: {"description": "Not ready"}})
    async def readyz() -> JSONResponse:
        wrong = await probes.look()
        status = "not ready" if wrong else "ready"
        return JSONResponse({"status": status, "wrong": wrong}, status_code=503 if wrong else 200)

    @router.get("/metrics", summary="Figures for Prometheus", response_class=Response)
    async def metrics() -> Response:
        return Response(generate_latest(registry), media_type=CONTENT_TYPE_LATEST)

    return router
