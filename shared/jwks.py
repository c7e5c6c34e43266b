"""Where the keys for callers' tokens come from: the shop's JWKS address, or in demo mode the shared secret."""

from typing import Any, Final

import aiohttp
import orjson

from shared.settings import TokenSettings
from shared.tokens import DemoKeys, JwksKeys, Keys, Tokens

FETCH_LIMIT_S: Final = 3.0
MAX_DOCUMENT_BYTES: Final = 262_144


def tokens(settings: TokenSettings) -> Tokens:
    """The check of callers' tokens that the settings ask for."""
    return Tokens(
        issuer=settings.token_issuer,
        audience=settings.token_audience,
        keys=_keys(settings),
        link_secret=settings.link_secret.get_secret_value(),
    )


def _keys(settings: TokenSettings) -> Keys:
    if settings.token_demo_secret is not None:
        return DemoKeys(settings.token_demo_secret.get_secret_value())
    url = settings.token_jwks_url or ""

    async def fetch() -> dict[str, Any]:
        return await fetch_document(url)

    return JwksKeys(fetch)


async def fetch_document(url: str) -> dict[str, Any]:
    """The JWKS document at the address. Raises OSError, TimeoutError or ValueError where there is none to be had."""
    limit = aiohttp.ClientTimeout(total=FETCH_LIMIT_S)
    try:
        async with aiohttp.ClientSession(timeout=limit) as session, session.get(url, allow_redirects=False) as answer:
            answer.raise_for_status()
            body = await _whole(answer.content)
    except aiohttp.ClientError as error:
        raise ConnectionError(str(error)) from error
    document: object = orjson.loads(body)
    if not isinstance(document, dict):
        raise ValueError("the JWKS address does not answer with a JSON object")
    return document


async def _whole(content: aiohttp.StreamReader) -> bytes:
    """The body to its end. Raises ValueError where it is larger than any set of keys."""
    body = bytearray()
    async for piece in content.iter_any():
        body += piece
        if len(body) > MAX_DOCUMENT_BYTES:
            raise ValueError(f"the JWKS document is larger than {MAX_DOCUMENT_BYTES} bytes")
    return bytes(body)
