"""What routes work with: the application's parts, made once by `app.build`'s lifespan."""

from dataclasses import dataclass
from typing import Annotated

from fastapi import Depends, Request

from services.gateway.command_ids import CommandIds
from services.gateway.commands import Commands
from services.gateway.live.clients import Clients
from services.gateway.live.feed import Feed
from services.gateway.metrics import Figures
from services.gateway.replies import Replies
from services.gateway.settings import GatewaySettings
from services.gateway.threads import Threads
from shared.tokens import CheckedTokens


@dataclass(frozen=True, slots=True)
class Parts:
    settings: GatewaySettings
    figures: Figures
    tokens: CheckedTokens
    command_ids: CommandIds
    replies: Replies
    commands: Commands
    threads: Threads
    feed: Feed
    clients: Clients


async def _parts(request: Request) -> Parts:
    """A coroutine although it waits for nothing: FastAPI runs plain functions in a thread, for each request."""
    parts: Parts = request.app.state.parts
    return parts


TheParts = Annotated[Parts, Depends(_parts)]
