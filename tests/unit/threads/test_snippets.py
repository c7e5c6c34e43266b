"""The stretch of a text that a search shows: around the hit, with the hits marked as they are written there."""

import pytest

from services.threads.folding import fold
from services.threads.snippets import BEFORE, CHARACTERS, snippet


def shown(text: str, q: str) -> str:
    """The snippet with its hits in brackets."""
    parts = snippet(text, fold(q).split())
    return "".join(f"[{part.text}]" if part.hit else part.text for part in parts)


@pytest.mark.parametrize(
    ("text", "q", "expected"),
    [
        ("Any tracking number?", "tracking", "Any [tracking] number?"),
        ("The Tracking\n\n  and the TRACKING", "track", "The [Track]ing and the [TRACK]ING"),
        ("Grüße aus Köln", "grusse koln", "[Grüße] aus [Köln]"),
        ("Gru\u0308ße aus Ko\u0308ln", "grüß köln", "[Gru\u0308ß]e aus [Ko\u0308ln]"),
        ("co\u00adoperation", "coop", "[co\u00adop]eration"),
        ("ﬁnal ＡＢＣ", "fin abc", "[ﬁn]al [ＡＢＣ]"),
        ("ガラスの皿", "ラス", "ガ[ラス]の皿"),
        ("\u1112\u1161\u11ab글", "한", "[\u1112\u1161\u11ab]글"),
        ("Ἀθῆναι", "αθηναι", "[Ἀθῆναι]"),
        ("ΟΔΟΣ οδος", "οδος", "[ΟΔΟΣ] [οδος]"),
        ("abcabc aab", "ab bc", "[abcabc] a[ab]"),
        ("<b>bold</b> & co", "bold", "<b>[bold]</b> & co"),
        ("nothing of it", "else", ""),
        ("", "x", ""),
    ],
)
def test_hits_are_marked_as_they_are_written(text: str, q: str, expected: str) -> None:
    assert shown(text, q) == expected


def test_a_long_text_is_cut_at_words_around_its_first_hit() -> None:
    text = "begin " * 100 + "the needle " + "end " * 100
    parts = snippet(text, ["needle"])
    assert [part.text for part in parts if part.hit] == ["needle"]
    assert (parts[0].text, parts[-1].text) == ("…", "…")
    assert parts[1].text.startswith("begin ")
    assert len(parts[1].text) <= BEFORE
    assert sum(len(part.text) for part in parts) == CHARACTERS + 2


def test_one_word_as_long_as_a_message_is_cut_as_well() -> None:
    text = "の" * 5_000 + "ガラス" + "の" * 4_000
    parts = snippet(text, ["ガラス"])
    assert [part.text for part in parts if part.hit] == ["ガラス"]
    assert sum(len(part.text) for part in parts) == CHARACTERS + 2


def test_a_hit_at_the_end_of_the_stretch_is_not_shown_in_half() -> None:
    assert shown("needle " + "x" * (CHARACTERS - 10) + " needle", "needle").startswith("[needle] ")
