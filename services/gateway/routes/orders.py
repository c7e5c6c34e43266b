"""Orders: the list, one order, and order snapshots from the shop's services."""

from typing import Annotated

from fastapi import APIRouter, Depends, Query
from fastapi.responses import JSONResponse, Response

from services.gateway import access, described
from services.gateway.auth import BearerToken, SignedInCaller
from services.gateway.bodies import MAX_ORDER_BYTES, json_body
from services.gateway.parameters import only_known
from services.gateway.parts import TheParts
from services.gateway.problems import invalid_fields
from services.gateway.requests import OrdersQuery
from services.gateway.results import OrderTaken
from services.gateway.routes.paths import OrderIdInPath
from services.gateway.writes import WriteRequest
from shared.errors import FieldError
from shared.orders import OrderSnapshot
from shared.queries import OrderView, ThreadPage

router = APIRouter(prefix="/v1/orders", tags=["orders"], dependencies=[Depends(only_known)])

EXAMPLE = {
    "order_id": "1042",
    "version": 1,
    "status": "placed",
    "placed_at": "2026-01-31T09:05:00Z",
    "url": "https://shop.example/orders/1042",
    "customer": {"id": "c-7", "name": "Ada Byron", "email": "ada@example.com", "locale": "en", "guest": False},
    "seller": {"id": "s-1", "name": "Tea House", "email": "tea@example.com", "locale": "en"},
    "items": [{"sku": "TEA-1", "name": "Green tea", "quantity": 2, "price": "19.90"}],
    "total": "39.80",
    "currency": "EUR",
}


@router.get(
    "",
    operation_id="listOrders",
    summary="The caller's orders, newest first",
    response_model=ThreadPage,
    responses=described.question(of_order=False),
)
async def list_orders(
    query: Annotated[OrdersQuery, Query()], _caller: SignedInCaller, token: BearerToken, parts: TheParts
) -> Response:
    """My account > Orders. `filter`: `unread`, `with_messages` or `disputed` only. `q` searches order numbers, names and texts."""
    return await parts.threads.ask("/v1/orders", token, query=query)


@router.get(
    "/{order_id}",
    operation_id="getOrder",
    summary="One order with its thread",
    response_model=OrderView,
    responses=described.question(),
)
async def get_order(order_id: OrderIdInPath, _caller: SignedInCaller, token: BearerToken, parts: TheParts) -> Response:
    """The order's last snapshot, its thread's summary, and what the caller may do to it (`available_actions`)."""
    return await parts.threads.ask(f"/v1/orders/{order_id}", token)


@router.put(
    "/{order_id}",
    operation_id="putOrder",
    summary="Publish an order snapshot (services)",
    status_code=202,
    response_model=OrderTaken,
    responses=described.problems(401, 403, 408, 413, 415, 422, 503),
    openapi_extra=described.takes(OrderSnapshot, EXAMPLE),
)
async def put_order(
    order_id: OrderIdInPath,
    write: WriteRequest,
    parts: TheParts,
    snapshot: Annotated[OrderSnapshot, json_body(OrderSnapshot, limit_bytes=MAX_ORDER_BYTES)],
) -> Response:
    """For shops that do not speak AMQP: publishes the snapshot as an order event. It counts if its `version` is the highest so far."""
    access.service(write.caller)
    if snapshot.order_id != order_id:
        raise invalid_fields([FieldError(field="order_id", message="must be the order number in the path")])
    await parts.commands.publish_order(snapshot, write)
    taken = OrderTaken(order_id=snapshot.order_id, version=snapshot.version)
    return JSONResponse(taken.model_dump(), status_code=202)
