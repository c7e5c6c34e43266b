"""The Prefer header (RFC 7240), pure: how long a caller wants to wait for the outcome of a write."""

import re
from collections.abc import Iterable
from dataclasses import dataclass

# Nobody waits for longer than two seconds who did not ask to, the publish included.
DEFAULT_PATIENCE_S = 1.5
MAX_WAIT_S = 30

_PREFERENCE = re.compile(r'\s*([!#$%&\'*+.^_`|~0-9A-Za-z-]+)\s*(?:=\s*("(?:[^"\\]|\\.)*"|[^\s;,"]*))?\s*(?:;[^,]*)?')


@dataclass(frozen=True, slots=True)
class Preference:
    """`respond-async` alone means at once; with `wait=n` it means after n seconds, as section 4.3 has it."""

    respond_async: bool = False
    wait_s: int | None = None

    @property
    def patience_s(self) -> float:
        if self.wait_s is not None:
            return float(self.wait_s)
        return 0.0 if self.respond_async else DEFAULT_PATIENCE_S

    def applied(self, *, accepted_only: bool) -> str | None:
        """What Preference-Applied says: `wait` where it was the limit, `respond-async` where the outcome was not waited for."""
        said = []
        if self.respond_async and accepted_only:
            said.append("respond-async")
        if self.wait_s is not None:
            said.append(f"wait={self.wait_s}")
        return ", ".join(said) or None


NONE = Preference()


def read(headers: Iterable[str]) -> Preference:
    """The preferences that we know; the others, and a `wait` that is no number, are ignored, as the RFC asks. The first of two wins."""
    found: dict[str, str] = {}
    for part in _split(", ".join(headers)):
        match = _PREFERENCE.fullmatch(part)
        if match is not None:
            found.setdefault(match[1].lower(), (match[2] or "").strip('"'))
    wait = found.get("wait", "")
    known_wait = min(int(wait[:9]), MAX_WAIT_S) if wait.isascii() and wait.isdecimal() else None
    return Preference(respond_async="respond-async" in found, wait_s=known_wait)


def _split(value: str) -> list[str]:
    """The parts between commas that stand outside quotes."""
    return re.findall(r'(?:[^,"]|"(?:[^"\\]|\\.)*"|")+', value)
