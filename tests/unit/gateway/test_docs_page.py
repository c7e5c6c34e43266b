"""The page at /docs: made of the OpenAPI document alone, and made to be read."""

import json
import re
import shlex
from typing import Any

import pytest
import yaml

from deploy.local.settings import REPOSITORY
from services.gateway import docs_page

DOCUMENT: dict[str, Any] = yaml.safe_load((REPOSITORY / "docs" / "openapi.yaml").read_text())
PAGE = docs_page.page(DOCUMENT)
OPERATIONS = [
    (method, path, operation)
    for path, operations in DOCUMENT["paths"].items()
    for method, operation in operations.items()
]


def test_its_contents_name_every_operation_and_schema_and_lead_to_it() -> None:
    contents = PAGE[PAGE.index("<nav") : PAGE.index("</nav>")]
    targets = set(re.findall(r'href="#([^"]+)"', contents))
    names = {operation["operationId"] for *_, operation in OPERATIONS} | set(DOCUMENT["components"]["schemas"])
    assert targets == names | {"authentication"}
    assert targets <= set(re.findall(r' id="([^"]+)"', PAGE))


def test_no_reference_leads_nowhere() -> None:
    assert set(re.findall(r'href="#([^"]+)"', PAGE)) <= set(re.findall(r' id="([^"]+)"', PAGE))


def test_what_stands_between_backticks_is_code() -> None:
    shown = re.sub(r'<pre.*?</pre>|<span class="faint">.*?</span>', "", PAGE, flags=re.DOTALL)
    assert "`" not in shown
    assert "<code>Prefer: wait=n</code>" in shown


@pytest.mark.parametrize(
    ("method", "path", "operation"), OPERATIONS, ids=[each[2]["operationId"] for each in OPERATIONS]
)
def test_each_operation_has_a_command_that_a_shell_takes(method: str, path: str, operation: dict[str, Any]) -> None:
    words = shlex.split(docs_page._curl(method, path, operation))
    assert words[0] == "curl"
    assert words[-1].startswith("$API/")
    assert "{" not in words[-1]
    assert ("Authorization: Bearer $TOKEN" in words) is bool(operation.get("security"))
    if "-d" in words:
        json.loads(words[words.index("-d") + 1])


@pytest.mark.parametrize(
    ("schema", "shown"),
    [
        ({"type": "string"}, "string"),
        ({"type": "string", "format": "date-time"}, "moment (RFC 3339)"),
        ({"anyOf": [{"type": "integer"}, {"type": "null"}]}, "integer or null"),
        ({"enum": ["a", "b"]}, "one of <code>&quot;a&quot;</code>, <code>&quot;b&quot;</code>"),
        ({"const": True}, "<code>true</code>"),
        (
            {"type": "array", "items": {"$ref": "#/components/schemas/Item"}},
            'list of <a href="#Item"><code>Item</code></a>',
        ),
        ({"type": "object", "additionalProperties": {"type": "integer"}}, "object of integer"),
    ],
)
def test_a_type_is_said_in_words(schema: dict[str, Any], shown: str) -> None:
    assert docs_page._type(schema) == shown


def test_nothing_of_the_document_becomes_markup() -> None:
    hostile = json.loads(json.dumps(DOCUMENT).replace("Write into a thread", "<script>alert(1)</script>`<b>`"))
    assert "<script" not in docs_page.page(hostile)
    assert "<b>" not in docs_page.page(hostile)
