"""AMQP 0-9-1 frames in a stream of bytes, as far as a proxy needs them, and a hostile publisher."""

import struct
from typing import Final

HEADER_BYTES: Final = 7
METHOD_FRAME: Final = 1
# The protocol header, which a broker sends instead of a frame where it does not speak the client's version.
PROTOCOL: Final = b"AMQP"
# Class 60 (basic), method 80 (ack). From the broker it always confirms a publish.
ACK: Final = struct.pack(">HH", 60, 80)
# Class 60 (basic), method 40 (publish).
PUBLISH: Final = (60, 40)


class FrameReader:
    """Cuts what arrives into whole frames; keeps the rest until more comes."""

    def __init__(self) -> None:
        self._rest = b""

    def feed(self, data: bytes) -> list[bytes]:
        buffer, frames, start = self._rest + data, [], 0
        if buffer[:4] == PROTOCOL:
            self._rest = b""
            return [buffer]
        while len(buffer) - start >= HEADER_BYTES:
            (size,) = struct.unpack_from(">L", buffer, start + 3)
            end = start + HEADER_BYTES + size + 1
            if end > len(buffer):
                break
            frames.append(buffer[start:end])
            start = end
        self._rest = buffer[start:]
        return frames


def is_confirm(frame: bytes) -> bool:
    return frame[0] == METHOD_FRAME and frame[HEADER_BYTES : HEADER_BYTES + 4] == ACK


def published(exchange: str, routing_key: bytes, properties: bytes, body: bytes, *, channel: int) -> bytes:
    """A mandatory publish with these bytes as its properties (flags first), which no library has to understand.

    The body goes in one frame, so it must be small.
    """
    method = struct.pack(">HHH", *PUBLISH, 0) + short_text(exchange.encode()) + short_text(routing_key) + b"\x01"
    header = struct.pack(">HHQ", PUBLISH[0], 0, len(body)) + properties
    return b"".join(frame(kind, channel, payload) for kind, payload in ((1, method), (2, header), (3, body)))


def frame(kind: int, channel: int, payload: bytes) -> bytes:
    return struct.pack(">BHI", kind, channel, len(payload)) + payload + b"\xce"


def short_text(text: bytes) -> bytes:
    return bytes([len(text)]) + text


def long_text(text: bytes) -> bytes:
    """A long string, or the bytes of a table."""
    return struct.pack(">I", len(text)) + text
