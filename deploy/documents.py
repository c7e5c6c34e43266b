"""How the generated documents are written: YAML, in which what cannot be seen is written as an escape."""

from typing import Any, TextIO

import yaml

from shared.visible import shows


class _Dumper(yaml.SafeDumper):
    """Double quotes, and so escapes, for texts with invisible characters beyond U+FFFF: elsewhere they would stand as themselves."""


def _text(dumper: yaml.SafeDumper, text: str) -> yaml.ScalarNode:
    hides = any(each > "\uffff" and not shows(each) for each in text)
    return dumper.represent_scalar("tag:yaml.org,2002:str", text, style='"' if hides else None)


_Dumper.add_representer(str, _text)


def write_yaml(document: dict[str, Any], stream: TextIO) -> None:
    yaml.dump(document, stream, Dumper=_Dumper, sort_keys=False, allow_unicode=True, width=120)
