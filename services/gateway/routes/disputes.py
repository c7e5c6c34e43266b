"""Disputes: how it stands, open, close."""

from typing import Annotated

from fastapi import APIRouter, Depends
from fastapi.responses import Response

from services.gateway import access, described
from services.gateway.auth import BearerToken, SignedInCaller
from services.gateway.bodies import json_body
from services.gateway.parameters import only_known
from services.gateway.parts import TheParts
from services.gateway.requests import DisputeClosing, NewDispute
from services.gateway.routes.paths import OrderIdInPath
from services.gateway.writes import IfMatch, WriteRequest
from shared.commands import CloseDispute, DisputeToClose, DisputeToOpen, OpenDispute
from shared.queries import DisputeView

router = APIRouter(prefix="/v1/orders/{order_id}/dispute", tags=["disputes"], dependencies=[Depends(only_known)])

OPEN_EXAMPLE = {"reason": "damaged", "text": "The pot came broken."}
CLOSE_EXAMPLE = {"outcome": "replaced", "note": "A new one is on its way."}


@router.get(
    "",
    operation_id="getDispute",
    summary="The thread's newest dispute",
    response_model=DisputeView,
    responses=described.question(etag="For `If-Match` and `If-None-Match`"),
)
async def get_dispute(
    order_id: OrderIdInPath, _caller: SignedInCaller, token: BearerToken, parts: TheParts
) -> Response:
    """With its `ETag`; 404 where there never was one."""
    return await parts.threads.ask(f"/v1/orders/{order_id}/dispute", token)


@router.post(
    "",
    operation_id="openDispute",
    summary="Open a dispute",
    status_code=201,
    response_model=DisputeView,
    responses=described.write(404, 412, done={200: DisputeView, 201: DisputeView}),
    openapi_extra=described.takes(NewDispute, OPEN_EXAMPLE),
)
async def open_dispute(
    order_id: OrderIdInPath,
    write: WriteRequest,
    parts: TheParts,
    dispute: Annotated[NewDispute, json_body(NewDispute)],
    if_match: IfMatch,
) -> Response:
    """By the customer, their guest or an administrator. Opening one that is open is the same dispute (200)."""
    caller = access.on_thread(write.caller, order_id)
    asked = DisputeToOpen(order_id=order_id, caller=caller, reason=dispute.reason, text=dispute.text, expected=if_match)
    return await parts.commands.answer(OpenDispute(**write.heading("dispute.open", order_id), data=asked), write)


@router.post(
    "/close",
    operation_id="closeDispute",
    summary="Close the open dispute",
    status_code=200,
    response_model=DisputeView,
    responses=described.write(404, 412, done={200: DisputeView}),
    openapi_extra=described.takes(DisputeClosing, CLOSE_EXAMPLE),
)
async def close_dispute(
    order_id: OrderIdInPath,
    write: WriteRequest,
    parts: TheParts,
    closing: Annotated[DisputeClosing, json_body(DisputeClosing)],
    if_match: IfMatch,
) -> Response:
    """By the customer, their guest or an administrator. `rejected` is the administrators' to say: 403 for the others. 409 where none is
    open; 412 where it is not the one in `If-Match`."""
    caller = access.on_thread(write.caller, order_id)
    asked = DisputeToClose(
        order_id=order_id, caller=caller, outcome=closing.outcome, note=closing.note, expected=if_match
    )
    return await parts.commands.answer(CloseDispute(**write.heading("dispute.close", order_id), data=asked), write)
