"""Defects, seeded from outside: each takes one promise out of a service by replacing a function of it. The audit must catch every one.

`DEFECT=name python -m tests.chaos.defects.threads` (or notifier, gateway) runs the service with that defect and with its named points.
"""

import os
from collections.abc import Callable, Mapping
from typing import Any

Apply = Callable[[], None]


def replace(owner: Any, name: str, make: Callable[[Any], Any]) -> None:
    """Puts `make(original)` in its place. Raises LookupError where the service has no such name any more: the defect must be mended."""
    found = vars(owner)
    if name not in found:
        raise LookupError(f"{owner.__name__} has no {name}: this defect changes nothing")
    setattr(owner, name, make(found[name]))


def seed(defects: Mapping[str, Apply]) -> None:
    """Applies the defect that the environment names, if it is one of these: the others are another service's."""
    if (name := os.environ["DEFECT"]) in defects:
        defects[name]()
