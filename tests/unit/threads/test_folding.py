"""Texts are compared by what they look like."""

import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.threads.folding import fold

SAME = [
    ("München", "Mu\u0308nchen"),
    ("München", "MUNCHEN"),
    ("İSTANBUL", "istanbul"),
    ("Işık", "isik"),
    ("ﬁnal", "FINAL"),
    ("ＡＢＣ", "abc"),
    ("STRAẞE", "strasse"),
    ("Łódź", "lodz"),
    ("Smørrebrød", "smorrebrod"),
    ("Ἀθῆναι", "αθηναι"),
    ("ΟΔΟΣ", "οδος"),
    ("Ёлка", "елка"),
    ("سَلام", "سلام"),
    ("שָׁלוֹם", "שלום"),
    ("ｶﾞ", "ガ"),
    ("co\u00adop", "coop"),
    ("№ ½", "no 1⁄2"),
]
APART = [("ガ", "カ"), ("कि", "कु"), ("각", "가"), ("a b", "ab"), ("a\u2028b", "ab"), ("n", "m")]


@pytest.mark.parametrize(("one", "other"), SAME)
def test_what_looks_the_same_is_the_same(one: str, other: str) -> None:
    assert fold(one) == fold(other)


@pytest.mark.parametrize(("one", "other"), APART)
def test_what_says_something_else_is_not(one: str, other: str) -> None:
    assert fold(one) != fold(other)


@given(st.text())
def test_folding_again_changes_nothing_and_the_form_of_the_letters_does_not_matter(text: str) -> None:
    assert fold(fold(text)) == fold(text)
    assert {fold(unicodedata.normalize(form, text)) for form in ("NFC", "NFD", "NFKC", "NFKD")} == {fold(text)}
