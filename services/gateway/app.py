"""Puts the gateway together: `build(settings)` connects, `undressed()` only knows its routes."""

import asyncio
import contextlib
import functools
import signal
import threading
from collections.abc import AsyncIterator, Callable
from types import FrameType
from typing import Final

import aiohttp
from fastapi import FastAPI
from fastapi.responses import HTMLResponse, RedirectResponse, Response

from services.gateway import docs_page, openapi, page_files, problems, threads
from services.gateway.command_ids import CommandIds
from services.gateway.commands import MAX_IN_FLIGHT, Commands
from services.gateway.conditional import NotModified
from services.gateway.cors import Cors
from services.gateway.frame import Frame
from services.gateway.limits import WriteLimits
from services.gateway.live.clients import Clients
from services.gateway.live.feed import Feed
from services.gateway.live.ring import Ring
from services.gateway.metrics import Figures
from services.gateway.parts import Parts
from services.gateway.replies import Replies
from services.gateway.routes import disputes, links, live, marks, orders, persons, unsubscribe
from services.gateway.routes import threads as thread_routes
from services.gateway.settings import GatewaySettings
from services.gateway.short_way import Layer, ShortWay
from services.gateway.threads import Threads
from shared import jwks, probes, process, traces
from shared.head_requests import HeadAsGet
from shared.losses import end, in_background
from shared.pipeline import PipelinePublisher
from shared.probes import Check, Probes
from shared.tokens import CheckedTokens
from shared.topology import COMMANDS, LIVE_STREAM, SHOP_ORDERS
from shared.verify import Topology

FIRST_CONNECTION_LIMIT_S: Final = 2.0
ROUTERS: Final = (orders, thread_routes, disputes, marks, persons, live, links, unsubscribe)


def undressed() -> FastAPI:
    """The application with its routes and nothing behind them: for the OpenAPI document, without settings or servers."""
    app = FastAPI(title=openapi.TITLE, docs_url=None, redoc_url=None, redirect_slashes=False)
    _dress(app, Figures(), Probes({}))
    return app


def build(settings: GatewaySettings) -> FastAPI:
    """The application; its lifespan connects. It starts while RabbitMQ and threads are away, and says so in /readyz."""
    figures = Figures()
    publisher = PipelinePublisher(
        settings.amqp_url.get_secret_value(), name="gateway-publishes", in_flight=MAX_IN_FLIGHT
    )
    needed = Topology(
        settings.amqp_url.get_secret_value(), service="gateway", reads=(LIVE_STREAM,), writes=(COMMANDS, SHOP_ORDERS)
    )

    @contextlib.asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        async with threads.connect() as session:
            replies = Replies(settings.amqp_url.get_secret_value())
            parts = _parts(settings, figures, publisher, replies, session)
            app.state.parts = parts
            publisher.start()
            reading = [
                in_background(replies.run(), name="gateway reads replies"),
                in_background(parts.feed.run(), name="gateway reads the live stream"),
                in_background(needed.until_complete(), name="gateway verifies RabbitMQ"),
                in_background(parts.commands.watch(), name="gateway watches confirms"),
            ]
            _on_signal_to_stop(parts.clients.end_all)
            # The port opens after this: whoever is asked as soon as it listens can write already, unless RabbitMQ is away.
            await publisher.connected_within(FIRST_CONNECTION_LIMIT_S)
            try:
                async with process.watched(figures.registry):
                    yield
            finally:
                await end(*reading)
                await publisher.close()

    app = ShortWay(title=openapi.TITLE, docs_url=None, redoc_url=None, redirect_slashes=False, lifespan=lifespan)

    async def reads_or_writes() -> str | None:
        parts: Parts = app.state.parts
        can_work = parts.commands.can_publish or await parts.threads.is_alive()
        return None if can_work else "neither RabbitMQ nor threads can be worked with"

    async def writes() -> str | None:
        parts: Parts = app.state.parts
        return parts.commands.trouble()

    async def reads() -> str | None:
        return None if await app.state.parts.threads.is_alive() else "threads is away: nothing can be read"

    async def replies_come() -> str | None:
        return None if app.state.parts.replies.is_open else "no replies: writes are answered with 202"

    async def is_live() -> str | None:
        return None if app.state.parts.feed.is_current else "no live events"

    useful: dict[str, Check] = {
        "topology": needed.trouble,
        "writes": writes,
        "reads": reads,
        "replies": replies_come,
        "live": is_live,
    }
    _dress(app, figures, Probes({"rabbitmq_or_threads": reads_or_writes}, useful=useful))
    _add_outer_layers(app, settings, figures)
    _mount_pages(app, settings)
    return app


def _parts(
    settings: GatewaySettings,
    figures: Figures,
    publisher: PipelinePublisher,
    replies: Replies,
    session: aiohttp.ClientSession,
) -> Parts:
    clients = Clients(
        max_connections=settings.live_max_connections,
        max_per_person=settings.live_max_connections_per_person,
        figures=figures,
    )
    return Parts(
        settings=settings,
        figures=figures,
        tokens=CheckedTokens(jwks.tokens(settings)),
        command_ids=CommandIds(settings.command_id_secret.get_secret_value()),
        replies=replies,
        commands=Commands(publisher=publisher, replies=replies, limits=WriteLimits(settings), figures=figures),
        threads=Threads(session=session, url=settings.threads_url, figures=figures),
        feed=Feed(settings.amqp_url.get_secret_value(), ring=Ring(settings.live_ring_bytes), clients=clients),
        clients=clients,
    )


def _dress(app: FastAPI, figures: Figures, ready: Probes) -> None:
    """Routes, problem documents and the OpenAPI document."""
    for module in ROUTERS:
        app.include_router(module.router)
    app.include_router(probes.routes(ready, figures.registry))
    openapi.use_in(app)
    problems.install(app, methods_of=problems.MethodsOf(app), figures=figures)

    async def docs() -> Response:
        return HTMLResponse(docs_page.page(app.openapi()), headers={"Content-Security-Policy": docs_page.POLICY})

    app.add_api_route("/docs", docs, include_in_schema=False)


def _add_outer_layers(app: ShortWay, settings: GatewaySettings, figures: Figures) -> None:
    """The last one added is the outermost, here and on the short way."""
    cors = functools.partial(Cors, origins=settings.origins) if settings.origins else None
    layers: list[Layer] = [HeadAsGet, NotModified]
    if cors is not None:
        layers.append(cors)
    if traces.is_on():
        layers.append(functools.partial(traces.Requests, route=traces.route_of))
    layers.append(functools.partial(Frame, figures=figures, cors=cors))
    for layer in layers:
        app.add_middleware(layer)
    app.open_short_way(layers)


def _mount_pages(app: FastAPI, settings: GatewaySettings) -> None:
    if settings.pages == "off":
        return
    files = page_files.PageFiles(
        frame_ancestors=settings.pages_frame_ancestors,
        token_url=settings.pages_token_url,
        login_url=settings.pages_login_url,
        demo_login=settings.demo_login == "on",
    )

    async def to_pages() -> Response:
        return RedirectResponse(page_files.ROOT)

    app.add_api_route("/pages", to_pages, include_in_schema=False)
    app.mount("/pages", files, name="pages")


def _on_signal_to_stop(end: Callable[[], None]) -> None:
    """Ends the live connections at once when the process is told to stop: uvicorn would wait for them its whole grace period.

    uvicorn gives no other notice (its handlers stand when the lifespan starts), so ours goes before its own.
    """
    if threading.current_thread() is not threading.main_thread():
        return
    for number in (signal.SIGTERM, signal.SIGINT):
        before = signal.getsignal(number)
        if callable(before):
            signal.signal(number, _first(end, before))


def _first(end: Callable[[], None], then: Callable[[int, FrameType | None], object]) -> Callable[..., None]:
    loop = asyncio.get_running_loop()

    def handle(number: int, frame: FrameType | None) -> None:
        loop.call_soon_threadsafe(end)
        then(number, frame)

    return handle
