"""Publishing where the exact moment matters: a broker that answers late, not at all, or with a return."""

import asyncio
from collections.abc import AsyncIterator

import pytest

from shared import pipeline
from shared.groups import GroupPublisher
from shared.publishing import NotPublished, Outgoing, PublishUnknown, Unroutable
from tests.servers.pace import others_turn
from tests.servers.waiting import eventually
from tests.unit.shared.broker import Broker

SLOTS = 4


@pytest.fixture
def broker() -> Broker:
    return Broker()


@pytest.fixture
async def publisher(broker: Broker) -> AsyncIterator[GroupPublisher]:
    async with broker.serving() as url:
        publisher = GroupPublisher(url, name="test", in_flight=SLOTS)
        await publisher.connected()
        yield publisher
        await publisher.close()


def message(
    name: str, *, body: bytes = b"{}", exchange: str = "parley.events", mandatory: bool = True, reply_to: str = "r"
) -> Outgoing:
    return Outgoing(exchange, "message.posted", body, message_id=name, mandatory=mandatory, reply_to=reply_to)


async def arrived(broker: Broker, count: int) -> None:
    await eventually(lambda: len(broker.published) == count, what=f"{count} publishes")


async def test_a_message_that_amqp_cannot_say_leaves_the_confirms_of_the_others_where_they_belong(
    broker: Broker, publisher: GroupPublisher
) -> None:
    await publisher.publish(message("first"))
    with pytest.raises(ValueError, match="range"):
        await publisher.publish(message("unsayable", reply_to="x" * 256))
    with pytest.raises(ValueError, match="do not fit into a frame"):
        await publisher.publish(Outgoing("e", "k", b"{}", message_id="large", headers={"x": "y" * 140_000}))
    broker.on_publish = lambda each: broker.give_back(each) if each.message_id == "third" else broker.confirm(each)
    answers = await asyncio.gather(
        *(publisher.publish(message(name)) for name in ("second", "third", "fourth")), return_exceptions=True
    )
    assert [type(answer) for answer in answers] == [type(None), Unroutable, type(None)]
    assert broker.ids == ["first", "second", "third", "fourth"]


async def test_whoever_waits_for_a_turn_has_no_second_deadline_for_the_confirm(
    broker: Broker, publisher: GroupPublisher, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock = Clock(monkeypatch)
    broker.on_publish = broker.leave
    first = [asyncio.create_task(publisher.publish(message(f"{n}"), deadline_s=10)) for n in range(SLOTS)]
    await arrived(broker, SLOTS)
    waits = asyncio.create_task(publisher.publish(message("waits"), deadline_s=10))
    await others_turn()
    clock.pass_by(7)
    broker.confirm(broker.published[0])
    await eventually(lambda: broker.ids[-1] == "waits", what="its turn")
    assert [task.done() for task in first] == [True, False, False, False]
    clock.pass_by(3.1)
    results = await asyncio.gather(waits, *first[1:], return_exceptions=True)
    assert {type(result) for result in results} == {PublishUnknown}


async def test_where_no_turn_comes_nothing_is_sent(
    broker: Broker, publisher: GroupPublisher, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock = Clock(monkeypatch)
    broker.on_publish = broker.leave
    first = [asyncio.create_task(publisher.publish(message(f"{n}"), deadline_s=20)) for n in range(SLOTS)]
    await arrived(broker, SLOTS)
    waits = asyncio.create_task(publisher.publish(message("waits"), deadline_s=10))
    await others_turn()
    clock.pass_by(8.1)
    with pytest.raises(NotPublished):
        await waits
    for published in broker.published:
        broker.confirm(published)
    assert await asyncio.gather(*first) == [None] * SLOTS
    assert "waits" not in broker.ids


async def test_a_late_answer_finds_its_message_and_disturbs_nobody(broker: Broker, publisher: GroupPublisher) -> None:
    broker.on_publish = broker.leave
    for count, name in enumerate(("late return", "late confirm"), start=1):
        with pytest.raises(PublishUnknown):
            await publisher.publish(message(name), deadline_s=0.001)
        await arrived(broker, count)
    broker.give_back(broker.published[0])
    broker.confirm(broker.published[1])
    broker.on_publish = broker.confirm
    await publisher.publish(message("next"))
    await publisher.publish(message("late return"))
    assert broker.ids == ["late return", "late confirm", "next", "late return"]


async def test_two_messages_with_one_id_are_told_apart_when_both_come_back(
    broker: Broker, publisher: GroupPublisher
) -> None:
    broker.on_publish = broker.give_back
    copies = [message("same", body=body) for body in (b"1", b"2", b"3")]
    answers = await asyncio.gather(*(publisher.publish(copy) for copy in copies), return_exceptions=True)
    assert [type(answer) for answer in answers] == [Unroutable] * 3
    assert [published.body for published in broker.published] == [b"1", b"2", b"3"]


async def test_a_second_message_with_one_id_goes_out_when_the_first_is_answered(
    broker: Broker, publisher: GroupPublisher
) -> None:
    broker.on_publish = broker.leave
    first = asyncio.create_task(publisher.publish(message("same", body=b"1")))
    await arrived(broker, 1)
    second = asyncio.create_task(publisher.publish(message("same", body=b"2")))
    unsaid = await publisher.publish_group([message("same", exchange="another")], deadline_s=10)
    assert (len(broker.published), unsaid) == (1, [False])
    broker.on_publish = broker.confirm
    broker.confirm(broker.published[0])
    await asyncio.gather(first, second)
    assert [published.body for published in broker.published] == [b"1", b"2"]


async def test_copies_of_a_group_on_its_way_are_not_sent_again_and_have_the_same_answer(
    broker: Broker, publisher: GroupPublisher
) -> None:
    broker.on_publish = broker.leave
    group = [message("one"), message("two"), message("reply", mandatory=False)]
    worker = asyncio.create_task(publisher.publish_group(group, deadline_s=10))
    await arrived(broker, 3)
    sweeper = asyncio.create_task(publisher.publish_group(group, deadline_s=10))
    await arrived(broker, 4)
    for published in broker.published:
        if published.message_id == "one":
            broker.give_back(published)
        else:
            broker.confirm(published)
    assert (await worker, await sweeper) == ([False, True, True], [False, True, True])
    assert broker.ids == ["one", "two", "reply", "reply"]


async def test_an_answer_that_is_lost_holds_a_message_up_only_for_a_while(
    broker: Broker, publisher: GroupPublisher, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pipeline, "LOST_AFTER_S", 0.0)
    broker.on_publish = broker.leave
    assert await publisher.publish_group([message("one")], deadline_s=0.001) == [False]
    await arrived(broker, 1)
    broker.on_publish = broker.confirm
    assert await publisher.publish_group([message("one")], deadline_s=10) == [True]
    await publisher.publish(message("one"))
    assert broker.ids == ["one"] * 3


async def test_nothing_more_is_sent_while_rabbitmq_says_that_it_takes_nothing(
    broker: Broker, publisher: GroupPublisher
) -> None:
    async def is_refused() -> bool:
        try:
            await publisher.publish(message("probe"))
        except NotPublished:
            return True
        return False

    broker.block()
    await eventually(is_refused)
    sent = len(broker.published)
    for _ in range(100):
        with pytest.raises(NotPublished):
            await publisher.publish_group([message("event")], deadline_s=10)
    broker.unblock()

    async def is_taken() -> bool:
        return not await is_refused()

    await eventually(is_taken)
    assert len(broker.published) == sent + 1


async def test_what_rabbitmq_owes_an_answer_to_has_a_limit(
    broker: Broker, publisher: GroupPublisher, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pipeline, "MAX_UNANSWERED_BYTES", 10_000)
    broker.on_publish = broker.leave

    async def is_refused(name: str, *, within_s: float) -> bool:
        try:
            await publisher.publish_group([message(name, body=b"x" * 1_000)], deadline_s=within_s)
        except NotPublished:
            return True
        return False

    refused = [await is_refused(f"{number}", within_s=0.001) for number in range(20)]
    assert refused == [False] * 7 + [True] * 13
    await arrived(broker, 7)
    broker.on_publish = broker.confirm
    for published in broker.published:
        broker.confirm(published)

    async def is_taken() -> bool:
        return not await is_refused("more", within_s=10)

    await eventually(is_taken)
    assert broker.ids == [*(f"{number}" for number in range(7)), "more"]


class Clock:
    """The running loop's clock, which can be put forward: timers that are due by then are due now."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        loop = asyncio.get_running_loop()
        self._ahead_s, true_time = 0.0, loop.time
        monkeypatch.setattr(loop, "time", lambda: true_time() + self._ahead_s)

    def pass_by(self, seconds: float) -> None:
        self._ahead_s += seconds
