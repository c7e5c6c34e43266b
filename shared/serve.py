"""Runs a service's application: one process, one event loop, one port."""

import asyncio
import sys

import uvicorn
import uvloop
from fastapi import FastAPI

from shared.settings import CommonSettings

MAX_HEADER_BYTES = 32 * 1024
# Longer than proxies and clients keep idle connections, so that it is they who close them and no request meets a closing one.
KEEP_ALIVE_S = 75


def run(app: FastAPI, settings: CommonSettings) -> None:
    """Serves until SIGTERM or SIGINT; then what is under way may end within the grace period. Exit status 1 if it could not start."""
    server = uvicorn.Server(
        uvicorn.Config(
            app,
            host=settings.http_host,
            port=settings.http_port,
            http="httptools",
            lifespan="on",
            access_log=False,
            log_config=None,
            server_header=False,
            h11_max_incomplete_event_size=MAX_HEADER_BYTES,
            timeout_keep_alive=KEEP_ALIVE_S,
            timeout_graceful_shutdown=int(settings.shutdown_grace_s),
        )
    )
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(server.serve())
    if not server.started:
        sys.exit(1)
