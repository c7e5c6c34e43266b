"""Every version of every message keeps a golden file: today's readers must read it, today's writers must write the same.

A new field gets a new golden file beside the old one (`<type>.<n>.json`); an old file is never changed.
"""

import json
from pathlib import Path

import pytest

from shared import examples
from shared.commands import OUTCOME
from shared.envelope import Envelope
from tests.contracts.release import GOLDEN, models, reader


def test_every_type_has_an_example_and_a_golden_file() -> None:
    shown = {message.type for message in examples.EVERY_MESSAGE}
    kept = {path.name.removesuffix(".json").rpartition(".")[0] for path in GOLDEN.glob("parley.*.json")}
    assert shown == models().keys()
    assert kept == models().keys()


@pytest.mark.parametrize("path", sorted(GOLDEN.glob("parley.*.json")), ids=lambda path: path.stem)
def test_what_was_ever_written_is_still_read(path: Path) -> None:
    written = json.loads(path.read_text())
    message = reader(written["type"]).validate_json(path.read_text())
    again = json.loads(message.model_dump_json(exclude_none=True))
    assert again | written == again
    assert again["data"].keys() >= written["data"].keys()


@pytest.mark.parametrize("message", examples.EVERY_MESSAGE, ids=lambda message: message.type)
def test_what_is_written_now_is_the_newest_golden_file(message: Envelope) -> None:
    versions = sorted(GOLDEN.glob(f"{message.type}.*.json"))
    assert json.loads(versions[-1].read_text()) == json.loads(message.model_dump_json(exclude_none=True))


def test_a_reader_ignores_what_a_later_version_adds() -> None:
    for message in [*examples.COMMANDS, *examples.EVENTS, *examples.NOTIFICATIONS]:
        later = json.loads(message.model_dump_json(exclude_none=True))
        later["data"]["added_later"] = {"x": 1}
        later["addedlater"] = "y"
        assert reader(message.type).validate_json(json.dumps(later)).type == message.type


def test_the_reply_reads_back() -> None:
    assert OUTCOME.validate_json(examples.REPLY.model_dump_json(exclude_none=True)) == examples.REPLY


def test_an_entry_without_a_text_reads_back() -> None:
    """Redacted, or a dispute that was closed without a note; nulls are left out on the wire."""
    for message in [*examples.EVENTS, *examples.NOTIFICATIONS]:
        written = json.loads(message.model_dump_json(exclude_none=True))
        if written["data"].get("entry", {}).pop("text", None) is not None:
            assert reader(message.type).validate_json(json.dumps(written)).data.entry.text is None
