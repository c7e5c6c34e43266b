"""Runs a service's application: one process, one event loop, one port."""

import asyncio
import gc
import sys
from collections.abc import Sequence

import uvicorn
import uvloop
from fastapi import FastAPI

from shared import undecodable
from shared.http_protocol import with_origins
from shared.settings import CommonSettings

# Longer than proxies and clients keep idle connections, so that it is they who close them and no request meets a closing one.
KEEP_ALIVE_S = 75
# Python looks for cycles whenever 700 objects more are alive than freed, over and over within one busy second: an eighth of a post's time.
GARBAGE_AFTER = (20_000, 20, 20)


def run(app: FastAPI, settings: CommonSettings, *, origins: Sequence[str] = ()) -> None:
    """Serves until SIGTERM or SIGINT; then what is under way may end within the grace period. Exit status 1 if it could not start.

    `origins`: whose pages may read what is refused before the application has the request.
    """
    undecodable.install()
    server = uvicorn.Server(
        uvicorn.Config(
            app,
            host=settings.http_host,
            port=settings.http_port,
            http=with_origins(origins),
            ws="none",
            lifespan="on",
            access_log=False,
            log_config=None,
            server_header=False,
            timeout_keep_alive=KEEP_ALIVE_S,
            timeout_graceful_shutdown=int(settings.shutdown_grace_s),
        )
    )
    gc.freeze()
    gc.set_threshold(*GARBAGE_AFTER)
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(server.serve())
    if not server.started:
        sys.exit(1)
