"""A proxy before Parley that passes an answer on when it is whole: live events, which never end, do not come through."""

from types import TracebackType
from typing import Self

import aiohttp
from aiohttp import web

from deploy.local.ports import LOOPBACK, free_port


class HoldingProxy:
    """`holds` may be switched off: from then on answers are passed on as they come."""

    def __init__(self, target: str) -> None:
        self.holds = True
        self.origin = f"http://{LOOPBACK}:{(port := free_port())}"
        self._port, self._target = port, target
        app = web.Application()
        app.router.add_route("*", "/{path:.*}", self._pass_on)
        self._runner = web.AppRunner(app)

    async def __aenter__(self) -> Self:
        self._http = aiohttp.ClientSession(auto_decompress=False, timeout=aiohttp.ClientTimeout(total=None))
        await self._runner.setup()
        await web.TCPSite(self._runner, LOOPBACK, self._port).start()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._http.close()
        await self._runner.cleanup()

    async def _pass_on(self, asked: web.Request) -> web.StreamResponse:
        headers = {name: value for name, value in asked.headers.items() if name.lower() not in ("host", "connection")}
        url, body = self._target + asked.raw_path, await asked.read()
        async with self._http.request(asked.method, url, headers=headers, data=body, allow_redirects=False) as found:
            kept = {
                name: value
                for name, value in found.headers.items()
                if name.lower() not in ("transfer-encoding", "content-length", "connection")
            }
            if self.holds:
                return web.Response(status=found.status, headers=kept, body=await found.read())
            answer = web.StreamResponse(status=found.status, headers=kept)
            await answer.prepare(asked)
            async for part in found.content.iter_any():
                await answer.write(part)
            return answer
