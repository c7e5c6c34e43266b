"""Where a text has what was sought: a stretch of it around the first hit, with every hit in it marked; pure."""

import re
import unicodedata
from collections.abc import Collection, Iterator
from typing import Final

from services.threads.folding import fold
from shared.queries import SnippetPart

CHARACTERS: Final = 160
BEFORE: Final = 40
CUT: Final = "…"

_WORD: Final = re.compile(r"\S+")
# Vowels and finals of Korean syllables that are written apart: folding puts them together with what stands before.
_JAMO: Final = ("\u1160", "\u11ff")


def snippet(text: str, words: Collection[str]) -> list[SnippetPart]:
    """The parts of the stretch, in order; together they are at most 160 characters and two dots of a cut. `words` are folded.

    Nothing where none of the words stands in the text.
    """
    plain = " ".join(text.split())
    first = _first_hit(plain, words)
    if first is None:
        return []
    start = _start(plain, first)
    stretch = plain[start : start + CHARACTERS]
    parts = list(_marked(stretch, words))
    if start > 0:
        parts.insert(0, SnippetPart(text=CUT))
    if start + CHARACTERS < len(plain):
        parts.append(SnippetPart(text=CUT))
    return parts


def _first_hit(plain: str, words: Collection[str]) -> int | None:
    """Word by word, so that a long text is folded only up to its first hit. What is sought has no white space in it."""
    for found in _WORD.finditer(plain):
        folded = fold(found[0])
        if any(word in folded for word in words):
            spans = _spans(found[0], words)
            return found.start() + (spans[0][0] if spans else 0)
    return None


def _start(plain: str, first: int) -> int:
    """A little before the hit, at the beginning of a word where there is one."""
    earliest = first - BEFORE
    if earliest <= 0:
        return 0
    space = plain.find(" ", earliest, first)
    return earliest if space < 0 else space + 1


def _marked(stretch: str, words: Collection[str]) -> Iterator[SnippetPart]:
    behind = 0
    for start, end in _spans(stretch, words):
        if start > behind:
            yield SnippetPart(text=stretch[behind:start])
        yield SnippetPart(text=stretch[start:end], hit=True)
        behind = end
    if behind < len(stretch):
        yield SnippetPart(text=stretch[behind:])


def _spans(text: str, words: Collection[str]) -> list[tuple[int, int]]:
    """Where the words stand, merged where they overlap; none where folding has moved letters in a way that cannot be followed."""
    pieces = list(_pieces(text))
    folded, origins = "", list[int]()
    for number, (start, end) in enumerate(pieces):
        piece = fold(text[start:end])
        folded += piece
        origins += [number] * len(piece)
    if folded != fold(text):
        return []
    hits = sorted(
        (pieces[origins[at]][0], pieces[origins[at + len(word) - 1]][1])
        for word in words
        for at in _places(folded, word)
    )
    merged: list[tuple[int, int]] = []
    for start, end in hits:
        if merged and start <= merged[-1][1]:
            merged[-1] = merged[-1][0], max(end, merged[-1][1])
        else:
            merged.append((start, end))
    return merged


def _places(folded: str, word: str) -> Iterator[int]:
    at = folded.find(word)
    while at >= 0:
        yield at
        at = folded.find(word, at + len(word))


def _pieces(text: str) -> Iterator[tuple[int, int]]:
    """Each letter with the marks that belong to it: what is folded by itself."""
    start = 0
    for at in range(1, len(text)):
        if unicodedata.combining(text[at]) == 0 and not _JAMO[0] <= text[at] <= _JAMO[1]:
            yield start, at
            start = at
    if text:
        yield start, len(text)
