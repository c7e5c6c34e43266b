"""Commands that make no entry are applied side by side, and their group is done when all of them are."""

import asyncio
from typing import Any

import pytest
from prometheus_client import CollectorRegistry
from pymongo.errors import AutoReconnect

from services.threads.commit import Committer, Group
from services.threads.metrics import Metrics
from services.threads.work import Work
from tests.made import CUSTOMER, SELLER, mark_read
from tests.servers.pace import others_turn

NOT_USED: Any = None


class Finisher:
    async def finish(self, *_entries: object, **_named: object) -> None:
        """There are no entries."""


class Effects:
    """The first fails at once; the second fails when the test lets it."""

    def __init__(self) -> None:
        self.second_may_end = asyncio.Event()
        self.applied = 0

    async def apply(self, _command: object) -> None:
        self.applied += 1
        if self.applied == 1:
            raise AutoReconnect("the first")
        await self.second_may_end.wait()
        raise AutoReconnect("the second")


def _work(message: Any, who: Any) -> Work:
    return Work(message, mark_read(1, by=who), "digest")


async def test_a_group_with_an_effect_that_failed_ends_only_when_its_other_effects_have_ended() -> None:
    effects: Any = Effects()
    finisher: Any = Finisher()
    committer = Committer(
        log=NOT_USED,
        outcomes=NOT_USED,
        orders=NOT_USED,
        look_up=NOT_USED,
        states=NOT_USED,
        writer=NOT_USED,
        effects=effects,
        finisher=finisher,
        replies=NOT_USED,
        publisher=NOT_USED,
        metrics=Metrics(CollectorRegistry()),
    )
    group = Group(effects=[_work(NOT_USED, CUSTOMER), _work(NOT_USED, SELLER)])
    finishing = asyncio.create_task(committer.finish(group))
    while effects.applied < 2:
        await others_turn()
    for _ in range(10):
        await others_turn()
    assert not finishing.done()
    effects.second_may_end.set()
    with pytest.raises(AutoReconnect, match="the first"):
        await finishing
