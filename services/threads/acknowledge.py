"""Which deliveries of a channel are settled, and what may be acknowledged at once."""

from collections.abc import Iterable
from dataclasses import dataclass, field


@dataclass(slots=True)
class Outstanding:
    """The deliveries of one channel object that are not acknowledged yet, in the order of their tags.

    A multiple acknowledgement covers every tag up to it: so it goes only as far as everything below is settled.
    """

    _settled: dict[int, bool] = field(default_factory=dict)

    def delivered(self, tag: int) -> None:
        self._settled[tag] = False

    def settle(self, tags: Iterable[int]) -> tuple[int | None, list[int]]:
        """Marks the tags settled; answers the highest tag to acknowledge with `multiple`, and the tags to acknowledge one by one."""
        done = {tag for tag in tags if tag in self._settled}
        for tag in done:
            self._settled[tag] = True
        up_to = None
        for tag in list(self._settled):
            if not self._settled[tag]:
                break
            up_to = tag
            del self._settled[tag]
            done.discard(tag)
        for tag in done:
            del self._settled[tag]
        return up_to, sorted(done)

    def __len__(self) -> int:
        return len(self._settled)
