"""The committed Markdown as tests look at it: files, links, headings, blocks of code."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[2]
FENCE = re.compile(r"^```(?P<info>[^\n]*)\n(?P<code>.*?)^```$", re.MULTILINE | re.DOTALL)
LINK = re.compile(r"\]\((?P<target>[^)\s]+)\)")
HEADING = re.compile(r"^#+ (?P<title>.+)$", re.MULTILINE)


@dataclass(frozen=True)
class Block:
    """A block of code and what stands behind its three backticks: a language, and for `sh` what the last call answers."""

    info: str
    code: str


def files() -> list[Path]:
    return sorted([*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md")])


def blocks(path: Path, language: str) -> list[Block]:
    found = [Block(match["info"].strip(), match["code"]) for match in FENCE.finditer(path.read_text())]
    return [block for block in found if block.info.split()[:1] == [language]]


def links(path: Path) -> Iterator[str]:
    """The targets of its links that lead to this repository, code left out."""
    for match in LINK.finditer(FENCE.sub("", path.read_text())):
        if not re.match(r"[a-z]+:", match["target"]):
            yield match["target"]


def anchors(path: Path) -> set[str]:
    """What `#…` may name in it, as GitHub makes it of headings."""
    titles = (match["title"].lower() for match in HEADING.finditer(FENCE.sub("", path.read_text())))
    return {re.sub(r"[^\w\- ]", "", title).replace(" ", "-") for title in titles}
