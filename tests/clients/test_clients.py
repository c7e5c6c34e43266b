"""The generated documents, as people who do not use Python's tools meet them; and clients that are made of them, at work."""

import json
import shutil
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

import pytest
import yaml

from tests.api.people import People
from tests.clients.node import HERE, need_node, run, tool
from tests.servers.parley import Parley

ROOT: Final = HERE.parents[1]
OPENAPI, ASYNCAPI, SHOPS = (ROOT / "docs" / name for name in ("openapi.yaml", "asyncapi.yaml", "asyncapi-shop.yaml"))
DOCUMENTS: Final = (OPENAPI, ASYNCAPI, SHOPS)
INNER: Final = (
    "parley.commands",
    "parley.notifications",
    "threads.commands",
    "threads.orders",
    "notifier",
    "both exchanges",
)


def compiled(documents: Sequence[Path]) -> dict[str, Any]:
    need_node()
    done = run("node", HERE / "check.mjs", *documents)
    assert done.returncode == 0, done.stderr
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def test_every_pattern_and_every_example_is_one_to_ajv(capsys: pytest.CaptureFixture[str]) -> None:
    found = compiled(DOCUMENTS)

    with capsys.disabled():
        print(f"\najv: {found['patterns']} patterns, {found['schemas']} schemas, {found['examples']} examples")
    assert found["failures"] == []
    assert found["patterns"] >= 150
    assert found["schemas"] >= 100
    assert found["examples"] >= 40


@pytest.mark.parametrize(
    ("was", "broken"),
    [(r"^[A-Z]{3}$", r"^[A-Z\"]{3}$"), (r"^[A-Z]{3}$", "^[\U0001bca0-\U0001bca3]{3}$"), ("EUR", "euros")],
    ids=["an identity escape", "a range beyond U+FFFF", "an example that is none"],
)
def test_the_compiler_finds_what_is_broken(tmp_path: Path, was: str, broken: str) -> None:
    text = yaml.safe_dump(yaml.safe_load(OPENAPI.read_text()), allow_unicode=True)
    changed = tmp_path / "openapi.yaml"
    replaced = (
        text.replace(was, broken) if was == "EUR" else yaml.safe_dump(_replaced(yaml.safe_load(text), was, broken))
    )
    changed.write_text(replaced)

    assert compiled([changed])["failures"] != []


def _replaced(node: Any, was: str, broken: str) -> Any:
    match node:
        case dict():
            return {name: _replaced(each, was, broken) for name, each in node.items()}
        case list():
            return [_replaced(each, was, broken) for each in node]
        case _:
            return broken if node == was else node


def test_redocly_finds_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    done = tool("redocly", "lint", "--format=json", OPENAPI)

    totals = json.loads(done.stdout)["totals"]
    with capsys.disabled():
        print(f"\nredocly: {totals['errors']} errors, {totals['warnings']} warnings")
    assert (totals["errors"], totals["warnings"]) == (0, 0), done.stdout


def test_spectral_finds_no_error(capsys: pytest.CaptureFixture[str]) -> None:
    done = tool("spectral", "lint", "--format=json", "--quiet", *DOCUMENTS)

    found = json.loads(done.stdout[done.stdout.index("[") :])
    errors = [each for each in found if each["severity"] == 0]
    with capsys.disabled():
        print(f"\nspectral: {len(errors)} errors, {len(found) - len(errors)} warnings and hints")
    assert errors == []
    # The addresses of a contact: there is none to give.
    assert {each["code"] for each in found if each["severity"] == 1} <= {"asyncapi-info-contact-properties"}


def test_a_shops_document_names_nothing_of_our_inside() -> None:
    text = SHOPS.read_text()
    document = yaml.safe_load(text)

    assert {name: each["action"] for name, each in document["operations"].items()} == {
        "publishOrder": "send",
        "hearEvents": "receive",
    }
    assert [word for word in INNER if word in text.lower()] == []
    assert set(document["components"]["messages"]) == {
        name for channel in document["channels"].values() for name in channel["messages"]
    }


def test_what_callers_may_leave_out_has_no_default() -> None:
    """Generators take it for a promise that the field is there."""
    schemas = yaml.safe_load(OPENAPI.read_text())["components"]["schemas"]

    assert schemas["NewMessage"]["required"] == ["text"]
    for name in ("NewMessage", "DisputeClosing", "Customer", "OrderSnapshot"):
        assert [field for field, each in schemas[name]["properties"].items() if "default" in each] == []


def _used(command: Sequence[str | Path], parley: Parley) -> dict[str, Any]:
    people = People()
    tokens = {
        "SHOP": people.service(),
        "CUSTOMER": people.customer(),
        "SELLER": people.seller(),
        "STRANGER": people.customer("c-99"),
    }
    done = run(*command, env={**tokens, "PARLEY_URL": parley.gateway_url})
    assert done.returncode == 0, done.stderr
    told: dict[str, Any] = json.loads(done.stdout)
    return told


def _told(prefix: str) -> dict[str, Any]:
    return {
        "stands": True,
        "same_message": True,
        "unread": [f"{prefix}-1"],
        "history": [["customer", "When will it be sent?"], ["seller", "It leaves us today."]],
        "dispute": ["open", "closed"],
        "pages": [[f"{prefix}-2"], [f"{prefix}-1"]],
        "role": "customer",
        "errors": [
            [404, "urn:parley:problem:not_found", None],
            [401, "urn:parley:problem:unauthenticated", None],
            [422, "urn:parley:problem:invalid_request", ["text"]],
            [403, "urn:parley:problem:forbidden", None],
            [409, "urn:parley:problem:conflict", None],
        ],
    }


async def test_a_typescript_client_is_made_compiles_and_works(running_parley: Parley, tmp_path: Path) -> None:
    for name in ("shop.ts", "tsconfig.json", "package.json"):
        shutil.copy(HERE / name, tmp_path)
    (tmp_path / "node_modules").symlink_to(HERE / "node_modules")
    made = tool("openapi-typescript", OPENAPI, "-o", tmp_path / "schema.d.ts", cwd=tmp_path)
    assert made.returncode == 0, made.stderr
    checked = tool("tsc", "-p", tmp_path, cwd=tmp_path)
    assert (checked.returncode, checked.stdout) == (0, "")

    told = _used(["node", tmp_path / "shop.js"], running_parley)

    assert told.pop("calls") >= 18
    assert told == _told("ts")


async def test_a_python_client_is_made_type_checks_and_works(running_parley: Parley, tmp_path: Path) -> None:
    shutil.copy(HERE / "shop.py", tmp_path)
    config = tmp_path / "made.yaml"
    config.write_text("post_hooks: []\n")
    package = tmp_path / "parley_client"
    generator = [sys.executable, "-m", "openapi_python_client", "generate", "--meta", "none", "--fail-on-warning"]
    made = run(*generator, "--path", OPENAPI, "--output-path", package, "--config", config, cwd=tmp_path)
    assert made.returncode == 0, made.stdout + made.stderr
    checked = run(sys.executable, "-m", "mypy", "--strict", "--config-file=", "shop.py", cwd=tmp_path)
    assert checked.returncode == 0, checked.stdout

    told = _used([sys.executable, tmp_path / "shop.py"], running_parley)

    assert told.pop("calls") >= 18
    assert told == _told("py")
