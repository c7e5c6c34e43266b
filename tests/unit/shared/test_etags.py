"""Entity tags (RFC 9110, 8.8.3 and 13.1): which lists name what stands."""

import pytest

from shared import etags

STANDS = '"x.open"'


@pytest.mark.parametrize(
    ("value", "tags"),
    [
        ("*", ["*"]),
        (STANDS, [STANDS]),
        (f'"other", {STANDS}', ['"other"', STANDS]),
        (f' , {STANDS} ,, W/"y" ,', [STANDS, 'W/"y"']),
        ('"with,a,comma","\xe9"', ['"with,a,comma"', '"\xe9"']),
        ('""', ['""']),
    ],
)
def test_a_list_is_read_tag_by_tag(value: str, tags: list[str]) -> None:
    assert etags.read(value) == tags


@pytest.mark.parametrize(
    "value",
    ["", " ", ",", "none", '"', '"a" "b"', "*, *", f"{STANDS}, *", 'w/"a"', '"a\tb"', f'"{"x" * 1_000}"', "," * 999],
)
def test_what_is_no_list_is_none(value: str) -> None:
    assert etags.read(value) is None


@pytest.mark.parametrize(
    ("value", "strongly", "weakly"),
    [
        (STANDS, True, True),
        ("*", True, True),
        (f'"other", {STANDS}', True, True),
        (f"W/{STANDS}", False, True),
        (f'W/{STANDS}, "other"', False, True),
        ('"other"', False, False),
        ("x.open", False, False),
        ("", False, False),
    ],
)
def test_a_weak_tag_never_matches_strongly(value: str, strongly: bool, weakly: bool) -> None:
    assert etags.match_strongly(value, STANDS) is strongly
    assert etags.match_weakly(value, STANDS) is weakly


def test_a_tag_is_made_of_the_bytes() -> None:
    assert etags.of(b"{}") == etags.of(b"{}") != etags.of(b"{ }")
    assert etags.read(etags.of(b"{}")) == [etags.of(b"{}")]
