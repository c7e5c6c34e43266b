"""Which snapshot stands, in MongoDB: by value, by source time, and what release 0.1 stored."""

from datetime import UTC, datetime
from typing import Any

import pytest
from pymongo.asynchronous.database import AsyncDatabase

from services.threads import rebuild
from services.threads.order_versions import OrderRefused
from services.threads.orders import Kept, Orders
from services.threads.projection import Projection
from shared.orders import OrderSnapshot
from tests.made import snapshot

Store = AsyncDatabase[dict[str, Any]]
EARLIER, LATER = "2026-01-31T09:05:00.000000+00:00", "2026-01-31T09:05:01.000000+00:00"
COPY, NEW, OLD = Kept(stands=True, is_new=False), Kept(stands=True, is_new=True), Kept(stands=False, is_new=False)


def _spelled_otherwise() -> OrderSnapshot:
    order = snapshot()
    fields = order.model_dump(mode="json") | {"placed_at": "2026-11-01T10:30:00+01:00", "total": "39.8"}
    fields["items"][0]["price"] = "19.9000"
    return OrderSnapshot.model_validate(fields)


async def test_the_same_order_spelled_otherwise_is_a_copy(store: Store) -> None:
    orders = Orders(store)
    assert await orders.keep(snapshot()) == NEW
    assert await orders.keep(_spelled_otherwise()) == COPY


async def test_an_order_of_the_release_before_is_compared_by_value(store: Store) -> None:
    """0.1 kept a digest of the spelling alone, and workers of it compare that one."""
    orders = Orders(store)
    await orders.keep(snapshot())
    await store["orders"].update_one({"_id": "1042"}, {"$unset": {"value_digest": "", "source_time": ""}})
    stored = await store["orders"].find_one({"_id": "1042"})
    assert stored is not None
    assert stored["digest"] == "a38227cf2182e950cb4f2ea72b6fb3dc"
    assert await orders.keep(_spelled_otherwise()) == COPY
    with pytest.raises(OrderRefused):
        await orders.keep(snapshot(status="shipped"), source_time=LATER)
    assert await orders.keep(snapshot(version=2), source_time=LATER) == NEW


async def test_of_one_version_the_newer_source_time_is_kept_and_shown(store: Store) -> None:
    orders, projection = Orders(store), Projection(store)
    said = {EARLIER: snapshot(status="placed"), LATER: snapshot(status="paid")}
    mails = []
    for time, order in said.items():
        assert await orders.keep(order, source_time=time) == NEW
        parties = (await orders.parties(["1042"])).values()
        mails.append((await orders.for_mail(parties))["1042"].snapshot.status)
    assert mails == ["placed", "paid"]
    assert await orders.keep(said[EARLIER], source_time=EARLIER) == OLD
    for time in (LATER, EARLIER):  # the slower of two workers
        await projection.write_order(said[time], source_time=time)
    thread = await store["threads"].find_one({"_id": "1042"})
    assert thread is not None
    assert thread["order"]["status"] == "paid"
    assert (await rebuild.differences(store)).orders == []


async def test_a_time_that_is_no_more_said_goes_from_the_projection_with_its_version(store: Store) -> None:
    orders, projection = Orders(store), Projection(store)
    for order, time in ((snapshot(), LATER), (snapshot(version=2), None)):
        await orders.keep(order, source_time=time)
        await projection.write_order(order, source_time=time)
    assert (await rebuild.differences(store)).orders == []


async def test_a_stored_order_has_no_field_that_the_release_before_refuses(store: Store) -> None:
    await Orders(store).keep(snapshot().model_copy(update={"updated_at": datetime(2026, 2, 1, tzinfo=UTC)}))
    stored = await store["orders"].find_one({"_id": "1042"})
    assert stored is not None
    assert "updated_at" not in stored["snapshot"]
