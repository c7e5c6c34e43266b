"""An order and what is written about it, with one field in all that is at an extreme; as threads reads both off the wire."""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final

from pydantic import BaseModel

from shared.callers import Caller
from shared.commands import COMMAND, CloseDispute, ImportMessage, MessageToImport, OpenDispute, PostMessage
from shared.fields import GIVEN
from shared.orders import ORDER_EVENT, OrderSnapshot, order_event
from tests.extremes import MOMENTS, variants
from tests.made import ADMIN, CUSTOMER, SELLER, close_dispute, new_id, open_dispute, post, snapshot

Document = dict[str, Any]
EntryCommand = PostMessage | OpenDispute | CloseDispute | ImportMessage

NOW: Final = datetime(2026, 11, 28, 9, 0, tzinfo=UTC)
# Whose order it is and who may do what is another test's; a message that is waited for, and a dispute that was seen, must be there.
NOT_FREE: Final = ("order_id", "caller", "after", "expected")


@dataclass(frozen=True)
class Case:
    name: str
    order: OrderSnapshot
    commands: tuple[EntryCommand, ...]


def cases() -> list[Case]:
    """Of every field of an order, and of every command that makes an entry."""
    close = close_dispute(by=ADMIN)  # who may close with every outcome
    commands: tuple[EntryCommand, ...] = (post("Hello", by=ADMIN), open_dispute(), close, _old_message())
    return [*_of_orders(), *(case for command in commands for case in _of_command(command))]


def _of_orders() -> Iterator[Case]:
    good = snapshot().model_dump(mode="json")
    for number, (place, content) in enumerate(variants(OrderSnapshot, good)):
        told = content if place == "order_id" else {**content, "order_id": f"order-{number}"}
        event = order_event(OrderSnapshot.model_validate_json(json.dumps(told), strict=True), source="shop", now=NOW)
        order = ORDER_EVENT.validate_json(event.model_dump_json(exclude_none=True), context=GIVEN).data
        yield Case(
            f"{place} of {order.order_id}", order, (post("Hello", by=_who_sells(order), order_id=order.order_id),)
        )


def _who_sells(order: OrderSnapshot) -> Caller:
    return ADMIN if order.seller is None else SELLER.model_copy(update={"seller_id": order.seller.id})


def _of_command(command: EntryCommand) -> Iterator[Case]:
    kind, good = type(command), command.model_dump(mode="json")
    data: type[BaseModel] = type(command.data)
    contents = [(place, {**good, "data": content}) for place, content in variants(data, good["data"], without=NOT_FREE)]
    contents += [(f"time {moment}", {**good, "time": moment}) for moment in MOMENTS]
    for number, (place, content) in enumerate(contents):
        order = snapshot(f"{kind.__name__}-{number}")
        first = (open_dispute(order_id=order.order_id),) if isinstance(command, CloseDispute) else ()
        yield Case(f"{place} of {order.order_id}", order, (*first, _about(order, content)))


def _about(order: OrderSnapshot, content: Document) -> EntryCommand:
    told = {**content, "id": new_id(), "data": {**content["data"], "order_id": order.order_id}}
    command = COMMAND.validate_json(json.dumps(told))
    assert isinstance(command, PostMessage | OpenDispute | CloseDispute | ImportMessage)
    return command


def _old_message() -> ImportMessage:
    like = post("Hello")
    data = MessageToImport(
        order_id="1042",
        caller=Caller(role="service", id="erp", name="ERP"),
        author={"side": "customer", "person": CUSTOMER.person, "name": "Ada"},
        text="Old",
        written_at=datetime(2025, 12, 24, 18, 0, tzinfo=UTC),
    )
    return ImportMessage(id=like.id, stamp=like.stamp, time=like.time, data=data)
