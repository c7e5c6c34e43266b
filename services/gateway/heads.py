"""The head of a request in its usual form, which is all that the short way takes."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from starlette.types import Scope

BEARER: Final = b"Bearer "
MAX_QUERY_BYTES: Final = 4 * 1024


@dataclass(frozen=True, slots=True)
class Head:
    """The headers, each of which was given once, and the token among them."""

    headers: Mapping[bytes, bytes]
    token: str


def usual(scope: Scope) -> Head | None:
    """None where a header was given twice, or the Authorization is not a bearer token in its usual form."""
    headers: Mapping[bytes, bytes] = dict(scope["headers"])
    authorization = headers.get(b"authorization", b"")
    if len(headers) != len(scope["headers"]) or not authorization.startswith(BEARER):
        return None
    return Head(headers, authorization[len(BEARER) :].decode("latin-1").strip())
