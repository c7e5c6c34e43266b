"""Orders: the list, one order, and order snapshots from the shop's services."""

from typing import Annotated

from fastapi import APIRouter, Depends, Query
from fastapi.responses import Response

from services.gateway import access, described
from services.gateway.auth import BearerToken, SignedInCaller
from services.gateway.bodies import MAX_ORDER_BYTES, json_body
from services.gateway.commands import intake_path
from services.gateway.parameters import only_known
from services.gateway.parts import TheParts
from services.gateway.problems import invalid_fields
from services.gateway.requests import OrdersQuery
from services.gateway.results import OrderDecided
from services.gateway.routes.paths import OrderIdInPath, OrderVersionInPath
from services.gateway.writes import WriteRequest
from shared.errors import FieldError
from shared.orders import OrderSnapshot, SoldOrder
from shared.queries import OrderIntake, OrderView, ThreadPage

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
    "updated_at": "2026-01-31T09:05:00.250Z",
}


@router.get(
    "",
    operation_id="listOrders",
    summary="The caller's orders, newest first",
    response_model=ThreadPage,
    responses=described.question(of_order=False, in_pages=True),
)
async def list_orders(
    query: Annotated[OrdersQuery, Query()], _caller: SignedInCaller, token: BearerToken, parts: TheParts
) -> Response:
    """My account > Orders. `filter`: `unread`, `with_messages` or `disputed` only. `q` searches order numbers, names and texts for all its words."""
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
    status_code=200,
    response_model=OrderDecided,
    responses=described.order_write(OrderDecided),
    openapi_extra=described.takes(OrderSnapshot, EXAMPLE),
)
async def put_order(
    order_id: OrderIdInPath,
    write: WriteRequest,
    parts: TheParts,
    snapshot: Annotated[OrderSnapshot, json_body(OrderSnapshot, limit_bytes=MAX_ORDER_BYTES)],
) -> Response:
    """For shops that do not speak AMQP: the whole order as it now is. It stands if its `version` is the highest so far.

    409 where the version stands with other content (`version_conflict`: send the change with a higher version, or a newer `updated_at`),
    or where the order would change hands (`parties_changed`). May be repeated: a copy is answered as the first time.
    """
    access.service(write.caller)
    if snapshot.order_id != order_id:
        raise invalid_fields([FieldError(field="order_id", message="must be the order number in the path")])
    return await parts.commands.answer_order(SoldOrder.of(snapshot, shop=parts.settings.shop), write)


@router.get(
    "/{order_id}/intake/{version}",
    operation_id="getOrderIntake",
    summary="What became of a version of an order (services)",
    response_model=OrderIntake,
    responses=described.question(of_order=False),
)
async def get_order_intake(
    order_id: OrderIdInPath,
    version: OrderVersionInPath,
    signed_in: SignedInCaller,
    token: BearerToken,
    parts: TheParts,
) -> Response:
    """`stands`, `superseded`, `refused` with the reason, or `unknown`: where a `PUT` was answered 202, and for what came over AMQP."""
    access.service(signed_in.caller)
    return await parts.threads.ask(intake_path(order_id, version), token)
