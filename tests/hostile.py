"""Texts that break software: our own, and the Big List of Naughty Strings where it lies beside this checkout."""

import json
from pathlib import Path
from typing import Final

BESIDE: Final = Path(__file__).parents[2] / "shared" / "data" / "naughty-strings.json"

OWN: Final = (
    "<img src=x onerror=alert(1)>",
    "<script>alert(1)</script>",
    "javascript:alert(1)",
    "</textarea><svg onload=alert(1)>",
    "\u202egnirts desrever\u202c",
    "{name} {n} ${alert(1)} {{constructor}} {{7*7}} %s %(x)s",
    "line\nline\r\n\ttabbed",
    "Subject: other\r\nBcc: mallory@example.com\r\n\r\nbody",
    "ก็็็็็็็็็็็็็็็็็็็็",
    "x" * 3_000,
    '{"$ne": null}',
    "$where",
    "$entries",
    "'; DROP TABLE orders; --",
    "../../etc/passwd",
    "\ufeffbyte order mark",
    "one\u2028two\u2029three",
    "👩‍👩‍👧‍👦 🏳️‍🌈 e\u0301",
    "\x07\x1b[31mred\x1b[0m",
    "&lt;b&gt; &amp;amp; &#x27;",
    ".\n..\n.\nQUIT",
    "\x00",
    "a\x00b",
    " \t\n ",
)


def hostile_texts() -> list[str]:
    known: list[str] = json.loads(BESIDE.read_text()) if BESIDE.is_file() else []
    return [*OWN, *known]
