"""Cursors: they come back as they went out, and in no other way."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.threads.cursors import Cursors
from shared.errors import ProblemError

CURSORS = Cursors("a link secret")
LIST = '["/v1/orders", "customer:c-1", "all"]'


@given(identity=st.text(), position=st.text(st.characters(min_codepoint=32, max_codepoint=126), max_size=90))
def test_a_cursor_gives_its_position_back(identity: str, position: str) -> None:
    assert CURSORS.read(CURSORS.write(identity, position), identity) == position


def test_a_cursor_that_was_changed_anywhere_is_refused() -> None:
    cursor = CURSORS.write(LIST, "2026-03-01T09:00:00.000Z 1042")

    for place, character in enumerate(cursor):
        for other in {"A", "B", "-", "_", chr(ord(character) ^ 1)} - {character}:
            assert_refused(cursor[:place] + other + cursor[place + 1 :])
        assert_refused(cursor[:place])


@given(st.text(max_size=60) | st.binary(max_size=60).map(lambda some: some.hex()))
def test_what_is_no_cursor_is_refused_and_never_an_error_of_ours(cursor: str) -> None:
    assert_refused(cursor)


@pytest.mark.parametrize("ending", ["=", "==", "\n", " ", "%"])
def test_another_spelling_of_the_same_bytes_is_refused(ending: str) -> None:
    assert_refused(CURSORS.write(LIST, "2026") + ending)


def test_a_cursor_of_another_list_or_another_secret_is_refused() -> None:
    cursor = CURSORS.write(LIST, "2026")

    assert_refused(cursor, identity='["/v1/orders", "customer:c-2", "all"]')
    assert_refused(Cursors("another secret").write(LIST, "2026"))


def assert_refused(cursor: str, *, identity: str = LIST) -> None:
    with pytest.raises(ProblemError) as refused:
        CURSORS.read(cursor, identity)
    assert refused.value.problem.status == 422
    assert [each.field for each in refused.value.problem.errors or ()] == ["cursor"]
