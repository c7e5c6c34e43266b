"""A step of the demo: done, printed with its time, and named where it fails."""

import time
from collections.abc import Awaitable
from typing import TypeVar

from deploy.local.demo_api import StepFailed
from deploy.local.errors import StackError

T = TypeVar("T")


async def step(what: str, work: Awaitable[T]) -> T:
    """Does one step and prints it with its time. Raises StepFailed, naming the step."""
    started = time.perf_counter()
    try:
        result = await work
    except StackError as failed:
        raise StepFailed(f"{what}: FAILED, {failed}") from None
    print(f"  ok  {what}  [{(time.perf_counter() - started) * 1000:.0f} ms]", flush=True)
    return result


def require(condition: bool, otherwise: str) -> None:
    if not condition:
        raise StepFailed(otherwise)
