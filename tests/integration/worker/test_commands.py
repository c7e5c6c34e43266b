"""Commands through a real worker: committed once, announced once, answered as the first time."""

from tests.integration.worker.wire import (
    CUSTOMER,
    OTHER_CUSTOMER,
    SELLER,
    Wire,
    close_dispute,
    mark_read,
    open_dispute,
    post,
    snapshot,
)
from tests.servers.parley import Parley


async def test_a_post_is_stored_announced_and_answered(parley: Parley, wire: Wire) -> None:
    parley.start("threads")
    await parley.ready()
    await wire.order(snapshot())
    answer = await wire.ask(post("Where is my lamp?"))
    assert (answer.state, answer.status) == ("done", 201)
    assert answer.result is not None
    assert (answer.result["seq"], answer.result["text"], answer.result["mine"]) == (1, "Where is my lamp?", True)
    await wire.until(lambda: bool(wire.event_ids()) and bool(wire.notifications))
    assert wire.notifications[0]["data"]["recipients"][0]["email"] == "seller@example.com"
