"""Defects, seeded from outside: each takes one promise out of a service by replacing a function of it. The audit must catch every one.

`DEFECT=name python -m tests.chaos.defects.threads` (or notifier, gateway) runs the service with that defect and with its named points.
"""

import os
from collections.abc import Callable, Mapping

from tests.faults.replacing import replace

Apply = Callable[[], None]

__all__ = ["Apply", "replace", "seed"]


def seed(defects: Mapping[str, Apply]) -> None:
    """Applies the defect that the environment names, if it is one of these: the others are another service's."""
    if (name := os.environ["DEFECT"]) in defects:
        defects[name]()
