"""The page at /docs: the OpenAPI document as readable HTML, made here, so that it needs no script and no other server."""

import base64
import hashlib
import html
import json
import re
import shlex
from collections.abc import Iterator
from typing import Any, Final

METHODS: Final = ("get", "put", "post", "delete")
STYLE: Final = """
:root { color-scheme: light dark; --ground: #fff; --raised: #f3f5f8; --text: #18202e; --faint: #566074; --line: #dde2ea; --accent: #2f56c6;
  --get: #1d6b40; --put: #7a4a00; --post: #2f56c6; --delete: #a3232b }
@media (prefers-color-scheme: dark) { :root { --ground: #11151c; --raised: #1d2430; --text: #e7ebf2; --faint: #a4afc1; --line: #2e3848;
  --accent: #93b1ff; --get: #86d7a6; --put: #f2c879; --post: #93b1ff; --delete: #ff9d9d } }
* { box-sizing: border-box }
html { scroll-padding-block-start: 1rem }
body { margin: 0; font: 16px/1.55 system-ui, sans-serif; color: var(--text); background: var(--ground); overflow-wrap: anywhere }
a { color: var(--accent) } a:focus-visible, summary:focus-visible, pre:focus-visible { outline: 3px solid var(--accent); outline-offset: 2px }
.layout { max-inline-size: 84rem; margin: 0 auto; padding: 1.5rem 1rem 4rem; display: grid; gap: 2rem;
  grid-template-columns: minmax(0, 1fr) }
nav { max-block-size: 16rem; overflow: auto }
@media (min-width: 62rem) { .layout { grid-template-columns: 17rem minmax(0, 1fr) }
  nav { position: sticky; inset-block-start: 1rem; align-self: start; max-block-size: calc(100dvh - 2rem); overflow: auto } }
nav ul { list-style: none; margin: 0 0 .75rem; padding: 0; font-size: .9rem } nav li { padding: .12rem 0 }
nav p { margin: .75rem 0 .1rem; font-weight: 650 }
h1 { margin: 0 0 1rem; font-size: 1.9rem } h2 { margin: 3rem 0 .5rem; font-size: 1.4rem; text-transform: capitalize }
h3 { margin: 0 0 .4rem; font-size: 1.05rem } h4 { margin: 1.25rem 0 .35rem; font-size: .95rem }
section { margin-block: 1.25rem; padding: 1rem 1.1rem; border: 1px solid var(--line); border-radius: .7rem }
code, pre { font: .875em/1.5 ui-monospace, "SFMono-Regular", Menlo, monospace } p code, td code, li code { overflow-wrap: anywhere }
pre { margin: .4rem 0; padding: .75rem; background: var(--raised); border-radius: .5rem; overflow: auto }
.method { display: inline-block; min-inline-size: 4.4rem; font-weight: 700; text-transform: uppercase }
.get { color: var(--get) } .put { color: var(--put) } .post { color: var(--post) } .delete { color: var(--delete) }
.faint { color: var(--faint) } table { inline-size: 100%; border-collapse: collapse; font-size: .92rem }
.wide { overflow-x: auto } td, th { padding: .35rem .9rem .35rem 0; border-block-end: 1px solid var(--line); text-align: start; vertical-align: top }
td, th { overflow-wrap: normal } td:last-child { min-inline-size: 13rem; overflow-wrap: anywhere }
td:first-child { white-space: nowrap } summary { cursor: pointer; color: var(--accent) }
"""
STYLE_HASH: Final = base64.b64encode(hashlib.sha256(STYLE.encode()).digest()).decode()
POLICY: Final = f"default-src 'none'; style-src 'sha256-{STYLE_HASH}'; frame-ancestors 'none'; base-uri 'none'"
REFERENCE: Final = "#/components/schemas/"
# How a shop's developer begins: the addresses and tokens that `make run` gives.
FIRST_STEPS: Final = """API=http://127.0.0.1:8080
TOKEN=$(make -s token ROLE=customer ID=c-7)
curl -H "Authorization: Bearer $TOKEN" "$API/v1/me\""""

Json = dict[str, Any]
Operation = tuple[str, str, Json]


def page(document: Json) -> str:
    """The whole page."""
    title = _text(f"{document['info']['title']} API")
    by_tag = _by_tag(document)
    about = {each["name"]: each.get("description", "") for each in document.get("tags", [])}
    schemas: Json = document["components"]["schemas"]
    operations = "".join(_tag(tag, about.get(tag, ""), each, schemas) for tag, each in by_tag.items())
    return (
        f'<!doctype html><html lang="en"><head><meta charset="utf-8"><title>{title}</title>'
        f'<meta name="viewport" content="width=device-width, initial-scale=1"><style>{STYLE}</style></head><body>'
        f'<div class="layout">{_contents(by_tag, schemas)}<main><h1>{title}</h1>'
        f"{_prose(document['info'].get('description', ''))}"
        f'<p>For tools: <a href="/openapi.json">openapi.json</a> (OpenAPI {_text(document["openapi"])}).</p>'
        f"{_authentication(document)}{operations}"
        f'<h2 id="schemas">Schemas</h2>{"".join(_schema(*each) for each in schemas.items())}</main></div></body></html>'
    )


def _contents(by_tag: dict[str, list[Operation]], schemas: Json) -> str:
    def links(entries: Iterator[tuple[str, str]]) -> str:
        return (
            "<ul>" + "".join(f'<li><a href="#{_text(name)}">{_text(said)}</a></li>' for name, said in entries) + "</ul>"
        )

    tags = "".join(
        f"<p>{_text(tag.capitalize())}</p>"
        + links((each["operationId"], each.get("summary", path)) for _, path, each in operations)
        for tag, operations in by_tag.items()
    )
    first = links(iter([("authentication", "Authentication")]))
    return f'<nav aria-label="Contents">{first}{tags}<p>Schemas</p>{links((name, name) for name in schemas)}</nav>'


def _authentication(document: Json) -> str:
    schemes = document["components"].get("securitySchemes", {})
    said = "".join(_prose(scheme.get("description", "")) for scheme in schemes.values())
    return (
        f'<h2 id="authentication">Authentication</h2>{said}<p>It stands in the header <code>Authorization: Bearer …</code>. '
        "With a stack of your own (<code>make run</code>), try it in a shell; the examples below take "
        f"<code>$API</code> and <code>$TOKEN</code> from here:</p>{_pre(FIRST_STEPS)}"
    )


def _by_tag(document: Json) -> dict[str, list[Operation]]:
    found: dict[str, list[Operation]] = {}
    for path, operations in document["paths"].items():
        for method in METHODS:
            if method in operations:
                tag = operations[method].get("tags", ["other"])[0]
                found.setdefault(tag, []).append((method, path, operations[method]))
    return found


def _tag(tag: str, about: str, operations: list[Operation], schemas: Json) -> str:
    return f"<h2>{_text(tag)}</h2>{_prose(about)}" + "".join(_operation(*each, schemas) for each in operations)


def _operation(method: str, path: str, operation: Json, schemas: Json) -> str:
    answers = "".join(_answer(status, answer) for status, answer in operation["responses"].items())
    needs = "" if operation.get("security") else '<p class="faint">Needs no bearer token.</p>'
    return (
        f'<section id="{_text(operation["operationId"])}" aria-labelledby="{_text(operation["operationId"])}-title">'
        f'<h3 id="{_text(operation["operationId"])}-title">{_text(operation.get("summary", path))}</h3>'
        f'<p><code><span class="method {method}">{method}</span> {_text(path)}</code></p>'
        f"{_prose(operation.get('description', ''))}{needs}{''.join(_parameters(operation))}"
        f"{''.join(_body(operation, schemas))}<h4>Try it</h4>{_pre(_curl(method, path, operation))}"
        f"<h4>Answers</h4>{_table(('Status', 'Meaning', 'Body'), answers)}</section>"
    )


def _parameters(operation: Json) -> Iterator[str]:
    parameters = operation.get("parameters", [])
    if parameters:
        rows = "".join(
            f"<tr><td><code>{_text(each['name'])}</code></td><td>{_text(each['in'])}{'' if each.get('required') else ', optional'}</td>"
            f"<td>{_type(each['schema'])}</td><td>{_inline(each.get('description', ''))}</td></tr>"
            for each in parameters
        )
        yield f"<h4>Parameters</h4>{_table(('Name', 'In', 'Type', 'Meaning'), rows)}"


def _body(operation: Json, schemas: Json) -> Iterator[str]:
    for media_type, content in operation.get("requestBody", {}).get("content", {}).items():
        schema = content.get("schema", {})
        yield f"<h4>Body</h4><p><code>{_text(media_type)}</code>: {_type(schema)}</p>"
        name = schema.get("$ref", "").removeprefix(REFERENCE)
        named = schemas.get(name, schema)
        if named.get("properties"):
            yield _fields(named)


def _curl(method: str, path: str, operation: Json) -> str:
    """A command that a shell takes as it is, with the examples of the document."""
    filled = re.sub(r"\{(\w+)\}", lambda place: _example(operation, place[1]), path)
    query = "&".join(
        f"{each['name']}={_example(operation, each['name'])}"
        for each in operation.get("parameters", [])
        if each["in"] == "query" and each.get("required")
    )
    parts = ["curl"] if method == "get" else ["curl", "-X", method.upper()]
    if operation.get("security"):
        parts.append('-H "Authorization: Bearer $TOKEN"')
    for media_type, content in operation.get("requestBody", {}).get("content", {}).items():
        if "example" in content:
            body = json.dumps(content["example"], ensure_ascii=False)
            parts.append(f"-H {shlex.quote(f'Content-Type: {media_type}')} \\\n  -d {shlex.quote(body)}")
    parts.append(f'"$API{filled}{"?" if query else ""}{query}"')
    return " ".join(parts)


def _example(operation: Json, name: str) -> str:
    schema: Json = next((each["schema"] for each in operation.get("parameters", []) if each["name"] == name), {})
    example = schema.get("examples", [f"${name.upper()}"])[0]
    return str(example)


def _answer(status: str, answer: Json) -> str:
    bodies = ", ".join(_type(each.get("schema", {})) for each in answer.get("content", {}).values())
    return f"<tr><td>{_text(status)}</td><td>{_inline(answer['description'])}</td><td>{bodies}</td></tr>"


def _schema(name: str, schema: Json) -> str:
    fields = _fields(schema) if schema.get("properties") else f"<p>{_type(schema)}</p>"
    raw = _pre(json.dumps(schema, indent=2, ensure_ascii=False))
    return (
        f'<section id="{_text(name)}" aria-labelledby="{_text(name)}-title"><h3 id="{_text(name)}-title"><code>{_text(name)}</code></h3>'
        f"{_prose(schema.get('description', ''))}{fields}"
        f"<details><summary>As JSON Schema</summary>{raw}</details></section>"
    )


def _fields(schema: Json) -> str:
    required = schema.get("required", [])
    rows = "".join(
        f"<tr><td><code>{_text(name)}</code></td><td>{_type(each)}</td><td>{'yes' if name in required else _default(each)}</td>"
        f"<td>{_inline(each.get('description', ''))}{_limits(each)}</td></tr>"
        for name, each in schema["properties"].items()
    )
    return _table(("Field", "Type", "Required", "Meaning"), rows)


def _default(schema: Json) -> str:
    default = schema.get("default")
    return "no" if default is None else f"no; else <code>{_text(json.dumps(default, ensure_ascii=False))}</code>"


def _type(schema: Json) -> str:
    """In words: `string`, `list of Item`, `Seller or null`, `one of "a", "b"`."""
    if "$ref" in schema:
        name = _text(schema["$ref"].removeprefix(REFERENCE))
        return f'<a href="#{name}"><code>{name}</code></a>'
    for name in ("anyOf", "oneOf", "allOf"):
        if name in schema:
            return " or ".join(dict.fromkeys(_type(each) for each in schema[name]))
    if values := schema.get("enum") or ([schema["const"]] if "const" in schema else []):
        said = ", ".join(f"<code>{_text(json.dumps(each))}</code>" for each in values)
        return said if len(values) == 1 else f"one of {said}"
    kind = schema.get("type", "any")
    if kind == "array":
        return f"list of {_type(schema.get('items', {}))}"
    if kind == "object" and isinstance(schema.get("additionalProperties"), dict):
        return f"object of {_type(schema['additionalProperties'])}"
    return _text({"date-time": "moment (RFC 3339)"}.get(schema.get("format", ""), kind))


LIMITS: Final = {
    "minLength": "not shorter than {}", "maxLength": "not longer than {}", "minimum": "at least {}", "maximum": "at most {}",
    "minItems": "at least {} of them", "maxItems": "at most {} of them", "pattern": "pattern {}",
}  # fmt: skip


READABLE_CHARACTERS: Final = 60
"""A longer pattern stands in the JSON Schema alone."""


def _limits(schema: Json) -> str:
    """What a value must keep to, of this schema or of the one beside null."""
    schemas = [schema, *(each for each in schema.get("anyOf", []) if each.get("type") != "null")]
    said = [
        words.format(f"<code>{_text(each[name])}</code>" if name == "pattern" else f"{each[name]:,}")
        for each in schemas
        for name, words in LIMITS.items()
        if name in each and len(str(each[name])) <= READABLE_CHARACTERS
    ]
    return f' <span class="faint">{"; ".join(said)}</span>' if said else ""


def _table(heads: tuple[str, ...], rows: str) -> str:
    head = "".join(f'<th scope="col">{each}</th>' for each in heads)
    return f'<div class="wide" tabindex="0" role="group" aria-label="Table"><table><thead><tr>{head}</tr></thead><tbody>{rows}</tbody></table></div>'


def _pre(text: str) -> str:
    return f'<pre tabindex="0">{_text(text)}</pre>'


def _prose(text: str) -> str:
    """Paragraphs, with what stands between backticks as code."""
    return "".join(f"<p>{_inline(each)}</p>" for each in text.strip().split("\n\n") if each.strip())


def _inline(text: str) -> str:
    return re.sub(r"`([^`]+)`", r"<code>\1</code>", _text(text))


def _text(value: object) -> str:
    return html.escape(str(value))
