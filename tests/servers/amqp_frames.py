"""AMQP 0-9-1 frames in a stream of bytes, as far as a proxy needs them: whole frames, and which of them are confirms."""

import struct
from typing import Final

HEADER_BYTES: Final = 7
METHOD_FRAME: Final = 1
# The protocol header, which a broker sends instead of a frame where it does not speak the client's version.
PROTOCOL: Final = b"AMQP"
# Class 60 (basic), method 80 (ack). From the broker it always confirms a publish.
ACK: Final = struct.pack(">HH", 60, 80)


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
