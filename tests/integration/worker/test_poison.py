"""A command that kills the process, or meets a defect, takes no innocent neighbour along."""

import asyncio
from typing import Any

import pytest
from pymongo import AsyncMongoClient

from shared import topology
from tests.faults.poison import KILLS, RAISES, RAISES_FOR_ALL
from tests.integration.worker.wire import Wire
from tests.made import post, snapshot
from tests.servers.parley import Parley
from tests.servers.waiting import eventually

DEAD = topology.dead_queue(topology.COMMANDS_QUEUE)
Document = dict[str, Any]


async def _stored(client: AsyncMongoClient[Document], parley: Parley) -> list[str]:
    entries = client[parley.database_names["threads"]]["entries"]
    return [entry["text"] for entry in await entries.find().to_list()]


async def test_only_the_command_that_kills_the_process_is_dead(
    parley: Parley, wire: Wire, mongo_client: AsyncMongoClient[Document], capsys: pytest.CaptureFixture[str]
) -> None:
    parley.start("threads")
    await parley.ready()
    for number in range(10):
        await wire.order(snapshot(f"o-{number}"))
    await wire.ask(post("known", order_id="o-0"))
    parley.services["threads"].stop()
    texts = [f"innocent {number}" for number in range(300)]
    texts[150:150] = [KILLS]
    for number, text in enumerate(texts):
        await wire.send(post(text, order_id=f"o-{number % 10}"))

    worker = parley.add("threads", label="poisoned", module="tests.faults.poison").start()
    restarts = 0

    async def settled() -> bool:
        nonlocal restarts
        if not worker.is_running:
            restarts += 1
            worker.start()
        return await parley.vhost.depth(DEAD) == 1 and await parley.vhost.depth(topology.COMMANDS_QUEUE) == 0

    await eventually(settled, timeout_s=120)
    await eventually(lambda: _has(mongo_client, parley, 301), timeout_s=60)
    assert sorted(await _stored(mongo_client, parley)) == sorted(["known", *(text for text in texts if text != KILLS)])
    [letter] = await parley.vhost.take_all(DEAD)
    deaths: Any = letter.headers["x-death"]
    assert deaths[0]["reason"] == "delivery_limit"
    with capsys.disabled():
        print(
            f"\na command that kills its worker, among 300 innocent ones: {restarts} restarts, 1 dead letter, 300 stored"
        )


async def _has(client: AsyncMongoClient[Document], parley: Parley, count: int) -> bool:
    return len(await _stored(client, parley)) == count


@pytest.mark.parametrize("defect", [RAISES, RAISES_FOR_ALL])
async def test_only_the_commands_that_meet_a_defect_are_parked(
    parley: Parley, wire: Wire, mongo_client: AsyncMongoClient[Document], defect: str
) -> None:
    parley.add("threads", module="tests.faults.poison").start()
    await parley.ready()
    await wire.order(snapshot())
    commands = [post(defect if number % 50 == 25 else f"innocent {number}") for number in range(200)]
    await asyncio.gather(*(wire.send(command) for command in commands))
    await wire.until(lambda: all(command.id in wire.replies for command in commands), timeout_s=60)
    states = {command.id: wire.replies[command.id][0].state for command in commands}
    broken = {command.id for command in commands if command.data.text == defect}
    assert {each for each, state in states.items() if state == "parked"} == broken
    letters = await parley.vhost.take_all(DEAD)
    assert {letter.headers["x-parley-reason"] for letter in letters} == {"defect"}
    assert all("RuntimeError: a defect" in str(letter.headers["x-parley-detail"]) for letter in letters)
    assert len(letters) == len(broken)
    assert len(await _stored(mongo_client, parley)) == 200 - len(broken)
