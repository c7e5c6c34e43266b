"""Reads what other servers answer, up to a limit."""

import aiohttp


async def read_whole(response: aiohttp.ClientResponse, *, limit_bytes: int) -> bytes:
    """The whole body. Raises aiohttp.ClientPayloadError where it is longer than the limit."""
    body = bytearray()
    async for part in response.content.iter_any():
        body += part
        if len(body) > limit_bytes:
            raise aiohttp.ClientPayloadError(f"longer than {limit_bytes} bytes")
    return bytes(body)
