"""Keeps what a release writes and reads, for the releases after it: `python -m tests.contracts.release 0.2.0` when it is made.

`released/<version>/<type>.<n>.json` are its golden messages, `readers.json` the JSON Schema by which it reads each type.
"""

import json
import sys
import typing
from pathlib import Path
from typing import Any

from pydantic import TypeAdapter

from shared.commands import COMMAND, Command, CommandOutcome
from shared.envelope import Envelope
from shared.events import EVENT, NOTIFICATION, Event, Notification
from shared.orders import ORDER_EVENT, OrderEvent

HERE = Path(__file__).parent
GOLDEN = HERE / "golden"
RELEASED = HERE / "released"
READERS: list[TypeAdapter[Any]] = [COMMAND, EVENT, NOTIFICATION, ORDER_EVENT]


def models() -> dict[str, type[Envelope]]:
    """The model of every type of message."""
    members = [typing.get_args(typing.get_args(union)[0]) for union in (Command, Event, Notification)]
    every = [*(member for group in members for member in group), OrderEvent]
    return {name: model for model in every for name in typing.get_args(model.model_fields["type"].annotation)}


def reader(kind: str) -> TypeAdapter[Any]:
    """Today's reader of this type."""
    return next(reader for reader in READERS if kind in json.dumps(reader.json_schema()))


def schemas() -> dict[str, Any]:
    """How each type, and a reply, is read today."""
    every = {name: model.model_json_schema() for name, model in models().items()}
    return dict(sorted(every.items())) | {"reply": CommandOutcome.model_json_schema()}


def keep(version: str) -> None:
    folder = RELEASED / version
    folder.mkdir(parents=True)
    for path in sorted(GOLDEN.glob("parley.*.json")):
        (folder / path.name).write_text(path.read_text())
    (folder / "readers.json").write_text(json.dumps(schemas(), indent=1, ensure_ascii=False) + "\n")


if __name__ == "__main__":
    keep(sys.argv[1])
