"""Live updates over server-sent events."""

import time
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Header
from fastapi.responses import Response

from services.gateway import described, problems
from services.gateway.auth import BearerToken, SignedInCaller
from services.gateway.live.answer import LiveAnswer
from services.gateway.parameters import only_known
from services.gateway.parts import TheParts
from shared.errors import not_found

router = APIRouter(prefix="/v1", tags=["live"], dependencies=[Depends(only_known)])

MAX_ID_CHARACTERS = 64
# A guest's access ends when the order becomes an account's: whoever listens is asked for it anew this often, by coming again.
GUEST_FOR_S = 300

LastEventId = Annotated[
    str | None,
    Header(
        alias="Last-Event-ID",
        max_length=MAX_ID_CHARACTERS,
        description="The last `id` that was seen: goes on right after it",
    ),
]
EXAMPLE = 'id: 4711\nevent: thread.read\ndata: {"order_id":"1042","up_to_seq":12,"unread":0,"mine":true}\n\n'
STREAM: dict[str, Any] = {
    "description": "Events without end; the connection ends with the token",
    "content": {
        "text/event-stream": {
            # What stands in the data of an event; the stream itself has no schema of its own in OpenAPI 3.1.
            "schema": {
                "type": "string",
                "contentMediaType": "text/event-stream",
                "contentSchema": {
                    "anyOf": [
                        {"$ref": f"#/components/schemas/{name}"}
                        for name in ("LiveEntry", "LiveRead", "LiveSeen", "LiveRedaction")
                    ]
                },
            },
            "example": EXAMPLE,
        }
    },
}


@router.get(
    "/events",
    operation_id="listen",
    summary="What happens, as it happens",
    status_code=200,
    response_class=LiveAnswer,
    responses={200: STREAM, **described.problems(401, 403, 404, 422, 429, 503)},
)
async def listen(
    signed_in: SignedInCaller, token: BearerToken, parts: TheParts, last_event_id: LastEventId = None
) -> Response:
    """Server-sent events for what the caller may see: `message.posted`, `dispute.opened`, `dispute.closed` (`LiveEntry`),
    `message.redacted` (`LiveRedaction`), `thread.read` of the caller's own inbox (`LiveRead`), `thread.seen` of another side's (`LiveSeen`).

    At least once: drop what you know by `id`. A block with an `id` alone says how far you are. `resync` means: read everything
    anew, then go on. Read it with `fetch`: the token goes into the Authorization header, never into the address.
    """
    if not parts.feed.is_known:
        raise problems.unavailable("Live events are not there at the moment.", retry_after_s=2)
    caller, ends_at = signed_in.caller, float(signed_in.expires_at)
    if caller.role == "guest" and caller.order_id is not None:
        ends_at = min(ends_at, time.time() + GUEST_FOR_S)
        seen = await parts.threads.ask(f"/v1/orders/{caller.order_id}", token)
        if seen.status_code >= 500:
            raise problems.unavailable("Live events are not there at the moment.", retry_after_s=2)
        if seen.status_code != 200:
            raise not_found(caller.order_id)
    return LiveAnswer(
        client=parts.clients.admit(caller),
        clients=parts.clients,
        feed=parts.feed,
        figures=parts.figures,
        last_event_id=last_event_id,
        ends_at=ends_at,
    )
