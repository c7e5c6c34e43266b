"""The page at /docs: the OpenAPI document as readable HTML, made here, so that it needs no script and no other server."""

import base64
import hashlib
import html
import json
from collections.abc import Iterator
from typing import Any, Final

METHODS: Final = ("get", "put", "post", "delete")
STYLE: Final = """
body { font: 16px/1.5 system-ui, sans-serif; max-width: 60rem; margin: 2rem auto; padding: 0 1rem; color: #1a1a1a; background: #fff }
h2 { margin-top: 3rem; text-transform: capitalize } h3 { margin: 0 } code, pre { font: 14px/1.4 ui-monospace, monospace }
pre { background: #f3f4f6; padding: .75rem; overflow: auto } details { border: 1px solid #d4d4d8; border-radius: .4rem; margin: .5rem 0 }
summary { padding: .6rem .8rem; cursor: pointer } details > div { padding: 0 .8rem .8rem } table { border-collapse: collapse; width: 100% }
td, th { text-align: left; vertical-align: top; border-bottom: 1px solid #e4e4e7; padding: .3rem .6rem .3rem 0 }
.method { display: inline-block; min-width: 4.2rem; font-weight: 600 }
"""
STYLE_HASH: Final = base64.b64encode(hashlib.sha256(STYLE.encode()).digest()).decode()
POLICY: Final = f"default-src 'none'; style-src 'sha256-{STYLE_HASH}'; frame-ancestors 'none'; base-uri 'none'"


def page(document: dict[str, Any]) -> str:
    """The whole page."""
    info = document["info"]
    content = "".join(_tag(tag, operations) for tag, operations in _by_tag(document).items())
    schemas = "".join(_schema(name, schema) for name, schema in document["components"]["schemas"].items())
    return (
        f'<!doctype html><html lang="en"><head><meta charset="utf-8"><title>{_text(info["title"])} API</title>'
        f'<meta name="viewport" content="width=device-width"><style>{STYLE}</style></head><body>'
        f"<h1>{_text(info['title'])} API</h1><p>{_text(info.get('description', ''))}</p>"
        f'<p>For tools: <a href="/openapi.json">openapi.json</a></p>{content}<h2>Schemas</h2>{schemas}</body></html>'
    )


def _by_tag(document: dict[str, Any]) -> dict[str, list[tuple[str, str, dict[str, Any]]]]:
    found: dict[str, list[tuple[str, str, dict[str, Any]]]] = {}
    for path, operations in document["paths"].items():
        for method in METHODS:
            if method in operations:
                tag = operations[method].get("tags", ["other"])[0]
                found.setdefault(tag, []).append((method, path, operations[method]))
    return found


def _tag(tag: str, operations: list[tuple[str, str, dict[str, Any]]]) -> str:
    return f"<h2>{_text(tag)}</h2>" + "".join(_operation(*operation) for operation in operations)


def _operation(method: str, path: str, operation: dict[str, Any]) -> str:
    parts = [f"<p>{_text(operation.get('description', ''))}</p>", *_parameters(operation), *_body(operation)]
    answers = "".join(_answer(status, answer) for status, answer in operation["responses"].items())
    return (
        f'<details><summary><code><span class="method">{method.upper()}</span>{_text(path)}</code> '
        f"{_text(operation.get('summary', ''))}</summary><div>{''.join(parts)}"
        f"<table><tr><th>Answer<th>Meaning<th>Schema</tr>{answers}</table></div></details>"
    )


def _parameters(operation: dict[str, Any]) -> Iterator[str]:
    parameters = operation.get("parameters", [])
    if parameters:
        rows = "".join(
            f"<tr><td><code>{_text(each['name'])}</code><td>{_text(each['in'])}"
            f"<td>{_text(each.get('description', ''))} <code>{_text(json.dumps(each['schema']))}</code></tr>"
            for each in parameters
        )
        yield f"<table><tr><th>Parameter<th>In<th>Meaning</tr>{rows}</table>"


def _body(operation: dict[str, Any]) -> Iterator[str]:
    for media_type, content in operation.get("requestBody", {}).get("content", {}).items():
        yield f"<p>Body: <code>{_text(media_type)}</code>, {_reference(content.get('schema', {}))}</p>"
        if "example" in content:
            yield f"<pre>{_text(json.dumps(content['example'], indent=2, ensure_ascii=False))}</pre>"


def _answer(status: str, answer: dict[str, Any]) -> str:
    schemas = ", ".join(_reference(each.get("schema", {})) for each in answer.get("content", {}).values())
    return f"<tr><td>{_text(status)}<td>{_text(answer['description'])}<td>{schemas}</tr>"


def _reference(schema: dict[str, Any]) -> str:
    name = schema.get("$ref", "").rpartition("/")[2]
    return f'<a href="#{_text(name)}">{_text(name)}</a>' if name else f"<code>{_text(json.dumps(schema))}</code>"


def _schema(name: str, schema: dict[str, Any]) -> str:
    shown = json.dumps(schema, indent=2, ensure_ascii=False)
    return f'<details id="{_text(name)}"><summary><code>{_text(name)}</code></summary><div><pre>{_text(shown)}</pre></div></details>'


def _text(value: str) -> str:
    return html.escape(str(value))
