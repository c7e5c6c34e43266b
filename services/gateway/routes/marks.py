"""Read marks and watches: what a person has seen, and which threads an administrator follows."""

from typing import Annotated, assert_never

from fastapi import APIRouter, Depends
from fastapi.responses import Response

from services.gateway import access, described
from services.gateway.bodies import json_body
from services.gateway.parameters import only_known
from services.gateway.parts import Parts, TheParts
from services.gateway.requests import AllThreadsRead, ReadMark, ReadMarks, SomeThreadsRead
from services.gateway.results import MarkResult, MarksResult, WatchResult
from services.gateway.routes.paths import OrderIdInPath
from services.gateway.writes import Write, WriteRequest
from shared.commands import (
    MarkRead,
    MarksToSet,
    MarkThreadsRead,
    MarkToSet,
    ThreadMark,
    WatchThread,
    WatchToSet,
)
from shared.fields import OrderId

router = APIRouter(prefix="/v1", tags=["marks"], dependencies=[Depends(only_known)])


@router.put(
    "/orders/{order_id}/read",
    operation_id="markRead",
    summary="Set the caller's read mark",
    response_model=MarkResult,
    responses=described.write(404, done={200: MarkResult}),
    openapi_extra=described.takes(ReadMark, {"up_to_seq": 12}),
)
async def mark_read(
    order_id: OrderIdInPath, write: WriteRequest, parts: TheParts, mark: Annotated[ReadMark, json_body(ReadMark)]
) -> Response:
    """Read up to and including `up_to_seq`; 0 marks the thread unread. Of two marks the one accepted later counts."""
    caller = access.on_thread(write.caller, order_id)
    asked = MarkToSet(order_id=order_id, caller=caller, up_to_seq=mark.up_to_seq)
    return await parts.commands.answer(MarkRead(**write.heading("thread.read", order_id), data=asked), write)


@router.post(
    "/threads/read",
    operation_id="markThreadsRead",
    summary="Set the caller's read marks in several threads, or in all",
    response_model=MarksResult,
    responses=described.write(404, done={200: MarksResult}),
    openapi_extra=described.takes(ReadMarks, {"threads": [{"order_id": "1042", "up_to_seq": 12}]}),
)
async def mark_threads_read(
    write: WriteRequest, parts: TheParts, marks: Annotated[ReadMarks, json_body(ReadMarks)]
) -> Response:
    """`{"threads": […]}` (up to 100, each once) or `{"all": true}`. A thread that is not the caller's is named, the others are marked; none of
    them theirs is 404. All of a large inbox takes a while, and is `accepted` until the last thread is marked; 409 while one such request
    for this inbox is being worked on."""
    access.with_inbox(write.caller)
    asked = _marks(marks, write)
    return await parts.commands.answer(MarkThreadsRead(**write.heading("threads.read"), data=asked), write)


def _marks(marks: ReadMarks, write: Write) -> MarksToSet:
    match marks.root:
        case AllThreadsRead():
            return MarksToSet(caller=write.caller, all_threads=True)
        case SomeThreadsRead(threads=threads):
            chosen = tuple(ThreadMark(order_id=mark.order_id, up_to_seq=mark.up_to_seq) for mark in threads)
            return MarksToSet(caller=write.caller, threads=chosen)
        case _:
            assert_never(marks.root)


@router.put(
    "/orders/{order_id}/watch",
    operation_id="watchThread",
    summary="Watch a thread (administrators)",
    response_model=WatchResult,
    responses=described.write(404, done={200: WatchResult}, body=False),
)
async def watch(order_id: OrderIdInPath, write: WriteRequest, parts: TheParts) -> Response:
    """Its mails come to the address in the caller's token."""
    return await _watch(order_id, write, parts, watching=True)


@router.delete(
    "/orders/{order_id}/watch",
    operation_id="unwatchThread",
    summary="Stop watching a thread (administrators)",
    response_model=WatchResult,
    responses=described.write(404, done={200: WatchResult}, body=False),
)
async def unwatch(order_id: OrderIdInPath, write: WriteRequest, parts: TheParts) -> Response:
    return await _watch(order_id, write, parts, watching=False)


async def _watch(order_id: OrderId, write: Write, parts: Parts, *, watching: bool) -> Response:
    caller = access.on_thread(write.caller, order_id)
    signed_in = write.signed_in
    asked = WatchToSet(
        order_id=order_id,
        caller=caller,
        watching=watching,
        email=signed_in.email if watching else None,
        locale=signed_in.locale or "en",
    )
    heading = write.heading("thread.watch" if watching else "thread.unwatch", order_id)
    return await parts.commands.answer(WatchThread(**heading, data=asked), write)
