"""Traces (OpenTelemetry, W3C Trace Context): off, at no cost, unless the standard OTEL_… variables name an exporter.

Context travels as a `traceparent`: in HTTP headers, in the envelope of every message, in a thread's entries and in the mail ledger,
because a story goes on in another process, and maybe much later. Nothing in a span names a person, an address or a text.
"""

import os
import re
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, nullcontext
from contextvars import ContextVar
from dataclasses import dataclass
from typing import Final

from opentelemetry import trace
from opentelemetry.context import Context
from opentelemetry.trace import NonRecordingSpan, SpanContext, SpanKind, Status, StatusCode, TraceFlags, Tracer
from starlette.types import ASGIApp, Message, Receive, Scope, Send

Value = str | int | float | bool
WELL_FORMED: Final = re.compile(r"[0-9a-f]{2}-([0-9a-f]{32})-([0-9a-f]{16})-([0-9a-f]{2})")
ENDPOINTS: Final = ("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "OTEL_EXPORTER_OTLP_ENDPOINT")
UNTRACED: Final = frozenset({"/livez", "/readyz", "/metrics"})

UNSAMPLED: Final = re.compile(r"[0-9a-f]{2}-[0-9a-f]{32}-[0-9a-f]{16}-[0-9a-f][02468ace]")

DroppedRoot = Callable[[], str | None]


def _sampler_is_asked() -> None:
    """Of no new trace is it known beforehand that it is dropped."""


_tracer: Tracer | None = None
_follows_parents = False
_dropped_root: DroppedRoot = _sampler_is_asked
_current: ContextVar[str | None] = ContextVar("traceparent", default=None)


@dataclass(frozen=True, slots=True)
class Span:
    """Something under way; `traceparent` is what its followers name as their parent."""

    _span: trace.Span
    traceparent: str

    def end(self, *, error: str | None = None, **attributes: Value) -> None:
        self._span.set_attributes(attributes)
        if error is not None:
            self._span.set_status(Status(StatusCode.ERROR, error))
        self._span.end()

    def rename(self, name: str) -> None:
        self._span.update_name(name)

    @property
    def is_kept(self) -> bool:
        """False where the sampler drops its trace."""
        return self._span.is_recording()


def configure(*, service: str, environment: Mapping[str, str] = os.environ) -> None:
    """Turns traces on where an OTLP endpoint is named, OTEL_TRACES_EXPORTER is not `none` and OTEL_SDK_DISABLED is not `true`.

    All else (sampler, headers, time-outs, batches, resource) is OpenTelemetry's own to read from its variables.
    """
    is_named = any(environment.get(name) for name in ENDPOINTS)
    is_wanted = environment.get("OTEL_TRACES_EXPORTER") or "otlp"
    if not is_named or is_wanted != "otlp" or environment.get("OTEL_SDK_DISABLED", "").casefold() == "true":
        return
    # Half a second of imports and some megabytes, for those alone who want it.
    from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter  # noqa: PLC0415 - only where traces are wanted
    from opentelemetry.sdk.resources import Resource  # noqa: PLC0415 - only where traces are wanted
    from opentelemetry.sdk.trace import TracerProvider  # noqa: PLC0415 - only where traces are wanted
    from opentelemetry.sdk.trace.export import BatchSpanProcessor  # noqa: PLC0415 - only where traces are wanted

    from shared.sampling import Roots  # noqa: PLC0415 - only where traces are wanted

    name, roots = environment.get("OTEL_SERVICE_NAME") or f"parley-{service}", Roots()
    provider = TracerProvider(resource=Resource.create({"service.name": name}), id_generator=roots)
    provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter()))
    roots.sampled_by(provider.sampler)
    use(provider, dropped_root=roots.dropped)


def use(provider: trace.TracerProvider | None, *, dropped_root: DroppedRoot = _sampler_is_asked) -> None:
    """From now on spans go to this provider; None turns them off. `dropped_root`: shared.sampling.Roots.dropped."""
    global _tracer, _follows_parents, _dropped_root  # noqa: PLW0603 - as with logs, the one thing that every corner of a process shares
    _tracer, _dropped_root = None if provider is None else provider.get_tracer("parley"), dropped_root
    _follows_parents = str(getattr(getattr(provider, "sampler", None), "get_description", str)()).startswith(
        "ParentBased"
    )


def is_on() -> bool:
    return _tracer is not None


def is_kept() -> bool:
    """Whether a span of this task would go anywhere: traces are on, and the one that the task is in is not dropped."""
    return _tracer is not None and not _is_dropped(_current.get())


def current() -> str | None:
    """The `traceparent` of the span that this task is in."""
    return _current.get()


def trace_id(traceparent: str | None) -> str | None:
    """The trace's id alone, as logs show it."""
    return traceparent[3:35] if traceparent is not None and WELL_FORMED.fullmatch(traceparent) else None


def begin(name: str, *, parent: str | None, kind: SpanKind = SpanKind.INTERNAL, **attributes: Value) -> Span | None:
    """A span that is ended by hand, also in another task; None where traces are off, or the trace above is one that nobody keeps."""
    if _tracer is None or _is_dropped(parent):
        return None
    if parent is None and (dropped := _dropped_root()) is not None:
        return Span(trace.INVALID_SPAN, dropped)
    span = _tracer.start_span(name, context=_context(parent), kind=kind, attributes=attributes)
    context = span.get_span_context()
    said = f"00-{context.trace_id:032x}-{context.span_id:016x}-{int(context.trace_flags):02x}"
    return Span(span, said)


def span(
    name: str, *, parent: str | None = None, kind: SpanKind = SpanKind.INTERNAL, **attributes: Value
) -> AbstractContextManager[str | None]:
    """A span around a block of this task, below `parent` or else the span that the task is in. Gives what followers name as parent.

    Where traces are off it gives the parent itself, so that a caller's own trace is passed on.
    """
    above = parent or _current.get()
    begun = begin(name, parent=above, kind=kind, **attributes)
    return nullcontext(above) if begun is None else _around(begun)


@contextmanager
def _around(begun: Span) -> Iterator[str]:
    token, error = _current.set(begun.traceparent), None
    try:
        yield begun.traceparent
    except BaseException as raised:
        error = type(raised).__name__
        raise
    finally:
        _current.reset(token)
        begun.end(error=error)


def _is_dropped(traceparent: str | None) -> bool:
    return traceparent is not None and _follows_parents and UNSAMPLED.fullmatch(traceparent) is not None


def _context(parent: str | None) -> Context | None:
    found = WELL_FORMED.fullmatch(parent or "")
    if found is None:
        return Context()
    trace_id, span_id, flags = (int(part, 16) for part in found.groups())
    above = SpanContext(trace_id, span_id, is_remote=True, trace_flags=TraceFlags(flags))
    return trace.set_span_in_context(NonRecordingSpan(above), Context())


class Requests:
    """A layer of bare ASGI: a server's span around each request but the probes', named by the route and never by its path."""

    def __init__(self, app: ASGIApp, *, route: Callable[[Scope], str]) -> None:
        self._app, self._route = app, route

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or scope["path"] in UNTRACED:
            return await self._app(scope, receive, send)
        given = dict(scope["headers"]).get(b"traceparent")
        parent = None if given is None else given.decode("ascii", "replace")
        begun = begin(scope["method"], parent=parent, kind=SpanKind.SERVER)
        if begun is None:
            return await self._app(scope, receive, send)
        if begun.is_kept:
            return await self._recorded(begun, scope, receive, send)
        # The server runs each request in a context of its own, so nothing has to be taken back.
        _current.set(begun.traceparent)
        return await self._app(scope, receive, send)

    async def _recorded(self, begun: Span, scope: Scope, receive: Receive, send: Send) -> None:
        status = 500

        async def send_noting(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
            await send(message)

        token = _current.set(begun.traceparent)
        try:
            await self._app(scope, receive, send_noting)
        finally:
            _current.reset(token)
            route = self._route(scope)
            begun.rename(f"{scope['method']} {route}")
            said: dict[str, Value] = {"http.route": route, "http.response.status_code": status}
            begun.end(error="server error" if status >= 500 else None, **said)


def route_of(scope: Scope) -> str:
    """The template of the route that took the request: `/v1/orders/{order_id}/messages`."""
    return str(getattr(scope.get("route"), "path", "none"))
