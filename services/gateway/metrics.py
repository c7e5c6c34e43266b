"""The gateway's figures for Prometheus, on a registry of their own."""

import functools

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

WAITS_S = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.0, 3.0, 10.0, 30.0)


class Figures:
    """What is counted. Labels are of closed sets: operations, states, problem codes; never ids."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self.writes = Counter(
            "parley_gateway_writes_total",
            "Writes that RabbitMQ confirmed, by operation and what they were answered with",
            ["operation", "answer"],
            registry=self.registry,
        )
        self.waits = Histogram(
            "parley_gateway_write_seconds",
            "From taking a write to its answer",
            ["operation"],
            buckets=WAITS_S,
            registry=self.registry,
        )
        # Finding those of some labels costs more than counting.
        self._of_writes = functools.lru_cache(maxsize=256)(self._find_of_writes)
        self.publish_failures = Counter(
            "parley_gateway_publish_failures_total",
            "Writes that RabbitMQ did not confirm: refused (away), full (its queue), unknown (no answer)",
            ["reason"],
            registry=self.registry,
        )
        for reason in ("refused", "full", "unknown"):
            self.publish_failures.labels(reason)
        self.unconfirmed = Gauge(
            "parley_gateway_unconfirmed_seconds",
            "For how long RabbitMQ has confirmed no publish, 0 while it does",
            registry=self.registry,
        )
        self.problems = Counter(
            "parley_gateway_problems_total", "Requests answered with a problem", ["code"], registry=self.registry
        )
        self.queries = Histogram(
            "parley_gateway_query_seconds",
            "Questions passed on to threads",
            ["answer"],
            buckets=WAITS_S,
            registry=self.registry,
        )
        self.live_connections = Gauge(
            "parley_gateway_live_connections", "Open connections to live events", registry=self.registry
        )
        self.live_cut_off = Counter(
            "parley_gateway_live_cut_off_total", "Live connections that read too slowly", registry=self.registry
        )
        self.live_resyncs = Counter(
            "parley_gateway_live_resyncs_total", "Live connections told to read everything anew", registry=self.registry
        )

    def write(self, operation: str, answer: str, took_s: float) -> None:
        """Counts a write that was answered."""
        counter, histogram = self._of_writes(operation, answer)
        counter.inc()
        histogram.observe(took_s)

    def _find_of_writes(self, operation: str, answer: str) -> tuple[Counter, Histogram]:
        return self.writes.labels(operation=operation, answer=answer), self.waits.labels(operation=operation)
