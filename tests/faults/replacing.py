"""Puts another function in a service's place, from outside; a place that is gone is an error, so that no test goes on without its fault."""

from collections.abc import Callable
from typing import Any


def replace(owner: Any, name: str, make: Callable[[Any], Any]) -> None:
    """Puts `make(original)` there. Raises LookupError where the class or module has no such name any more: then the fault must be mended."""
    found = vars(owner)
    if name not in found:
        raise LookupError(f"{owner.__name__} has no {name}: this changes nothing")
    setattr(owner, name, make(found[name]))
