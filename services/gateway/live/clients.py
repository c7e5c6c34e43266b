"""Who is connected to live events: each with a short queue; one that does not keep up is cut off."""

import asyncio
from collections import Counter
from collections.abc import Callable

from services.gateway import problems
from services.gateway.live.audience import LiveEvent, listens_to
from services.gateway.metrics import Figures
from shared.callers import Caller
from shared.errors import refuse

MAX_WAITING_EVENTS = 200
MAX_WAITING_BYTES = 1_000_000


class Client:
    """One connection. `cut_off` ends it; it is called at most once."""

    __slots__ = (
        "_missed",
        "_more",
        "_waiting",
        "_waiting_bytes",
        "caller_key",
        "cut_off",
        "must_resync",
        "person",
        "place",
    )

    def __init__(self, caller: Caller, place: str) -> None:
        self.caller_key, self.person, self.place = caller.key, caller.person, place
        self.cut_off: Callable[[], None] = lambda: None
        self.must_resync = False
        self._missed: list[LiveEvent] = []
        # A list, since even an empty deque takes 760 bytes, in each of thousands of connections.
        self._waiting: list[LiveEvent] = []
        self._waiting_bytes = 0
        self._more = asyncio.Event()

    def catch_up_with(self, missed: list[LiveEvent]) -> None:
        """What comes first, however much it is: the ring holds it anyhow."""
        self._missed = missed
        if missed:
            self._more.set()

    def tell(self, event: LiveEvent) -> bool:
        """Whether the event still fits into the queue."""
        if len(self._waiting) >= MAX_WAITING_EVENTS or self._waiting_bytes > MAX_WAITING_BYTES:
            return False
        self._waiting.append(event)
        self._waiting_bytes += event.size_bytes
        self._more.set()
        return True

    def resync(self) -> None:
        """There is a gap: what waits is worth nothing, and the client must read everything anew."""
        self.must_resync = True
        self._missed = []
        self._waiting.clear()
        self._waiting_bytes = 0
        self._more.set()

    async def wait(self, *, at_most_s: float) -> None:
        """Returns when there is something to say, or when the time is over."""
        try:
            async with asyncio.timeout(at_most_s):
                await self._more.wait()
        except TimeoutError:
            return

    def take(self) -> list[LiveEvent]:
        events = [*self._missed, *self._waiting]
        self._missed = []
        self._waiting.clear()
        self._waiting_bytes = 0
        self._more.clear()
        return events


class Clients:
    """All connections, found by the place that they listen at."""

    def __init__(self, *, max_connections: int, max_per_person: int, figures: Figures) -> None:
        self._max_connections, self._max_per_person, self._figures = max_connections, max_per_person, figures
        self._at: dict[str, set[Client]] = {}
        self._open: set[Client] = set()
        self._per_person: Counter[str] = Counter()

    def admit(self, caller: Caller) -> Client:
        """A place for this caller. Raises ProblemError: 403 for a service, 429 or 503 where there are too many connections."""
        place = listens_to(caller)
        if place is None:
            raise refuse("forbidden", "A service has no inbox to listen at. Bind a queue to parley.events instead.")
        if len(self._open) >= self._max_connections:
            raise problems.unavailable("There are too many live connections at the moment.", retry_after_s=5)
        if self._per_person[caller.key] >= self._max_per_person:
            raise refuse("too_many_requests", "You have too many live connections open. Close some, or share one.")
        client = Client(caller, place)
        self._open.add(client)
        self._per_person[caller.key] += 1
        self._figures.live_connections.set(len(self._open))
        return client

    def join(self, client: Client) -> None:
        """From now on the client is told what happens at its place."""
        self._at.setdefault(client.place, set()).add(client)

    def leave(self, client: Client) -> None:
        """May be called twice."""
        if client not in self._open:
            return
        self._open.discard(client)
        self._per_person[client.caller_key] -= 1
        if self._per_person[client.caller_key] <= 0:
            del self._per_person[client.caller_key]
        self._leave_place(client)
        self._figures.live_connections.set(len(self._open))

    def _leave_place(self, client: Client) -> None:
        here = self._at.get(client.place, set())
        here.discard(client)
        if not here:
            self._at.pop(client.place, None)

    def tell(self, event: LiveEvent) -> None:
        """Tells everybody who may see the event; who does not keep up is cut off."""
        for place in event.places:
            for client in tuple(self._at.get(place, ())):
                if not client.tell(event):
                    self._figures.live_cut_off.inc()
                    self._leave_place(client)
                    client.cut_off()

    def resync_all(self) -> None:
        for clients in self._at.values():
            for client in clients:
                client.resync()

    def end_all(self) -> None:
        """Ends every connection: the gateway stops, and another one goes on."""
        for client in tuple(self._open):
            client.cut_off()
