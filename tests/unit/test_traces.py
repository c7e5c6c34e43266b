"""Which spans are begun at all."""

from collections.abc import Iterator

import pytest
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.sampling import ALWAYS_ON, DEFAULT_ON

from shared import traces

ABOVE = f"00-{'a' * 32}-{'b' * 16}-"


@pytest.fixture(autouse=True)
def off_again() -> Iterator[None]:
    yield
    traces.use(None)


@pytest.mark.parametrize(("flags", "begun"), [("01", True), ("03", True), ("00", False), ("02", False)])
def test_below_a_trace_that_nobody_keeps_there_is_no_span(flags: str, begun: bool) -> None:
    traces.use(TracerProvider(sampler=DEFAULT_ON))
    assert (traces.begin("work", parent=ABOVE + flags) is not None) is begun


def test_a_sampler_that_does_not_follow_its_parents_is_asked() -> None:
    traces.use(TracerProvider(sampler=ALWAYS_ON))
    assert traces.begin("work", parent=ABOVE + "00") is not None


def test_what_is_no_parent_begins_a_trace() -> None:
    traces.use(TracerProvider(sampler=DEFAULT_ON))
    assert traces.begin("work", parent="00-no-parent-00") is not None
