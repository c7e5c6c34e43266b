"""New traces that nobody keeps, told by one comparison. OpenTelemetry's own way builds a span to find out, at three times the price.

Imported by traces alone, where they are on: it takes OpenTelemetry's SDK along.
"""

import random
import re
from typing import Final

from opentelemetry.sdk.trace.id_generator import RandomIdGenerator
from opentelemetry.sdk.trace.sampling import Sampler, TraceIdRatioBased

BITS_OF_SPAN_ID: Final = 64
BITS_OF_BOTH: Final = 128 + BITS_OF_SPAN_ID
BY_RATIO: Final = re.compile(r"ParentBased\{root:TraceIdRatioBased\{([^}]+)\}")


class Roots(RandomIdGenerator):
    """Draws the ids of new traces, before a span is begun where the sampler looks at nothing else. All are random, as by default."""

    def __init__(self) -> None:
        self._bound: int | None = None
        self._drawn: int | None = None

    def sampled_by(self, sampler: Sampler) -> None:
        """The sampler that decides. One that is not `parentbased_traceidratio` is asked each time."""
        found = BY_RATIO.match(sampler.get_description())
        self._bound = None if found is None else TraceIdRatioBased.get_bound_for_rate(float(found[1]))

    def dropped(self) -> str | None:
        """The `traceparent` of a new trace that the sampler drops; None where it keeps the next one, or must be asked."""
        if self._bound is None:
            return None
        drawn = random.getrandbits(BITS_OF_BOTH)
        trace_id = drawn >> BITS_OF_SPAN_ID
        if trace_id & TraceIdRatioBased.TRACE_ID_LIMIT < self._bound:
            self._drawn = trace_id
            return None
        said = f"{drawn:048x}"
        return f"00-{said[:32]}-{said[32:]}-02"

    def generate_trace_id(self) -> int:
        drawn, self._drawn = self._drawn, None
        return drawn if drawn is not None else super().generate_trace_id()
