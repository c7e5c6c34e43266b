"""The caller: who they are, what is new, what comes by mail; and what became of their writes."""

from typing import Annotated

from fastapi import APIRouter, Depends
from fastapi.responses import Response

from services.gateway import access, described
from services.gateway.auth import BearerToken, SignedInCaller
from services.gateway.bodies import json_body
from services.gateway.parameters import only_known
from services.gateway.parts import TheParts
from services.gateway.requests import ChosenOrderPreferences, ChosenPreferences
from services.gateway.routes.paths import CommandIdInPath, OrderIdInPath
from services.gateway.writes import WriteRequest
from shared.commands import CommandOutcome, PreferencesToSet, SetPreferences
from shared.contracts.contacts import SHOP_MAILBOX
from shared.errors import refuse
from shared.queries import Me, OrderPreferences, Preferences

router = APIRouter(prefix="/v1", tags=["persons"], dependencies=[Depends(only_known)])

EXAMPLE = {"mails": {"messages": True, "disputes": True}, "locale": "de"}


@router.get(
    "/me",
    operation_id="getMe",
    summary="Who the caller is, and the badges",
    response_model=Me,
    responses=described.question(of_order=False),
)
async def get_me(_caller: SignedInCaller, token: BearerToken, parts: TheParts) -> Response:
    return await parts.threads.ask("/v1/me", token)


@router.get(
    "/me/preferences",
    operation_id="getPreferences",
    summary="What the caller gets by mail",
    response_model=Preferences,
    responses=described.question(of_order=False),
)
async def get_preferences(_caller: SignedInCaller, token: BearerToken, parts: TheParts) -> Response:
    return await parts.threads.ask("/v1/me/preferences", token)


@router.put(
    "/me/preferences",
    operation_id="setPreferences",
    summary="Choose what comes by mail, and in which language",
    response_model=Preferences,
    responses=described.write(done={200: Preferences}),
    openapi_extra=described.takes(ChosenPreferences, EXAMPLE),
)
async def set_preferences(
    write: WriteRequest, parts: TheParts, chosen: Annotated[ChosenPreferences, json_body(ChosenPreferences)]
) -> Response:
    """What is left out stays as it is; `"locale": null` goes back to the order's language, `"time_zone": null` to the shop's. A seller's logins share one mailbox."""
    asked = _chosen(access.with_inbox(write.caller).mailbox, chosen)
    return await parts.commands.answer(SetPreferences(**write.heading("preferences.set"), data=asked), write)


@router.get(
    "/orders/{order_id}/preferences",
    operation_id="getOrderPreferences",
    summary="What the caller gets by mail about an order",
    response_model=OrderPreferences,
    responses=described.question(),
)
async def get_order_preferences(
    order_id: OrderIdInPath, signed_in: SignedInCaller, token: BearerToken, parts: TheParts
) -> Response:
    """`everywhere` is what comes about all other orders."""
    access.on_thread(signed_in.caller, order_id)
    return await parts.threads.ask(f"/v1/orders/{order_id}/preferences", token)


@router.put(
    "/orders/{order_id}/preferences",
    operation_id="setOrderPreferences",
    summary="Choose what comes by mail about an order",
    response_model=OrderPreferences,
    responses=described.write(404, done={200: OrderPreferences}),
    openapi_extra=described.takes(ChosenOrderPreferences, {"mails": {"messages": False}}),
)
async def set_order_preferences(
    order_id: OrderIdInPath,
    write: WriteRequest,
    parts: TheParts,
    chosen: Annotated[ChosenOrderPreferences, json_body(ChosenOrderPreferences)],
) -> Response:
    """Of this choice and those about all mails (`/v1/me/preferences`, the link in a mail) the newest decides. A seller's logins share one."""
    caller = access.on_thread(write.caller, order_id)
    mails = chosen.mails
    asked = PreferencesToSet(person=caller.mailbox, order_id=order_id, messages=mails.messages, disputes=mails.disputes)
    return await parts.commands.answer(
        SetPreferences(**write.heading("order_preferences.set", order_id), data=asked), write
    )


@router.get(
    "/shop/preferences",
    operation_id="getShopPreferences",
    summary="What the shop's mailbox gets by mail (administrators)",
    response_model=Preferences,
    responses=described.question(of_order=False),
)
async def get_shop_preferences(_caller: SignedInCaller, token: BearerToken, parts: TheParts) -> Response:
    return await parts.threads.ask("/v1/shop/preferences", token)


@router.put(
    "/shop/preferences",
    operation_id="setShopPreferences",
    summary="Choose what the shop's mailbox gets, and in which language (administrators)",
    response_model=Preferences,
    responses=described.write(done={200: Preferences}),
    openapi_extra=described.takes(ChosenPreferences, EXAMPLE),
)
async def set_shop_preferences(
    write: WriteRequest, parts: TheParts, chosen: Annotated[ChosenPreferences, json_body(ChosenPreferences)]
) -> Response:
    """The one mailbox (ADMIN_EMAIL) of all the shop's staff; `/v1/me/preferences` is about the threads that you watch yourself."""
    access.staff(write.caller)
    asked = _chosen(SHOP_MAILBOX, chosen)
    return await parts.commands.answer(SetPreferences(**write.heading("shop_preferences.set"), data=asked), write)


def _chosen(person: str, chosen: ChosenPreferences) -> PreferencesToSet:
    return PreferencesToSet(
        person=person,
        messages=chosen.mails.messages,
        disputes=chosen.mails.disputes,
        locale=chosen.locale,
        forget_locale="locale" in chosen.model_fields_set and chosen.locale is None,
        time_zone=chosen.time_zone,
        forget_time_zone=True if "time_zone" in chosen.model_fields_set and chosen.time_zone is None else None,
    )


@router.get(
    "/commands/{command_id}",
    tags=["commands"],
    operation_id="getCommand",
    summary="What became of a write",
    response_model=CommandOutcome,
    responses=described.question(),
)
async def get_command(
    command_id: CommandIdInPath, signed_in: SignedInCaller, token: BearerToken, parts: TheParts
) -> Response:
    """`accepted`, `done` with the result, `rejected` with the problem, or `parked`. Only its caller may ask."""
    if not parts.command_ids.belongs(command_id, signed_in.caller.key):
        raise refuse("not_found", "There is no such command of yours.")
    answer = await parts.threads.ask(f"/v1/commands/{command_id}", token)
    if answer.status_code != 404:
        return answer
    accepted = CommandOutcome(command_id=command_id, state="accepted", status=202)
    return Response(accepted.model_dump_json(), media_type="application/json")
