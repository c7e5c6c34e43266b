"""Where the keys for callers' tokens come from: the shop's JWKS address, or in demo mode the shared secret."""

import functools
from typing import Any, Final

import aiohttp
import orjson

from shared.issuers import Issuer
from shared.key_sets import DemoKeys, JwksKeys, Keys
from shared.settings import TokenSettings
from shared.tokens import Tokens, Trust

FETCH_LIMIT_S: Final = 3.0
MAX_DOCUMENT_BYTES: Final = 262_144


def tokens(settings: TokenSettings) -> Tokens:
    """The check of callers' tokens that the settings ask for."""
    fetched: dict[str, Keys] = {}
    trusted = [
        Trust(
            issuer=issuer.issuer,
            audiences=issuer.audiences,
            keys=_keys(issuer, settings, fetched),
            rules=issuer.rules,
            audience_claim=issuer.audience_claim,
        )
        for issuer in settings.issuers
    ]
    return Tokens(trusted, link_secret=settings.link_secret.get_secret_value())


def _keys(issuer: Issuer, settings: TokenSettings, fetched: dict[str, Keys]) -> Keys:
    """The issuer's keys; those of one address are fetched once for all that publish there."""
    if issuer.jwks_url is None:
        secret = settings.token_demo_secret
        return DemoKeys("" if secret is None else secret.get_secret_value())
    url = issuer.jwks_url
    return fetched.setdefault(url, JwksKeys(functools.partial(fetch_document, url), address=url.partition("?")[0]))


async def fetch_document(url: str) -> dict[str, Any]:
    """The JWKS document at the address. Raises OSError, TimeoutError or ValueError where there is none to be had."""
    limit = aiohttp.ClientTimeout(total=FETCH_LIMIT_S)
    try:
        async with aiohttp.ClientSession(timeout=limit) as session, session.get(url, allow_redirects=False) as answer:
            answer.raise_for_status()
            if answer.status != 200:
                raise ConnectionError(f"answered {answer.status}")
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
