"""The newest events of the stream, kept in memory up to a number of bytes; pure."""

from collections import deque

from services.gateway.live.audience import LiveEvent

NOTHING_YET = -1


class Ring:
    """Everything after the offset `floor`, up to and including the offset `tip`.

    A stream that is empty has its floor and tip at -1, before the first offset.
    """

    def __init__(self, max_bytes: int) -> None:
        self._max_bytes = max_bytes
        self._events: deque[LiveEvent] = deque()
        self._bytes = 0
        self.floor = self.tip = NOTHING_YET
        self.newest_id: str | None = None

    def add(self, offset: int, event: LiveEvent | None) -> None:
        """Takes the next offset of the stream; None stands for something that is no event of ours."""
        if not self._events and self.tip == NOTHING_YET:
            self.floor = offset - 1
        self.tip = offset
        self.newest_id = event.id if event is not None else None
        if event is None:
            return
        self._events.append(event)
        self._bytes += event.size_bytes
        while self._bytes > self._max_bytes:
            oldest = self._events.popleft()
            self._bytes -= oldest.size_bytes
            self.floor = oldest.offset

    def clear(self) -> None:
        """Forgets everything: the stream is another one, or has a gap."""
        self._events.clear()
        self._bytes = 0
        self.floor = self.tip = NOTHING_YET
        self.newest_id = None

    def covers(self, offset: int) -> bool:
        """Whether everything after this offset is here."""
        return self.floor <= offset <= self.tip

    def after(self, offset: int) -> list[LiveEvent]:
        """The events after this offset, oldest first."""
        newer: list[LiveEvent] = []
        for event in reversed(self._events):
            if event.offset <= offset:
                break
            newer.append(event)
        newer.reverse()
        return newer
