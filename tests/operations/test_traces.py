"""One trace from the POST to the mail server's 250, through all three services; and none of it where nobody asked for traces."""

from collections.abc import Iterator

import pytest
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from shared import traces
from tests.e2e.client import clients_of
from tests.made import snapshot
from tests.operations.collector import SeenSpan, collecting
from tests.servers.parley import Parley
from tests.servers.waiting import eventually

TRACE_ID = "4bf92f3577b34da6a3ce929d0e0e4736"
CALLERS_SPAN = "00f067aa0ba902b7"
STORY = [
    ("parley-gateway", "POST /v1/orders/{order_id}/messages"),
    ("parley-threads", "apply parley.command.message.post.v1"),
    ("parley-notifier", "take parley.entry.addressed.v1"),
    ("parley-notifier", "send a mail"),
]


def _line_to(last: SeenSpan, spans: list[SeenSpan]) -> list[SeenSpan]:
    """The span with all its parents, the first one first."""
    by_id = {span.span_id: span for span in spans}
    line = [last]
    while line[0].parent_id in by_id:
        line.insert(0, by_id[line[0].parent_id])
    return line


async def test_one_trace_leads_from_the_post_to_the_accepted_mail(parley: Parley) -> None:
    with collecting() as collector:
        parley.start(OTEL_EXPORTER_OTLP_ENDPOINT=collector.url, OTEL_BSP_SCHEDULE_DELAY="100")
        await parley.ready()
        async with clients_of(parley) as clients:
            await clients.put_order(snapshot())
            traceparent = f"00-{TRACE_ID}-{CALLERS_SPAN}-01"
            posted = await clients.customer().post("Where is my lamp?", traceparent=traceparent)
            assert posted.status == 201
        await parley.smtp.wait_for(1)

        def line() -> list[SeenSpan]:
            spans = collector.of_trace(TRACE_ID)
            sent = [span for span in spans if span.name == "send a mail"]
            return _line_to(sent[0], spans) if sent else []

        await eventually(lambda: len(line()) >= len(STORY), what="the whole line of spans")
        spans = line()
        assert [(span.service, span.name) for span in spans] == STORY
        assert spans[0].parent_id == CALLERS_SPAN
        said = str(collector.spans)
    assert '"250 ' in spans[-1].attributes["answer"]
    for secret in ("1042", "c-7", "example.com", "Where is my lamp"):
        assert secret not in said


async def test_without_an_endpoint_nothing_is_traced_and_the_callers_context_goes_on(running_parley: Parley) -> None:
    connection = await running_parley.vhost.connect()
    async with clients_of(running_parley) as clients, connection:
        channel = await connection.channel()
        queue = await channel.declare_queue(exclusive=True)
        await queue.bind("parley.events", "message.posted")
        await clients.put_order(snapshot())
        traceparent = f"00-{TRACE_ID}-{CALLERS_SPAN}-01"
        await clients.customer().post("Where is my lamp?", traceparent=traceparent)
        message = await eventually(lambda: queue.get(fail=False), what="the event")
    assert message is not None
    assert traceparent.encode() in message.body


@pytest.fixture
def exporter() -> Iterator[InMemorySpanExporter]:
    exporter = InMemorySpanExporter()
    provider = TracerProvider()
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    traces.use(provider)
    yield exporter
    traces.use(None)


def test_spans_of_one_task_stand_below_each_other(exporter: InMemorySpanExporter) -> None:
    with traces.span("outer", parent=f"00-{TRACE_ID}-{CALLERS_SPAN}-01"), traces.span("inner") as inner:
        assert traces.current() == inner
    first, second = exporter.get_finished_spans()
    assert (first.name, second.name) == ("inner", "outer")
    assert first.parent is not None
    assert second.parent is not None
    assert first.parent.span_id == second.context.span_id
    assert f"{second.parent.span_id:016x}" == CALLERS_SPAN
    assert traces.current() is None


def test_what_a_caller_did_not_want_sampled_is_not(exporter: InMemorySpanExporter) -> None:
    with traces.span("quiet", parent=f"00-{TRACE_ID}-{CALLERS_SPAN}-00"):
        pass
    assert exporter.get_finished_spans() == ()


@pytest.mark.parametrize("parent", [None, "", "nonsense", f"00-{TRACE_ID}-xyz-01"])
def test_without_a_good_parent_a_trace_begins(exporter: InMemorySpanExporter, parent: str | None) -> None:
    with traces.span("alone", parent=parent):
        pass
    assert exporter.get_finished_spans()[0].parent is None


@pytest.mark.parametrize(
    "environment",
    [
        {},
        {"OTEL_EXPORTER_OTLP_ENDPOINT": ""},
        {"OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:1", "OTEL_SDK_DISABLED": "true"},
        {"OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:1", "OTEL_TRACES_EXPORTER": "none"},
    ],
)
def test_traces_are_off_unless_they_are_asked_for(environment: dict[str, str]) -> None:
    traces.configure(service="test", environment=environment)
    assert not traces.is_on()
