"""Which spans are begun at all, and which traces are kept."""

from collections.abc import Iterator

import pytest
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.sampling import ALWAYS_ON, DEFAULT_OFF, DEFAULT_ON, ParentBasedTraceIdRatio, Sampler

from shared import traces
from shared.sampling import Roots

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


def _traced_by(sampler: Sampler) -> Roots:
    roots = Roots()
    roots.sampled_by(sampler)
    traces.use(TracerProvider(sampler=sampler, id_generator=roots), dropped_root=roots.dropped)
    return roots


def _began() -> traces.Span:
    span = traces.begin("work", parent=None)
    assert span is not None
    return span


def test_new_traces_are_kept_by_the_ratio_and_each_says_what_it_is() -> None:
    _traced_by(ParentBasedTraceIdRatio(0.25))
    spans = [_began() for _ in range(2_000)]
    kept = [span for span in spans if span.is_kept]
    assert 350 < len(kept) < 650
    assert len({traces.trace_id(span.traceparent) for span in spans}) == 2_000
    for span in spans:
        below = traces.begin("more", parent=span.traceparent)
        assert (below is not None) is span.is_kept
        number = int(span.traceparent[19:35], 16)
        assert (number < 2**62) is span.is_kept, "the sampler itself decides by the id's lower half"


@pytest.mark.parametrize(("sampler", "kept"), [(DEFAULT_ON, True), (DEFAULT_OFF, False), (ALWAYS_ON, True)])
def test_a_sampler_that_looks_at_more_than_the_id_is_asked(sampler: Sampler, kept: bool) -> None:
    assert _traced_by(sampler).dropped() is None
    assert _began().is_kept is kept


def test_a_task_in_a_dropped_trace_begins_no_span() -> None:
    _traced_by(ParentBasedTraceIdRatio(0.0))
    assert traces.is_kept(), "where nothing is above, the sampler has not been asked yet"
    with traces.span("work") as above, traces.span("more", parent=above) as below:
        assert below == above
        assert not traces.is_kept()
