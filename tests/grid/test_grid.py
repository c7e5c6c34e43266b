"""The grid as tests, the half of its cells that every change must pass: one Parley for all of them, in their order."""

from collections.abc import AsyncIterator

import pytest

from tests.grid.cells import FAST, Cell, happen
from tests.grid.checks import check_everything
from tests.grid.stage import Stage, stage
from tests.servers.mongodb import SharedMongo
from tests.servers.rabbitmq import SharedRabbit


@pytest.fixture(scope="module")
async def running(
    rabbitmq_server: SharedRabbit, mongo_server: SharedMongo, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[Stage]:
    async with stage(rabbitmq_server, mongo_server, tmp_path_factory.mktemp("grid")) as on:
        yield on


@pytest.mark.parametrize("cell", FAST, ids=str)
async def test_a_fault_at_a_point_loses_nothing_and_doubles_nothing(cell: Cell, running: Stage) -> None:
    assert not (await happen(cell, running)).wrong


async def test_after_all_cells_every_invariant_holds(running: Stage) -> None:
    assert not await check_everything(running)
