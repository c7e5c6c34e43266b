"""Threads: the list, histories, and messages in them."""

from typing import Annotated

from fastapi import APIRouter, Depends, Query
from fastapi.responses import Response

from services.gateway import access, described
from services.gateway.auth import BearerToken, SignedInCaller
from services.gateway.bodies import json_body
from services.gateway.parameters import only_known
from services.gateway.parts import TheParts
from services.gateway.requests import HistoryQuery, ImportedAuthor, ImportedMessage, NewMessage, Redaction, ThreadsQuery
from services.gateway.routes.paths import MessageIdInPath, OrderIdInPath
from services.gateway.writes import ImportRequest, WriteRequest
from shared.callers import Author
from shared.commands import (
    ImportMessage,
    MessageToImport,
    MessageToPost,
    MessageToRedact,
    PostMessage,
    RedactMessage,
)
from shared.queries import History, Message, ThreadPage

router = APIRouter(prefix="/v1", tags=["threads"], dependencies=[Depends(only_known)])

EXAMPLE = {"text": "When will it be sent?", "seen_seq": 3}
IMPORT_EXAMPLE = {
    "external_id": "ticket-77-3",
    "author": {"side": "customer", "id": "c-7", "name": "Ada Byron"},
    "text": "When will it be sent?",
    "written_at": "2025-12-24T18:00:00Z",
}


@router.get(
    "/threads",
    operation_id="listThreads",
    summary="The caller's threads",
    response_model=ThreadPage,
    responses=described.question(of_order=False, in_pages=True),
)
async def list_threads(
    query: Annotated[ThreadsQuery, Query()], _caller: SignedInCaller, token: BearerToken, parts: TheParts
) -> Response:
    """My account > Messages: newest first, those that wait longest for an answer first, or the oldest dispute first."""
    return await parts.threads.ask("/v1/threads", token, query=query)


@router.get(
    "/orders/{order_id}/messages",
    operation_id="listMessages",
    summary="The history of a thread",
    response_model=History,
    responses=described.question(in_pages=True),
)
async def list_messages(
    order_id: OrderIdInPath,
    query: Annotated[HistoryQuery, Query()],
    _caller: SignedInCaller,
    token: BearerToken,
    parts: TheParts,
) -> Response:
    """In the order of `seq`: the newest entries, or those before or after one. Reading it marks nothing as read."""
    return await parts.threads.ask(f"/v1/orders/{order_id}/messages", token, query=query)


@router.post(
    "/orders/{order_id}/messages",
    operation_id="postMessage",
    summary="Write into a thread",
    status_code=201,
    response_model=Message,
    responses=described.write(404, done={201: Message}),
    openapi_extra=described.takes(NewMessage, EXAMPLE),
)
async def post_message(
    order_id: OrderIdInPath,
    write: WriteRequest,
    parts: TheParts,
    message: Annotated[NewMessage, json_body(NewMessage)],
) -> Response:
    """1 to 10,000 characters. The other side (and watchers) are told by mail unless they read it first.

    Say with `seen_seq` what the author had before their eyes: so answering reads what is answered. Of a repetition under the same
    Idempotency-Key it is not looked at."""
    caller = access.on_thread(write.caller, order_id)
    asked = MessageToPost(
        order_id=order_id, caller=caller, text=message.text, after=message.after, seen_seq=message.seen_seq
    )
    return await parts.commands.answer(PostMessage(**write.heading("message.post", order_id), data=asked), write)


@router.post(
    "/orders/{order_id}/messages/import",
    operation_id="importMessage",
    summary="Bring an old message of another system (services)",
    status_code=201,
    response_model=Message,
    responses=described.write(404, done={201: Message}),
    openapi_extra=described.takes(ImportedMessage, IMPORT_EXAMPLE),
)
async def import_message(
    order_id: OrderIdInPath,
    write: ImportRequest,
    parts: TheParts,
    message: Annotated[ImportedMessage, json_body(ImportedMessage)],
) -> Response:
    """With its own time and author; nobody is mailed. Only before the first message that was written here. Oldest first, each
    after the answer to the one before; the same `external_id` again is the same message."""
    caller = access.service(write.caller)
    asked = MessageToImport(
        order_id=order_id,
        caller=caller,
        author=_author(message.author),
        text=message.text,
        written_at=message.written_at,
    )
    heading = write.heading("message.import", order_id, key=message.external_id)
    return await parts.commands.answer(ImportMessage(**heading, data=asked), write)


def _author(author: ImportedAuthor) -> Author:
    """The person within the thread, as shared.callers has it: an order has one customer; sellers and admins are told apart by login."""
    role = {"customer": "customer", "seller": "seller", "shop": "admin"}[author.side]
    person = role if author.side == "customer" else f"{role}:{author.id}"
    return Author(side=author.side, person=person, name=author.name)


@router.post(
    "/orders/{order_id}/messages/{message_id}/redact",
    operation_id="redactMessage",
    summary="Take a text out, for good (administrators)",
    status_code=200,
    response_model=Message,
    responses=described.write(404, done={200: Message}),
    openapi_extra=described.takes(Redaction, {"reason": "a card number"}, required=False),
)
async def redact_message(
    order_id: OrderIdInPath,
    message_id: MessageIdInPath,
    write: WriteRequest,
    parts: TheParts,
    redaction: Annotated[Redaction, json_body(Redaction, empty=Redaction())],
) -> Response:
    """The text goes; number, author and times stay."""
    caller = access.on_thread(write.caller, order_id)
    asked = MessageToRedact(order_id=order_id, caller=caller, message_id=message_id, reason=redaction.reason)
    heading = write.heading(f"message.redact {message_id}", order_id)
    return await parts.commands.answer(RedactMessage(**heading, data=asked), write)
