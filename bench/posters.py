"""A process that posts: kept connections, one request under way on each, as fast as answers come.

`python -m bench.posters PORT CONNECTIONS SECONDS REQUEST_FILE [COUNT]` prints one JSON object: posts, seconds, failures, latencies, own
CPU. The file has one request, or several with BETWEEN between them, which are sent in turn. In each, the 16 bytes of MARK become a
number of the request's own (for its Idempotency-Key). With COUNT it ends after so many requests, and SECONDS is when it ends at last.
"""

import asyncio
import itertools
import json
import secrets
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Final, cast

import uvloop

MARK: Final = b"NUMBER-NUMBER-00"
BETWEEN: Final = b"\0"
WARM_UP_S: Final = 1.0
LAST_ANSWERS_S: Final = 10.0
GOOD: Final = (b"201", b"202")


class Connection(asyncio.Protocol):
    """Sends the next request when the answer to the last has come whole."""

    def __init__(self, bodies: Iterator[bytes], until: float) -> None:
        self._requests, self._until = bodies, until
        self._received = b""
        self._sent_at = 0.0
        self.took: list[tuple[float, float]] = []
        self.failures: list[bytes] = []
        self.ended = asyncio.get_running_loop().create_future()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        # uvloop's transports do not derive from asyncio's.
        self._transport = cast("asyncio.Transport", transport)
        self._send()

    def _send(self) -> None:
        self._sent_at = time.perf_counter()
        request = next(self._requests, None) if self._sent_at < self._until else None
        if request is None:
            self._transport.close()
        else:
            self._transport.write(request)

    def data_received(self, data: bytes) -> None:
        self._received += data
        head_end = self._received.find(b"\r\n\r\n")
        if head_end < 0:
            return
        length_at = self._received.find(b"ontent-length: ") + 15
        length = int(self._received[length_at : self._received.find(b"\r\n", length_at)])
        if len(self._received) < head_end + 4 + length:
            return
        now = time.perf_counter()
        self.took.append((now, now - self._sent_at))
        if self._received[9:12] not in GOOD:
            self.failures.append(self._received)
        self._received = b""
        self._send()

    def connection_lost(self, error: Exception | None) -> None:
        if not self.ended.done():
            self.ended.set_result(error)


def numbered(requests: bytes, count: int | None) -> Iterator[bytes]:
    """The requests in turn, so many or without end."""
    parts = [each.split(MARK) for each in requests.split(BETWEEN)]
    run = secrets.token_hex(4).encode()
    numbers = itertools.count() if count is None else range(count)
    for number, (before, after) in zip(numbers, itertools.cycle(parts), strict=False):
        yield b"%b%b%08d%b" % (before, run, number, after)


async def post(
    port: int, connections: int, seconds: float, requests: bytes, count: int | None = None
) -> dict[str, object]:
    loop = asyncio.get_running_loop()
    bodies, began = numbered(requests, count), time.perf_counter()
    until = began + WARM_UP_S + seconds
    made = [
        await loop.create_connection(lambda: Connection(bodies, until), "127.0.0.1", port) for _ in range(connections)
    ]
    async with asyncio.timeout(WARM_UP_S + seconds + LAST_ANSWERS_S):
        await asyncio.gather(*(protocol.ended for _, protocol in made))
    everything = [each for _, protocol in made for each in protocol.took]
    counted = sorted(took for at, took in everything if began + WARM_UP_S <= at < until)
    failures = [each for _, protocol in made for each in protocol.failures]
    return {
        "posts": len(counted),
        "all_posts": len(everything),
        "seconds": seconds,
        "failures": len(failures),
        "failure": failures[0].decode(errors="replace") if failures else None,
        "p50_ms": round(counted[len(counted) // 2] * 1_000, 2) if counted else None,
        "p99_ms": round(counted[len(counted) * 99 // 100] * 1_000, 2) if counted else None,
        "own_cpu": round(time.process_time() / (time.perf_counter() - began), 2),
    }


def main() -> None:
    port, connections, seconds, file, *count = sys.argv[1:]
    posting = post(int(port), int(connections), float(seconds), Path(file).read_bytes(), *(int(each) for each in count))
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        said = runner.run(posting)
    print(json.dumps(said))


if __name__ == "__main__":
    main()
