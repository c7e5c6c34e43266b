"""Questions for threads: passed on by HTTP with the caller's own token, and answered byte for byte as threads answers."""

import time
from collections.abc import Mapping
from typing import Final
from urllib.parse import urlencode

import aiohttp
import structlog
import yarl
from fastapi.responses import Response
from opentelemetry.trace import SpanKind
from pydantic import BaseModel

from services.gateway import problems
from services.gateway.metrics import Figures
from shared import etags, traces
from shared.errors import PROBLEM_MEDIA_TYPE, ProblemError

log = structlog.get_logger(__name__)

# Within two seconds the caller has an answer, if only that there is none.
DEADLINE_S: Final = 1.8
CONNECT_LIMIT_S: Final = 0.5
ALIVE_DEADLINE_S: Final = 0.8
MAX_CONNECTIONS: Final = 200
KEEP_CONNECTION_S: Final = 60.0
MAX_ANSWER_BYTES: Final = 32 * 1024 * 1024

_PASSED_ON = ("etag", "link", "retry-after")
_HEADERS_LIMIT_BYTES: Final = 16 * 1024


def connect() -> aiohttp.ClientSession:
    """A session whose connections are kept. Compression is not asked for: it costs more than the network between the two."""
    return aiohttp.ClientSession(
        connector=aiohttp.TCPConnector(limit=MAX_CONNECTIONS, keepalive_timeout=KEEP_CONNECTION_S),
        timeout=aiohttp.ClientTimeout(total=DEADLINE_S, connect=CONNECT_LIMIT_S),
        cookie_jar=aiohttp.DummyCookieJar(),
        headers={"Accept-Encoding": "identity", "User-Agent": "parley-gateway"},
        max_field_size=_HEADERS_LIMIT_BYTES,
    )


def query_string(query: BaseModel) -> str:
    """The query as it was asked and validated, and nothing else."""
    asked = query.model_dump(mode="json", exclude_unset=True, exclude_none=True)
    return urlencode(asked)


class Threads:
    def __init__(self, *, session: aiohttp.ClientSession, url: str, figures: Figures) -> None:
        self._session, self._url, self._figures = session, url, figures

    async def ask(self, path: str, token: str, *, query: BaseModel | None = None) -> Response:
        """threads' answer with its status, whatever it is. Raises ProblemError (503) where threads is away, silent or broken."""
        target = self._url + path
        if query is not None and (asked := query_string(query)):
            target += f"?{asked}"
        started = time.monotonic()
        try:
            with traces.span("ask threads", kind=SpanKind.CLIENT) as traceparent:
                sent = {"Authorization": f"Bearer {token}", **({"traceparent": traceparent} if traceparent else {})}
                answer = await self._get(target, sent)
        except ProblemError:
            self._figures.queries.labels(answer="unavailable").observe(time.monotonic() - started)
            raise
        self._figures.queries.labels(answer=f"{answer.status_code // 100}xx").observe(time.monotonic() - started)
        return answer

    async def _get(self, target: str, headers: Mapping[str, str]) -> Response:
        try:
            async with self._session.get(
                yarl.URL(target, encoded=True), headers=headers, allow_redirects=False
            ) as response:
                return _passed_on(response, await _whole(response))
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            log.warning("threads_away", error=type(error).__name__)
            raise problems.unavailable("It cannot be read at the moment. Try again soon.") from None

    async def is_alive(self) -> bool:
        timeout = aiohttp.ClientTimeout(total=ALIVE_DEADLINE_S)
        try:
            async with self._session.get(f"{self._url}/livez", timeout=timeout, allow_redirects=False) as response:
                return response.status == 200
        except (aiohttp.ClientError, TimeoutError, OSError):
            return False


async def _whole(response: aiohttp.ClientResponse) -> bytes:
    body = bytearray()
    async for part in response.content.iter_any():
        body += part
        if len(body) > MAX_ANSWER_BYTES:
            raise aiohttp.ClientPayloadError(f"longer than {MAX_ANSWER_BYTES} bytes")
    return bytes(body)


def _passed_on(response: aiohttp.ClientResponse, body: bytes) -> Response:
    """Answers that are neither JSON nor problems, or a server's error without a problem, are threads being broken."""
    known = response.content_type in ("application/json", PROBLEM_MEDIA_TYPE)
    if not known or 300 <= response.status < 400:
        log.error("threads_answer_not_understood", status=response.status)
        raise problems.unavailable("It cannot be read at the moment. Try again soon.")
    headers = {name: response.headers[name] for name in _PASSED_ON if name in response.headers}
    if response.status == 200:
        headers.setdefault("etag", etags.of(body))
    if response.status == 401:
        headers["WWW-Authenticate"] = 'Bearer realm="parley", error="invalid_token"'
    return Response(body, status_code=response.status, media_type=response.content_type, headers=headers)
