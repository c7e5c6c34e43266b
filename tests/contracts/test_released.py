"""Two releases side by side: this one reads what the earlier ones write, and they read what this one writes."""

import json
from pathlib import Path
from typing import Any

import jsonschema  # type: ignore[import-untyped]  # it comes without types
import pytest

from shared import examples
from shared.envelope import Envelope
from tests.contracts.release import GOLDEN, RELEASED, reader

RELEASES = sorted(path for path in RELEASED.iterdir() if path.is_dir())


def _messages() -> list[Any]:
    return [
        pytest.param(path, id=f"{release.name} {path.stem}")
        for release in RELEASES
        for path in sorted(release.glob("parley.*.json"))
    ]


def _readings() -> list[Any]:
    return [
        pytest.param(release, message, id=f"{release.name} {message.type}")
        for release in RELEASES
        for message in examples.EVERY_MESSAGE
    ]


def _readers(release: Path) -> dict[str, Any]:
    """By type, how the release reads it."""
    known: dict[str, Any] = json.loads((release / "readers.json").read_text())
    return known


def _assert_read_by(release: Path, kind: str, message: Any) -> None:
    """The release takes it; a type that it does not know it never subscribed to."""
    known = _readers(release)
    if kind in known:
        jsonschema.validate(message, known[kind], cls=jsonschema.Draft202012Validator)


def _json(message: Envelope) -> dict[str, Any]:
    written: dict[str, Any] = json.loads(message.model_dump_json(exclude_none=True))
    return written


def test_there_is_a_release_to_live_beside() -> None:
    assert RELEASES


@pytest.mark.parametrize("release", RELEASES, ids=lambda release: release.name)
def test_a_release_reads_a_reply_and_all_that_it_writes_itself(release: Path) -> None:
    written = {json.loads(path.read_text())["type"] for path in release.glob("parley.*.json")}
    assert {*written, "reply"} <= _readers(release).keys()


@pytest.mark.parametrize("path", _messages())
def test_this_release_reads_what_an_earlier_one_writes(path: Path) -> None:
    written = json.loads(path.read_text())
    message = reader(written["type"]).validate_json(path.read_text())
    assert _is_within(written, json.loads(message.model_dump_json()))


@pytest.mark.parametrize(("release", "message"), _readings())
def test_an_earlier_release_reads_what_this_one_writes(release: Path, message: Envelope) -> None:
    """What a shop writes is strict: a field that the release does not know is the shop's to leave out until its threads are newer."""
    written = _json(message)
    if message in examples.ORDER_EVENTS:
        known = _readers(release)[message.type]["$defs"]["OrderSnapshot"]["properties"]
        written["data"] = {name: value for name, value in written["data"].items() if name in known}
    _assert_read_by(release, message.type, written)


@pytest.mark.parametrize("release", RELEASES, ids=lambda release: release.name)
def test_an_earlier_release_reads_the_reply_of_this_one(release: Path) -> None:
    _assert_read_by(release, "reply", json.loads(examples.REPLY.model_dump_json(exclude_none=True)))


@pytest.mark.parametrize("release", RELEASES, ids=lambda release: release.name)
def test_an_earlier_release_ignores_what_a_later_one_adds(release: Path) -> None:
    for message in [*examples.COMMANDS, *examples.EVENTS, *examples.NOTIFICATIONS]:
        later = _json(message)
        later["data"]["added_later"] = {"x": 1}
        _assert_read_by(release, message.type, later | {"addedlater": "y"})


@pytest.mark.parametrize("path", _messages())
def test_a_golden_message_that_was_released_is_never_changed(path: Path) -> None:
    assert (GOLDEN / path.name).read_text() == path.read_text()


def _is_within(smaller: Any, larger: Any) -> bool:
    """Whether everything in the one stands in the other; fields may have been added."""
    if isinstance(smaller, dict):
        return all(name in larger and _is_within(value, larger[name]) for name, value in smaller.items())
    if isinstance(smaller, list):
        return len(smaller) == len(larger) and all(map(_is_within, smaller, larger))
    return bool(smaller == larger)
