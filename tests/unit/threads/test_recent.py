"""What is kept of what was used last."""

from services.threads.recent import Recent


def test_what_was_not_used_for_longest_is_let_go() -> None:
    recent: Recent[str, int] = Recent(2)
    recent.keep("a", 1)
    recent.keep("b", 2)
    assert recent.find("a") == 1
    recent.keep("c", 3)
    assert [recent.find(key) for key in ("a", "b", "c")] == [1, None, 3]
