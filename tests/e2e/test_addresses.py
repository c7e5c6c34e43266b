"""Addresses that change a hundred times while their mails gather, wait, are leased and in transmission, and notifiers are killed."""

import asyncio
import itertools
import signal
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import pytest

from shared.orders import Customer, Seller
from tests.e2e.client import Client
from tests.e2e.moments import Judgement, judge
from tests.faults import notifier as points
from tests.grid.stage import Stage, stage
from tests.made import snapshot
from tests.servers.mongodb import SharedMongo
from tests.servers.oplog import writes
from tests.servers.pace import lasting
from tests.servers.rabbitmq import SharedRabbit
from tests.servers.smtp import AFTER_DOT
from tests.servers.waiting import eventually

CHANGES: Final = 100
ORDERS: Final = ("moments-1", "moments-2", "moments-3")
SERVER_AWAY: Final = range(20, 32)
SERVER_SILENT: Final = range(60, 66)
STEP_S: Final = 0.35


@dataclass
class People:
    """Where the mails of the thread's people go; each change is the next version of the order, or another watch."""

    stage: Stage
    order_id: str
    versions: Iterator[int] = field(default_factory=lambda: itertools.count(1))
    customer: str | None = "ada-first@example.com"
    seller: str | None = "shop-first@example.com"

    async def say(self) -> None:
        await self.stage.clients.put_order(
            snapshot(
                self.order_id,
                version=next(self.versions),
                customer=Customer(id="c-7", name="Ada", email=self.customer),
                seller=Seller(id="s-1", name="Fine Things", email=self.seller),
            )
        )

    async def change(self, number: int) -> None:
        """Corrected, erased every seventh time, and every ninth back to one that was there before."""
        self.customer = f"ada-{number}@example.com"
        if number % 7 == 6:
            self.customer = None
        elif number % 9 == 8:
            self.customer = f"ada-{number - 4}@example.com"
        if number % 10 == 5:
            self.seller = None if number % 20 == 5 else f"shop-{number}@example.com"
        await self.say()
        if number % 10 == 0:
            await self.watch(f"staff-{number}@example.com")

    async def watch(self, email: str) -> None:
        admin = self.stage.clients.with_token(self.stage.parley.mint.mint("admin", "a-1", name="Grace", email=email))
        answer = await admin.call("PUT", f"/v1/orders/{self.order_id}/watch")
        assert answer.status in (200, 202), answer


@dataclass
class Faults:
    """What happens to the notifiers and to the mail server meanwhile."""

    stage: Stage
    kills: int = 0
    points: Iterator[str] = field(default_factory=lambda: itertools.cycle(points.NAMES))

    async def happen(self, number: int) -> None:
        smtp = self.stage.parley.smtp
        if number == SERVER_AWAY.start:
            smtp.stop()
        if number == SERVER_AWAY.stop:
            smtp.start()
        if number == SERVER_SILENT.start:
            smtp.pause()
        if number == SERVER_SILENT.stop:
            smtp.resume()
        if number % 12 == 3:
            smtp.drop_data(AFTER_DOT)
        if number % 13 == 5:
            smtp.answer_data("451 4.3.0 later", times=2)
        if number % 5 == 1:
            self.stage.orders["notifier"].give(next(self.points), "kill -9")
        if number % 16 == 15:
            self._kill(self.stage.pair("notifier")[number // 16 % 2].pid)
        self.restart()

    def restart(self) -> None:
        for process in self.stage.pair("notifier"):
            if not process.is_running:
                self.kills += process.exit_status == -signal.SIGKILL
                process.start()

    def _kill(self, pid: int) -> None:
        for process in self.stage.pair("notifier"):
            if process.pid == pid and process.is_running:
                process.kill()


async def _post(author: Client, order_id: str, text: str) -> str:
    """The entry's id, once its answer is definite."""
    ids: list[str] = []

    async def accepted() -> bool:
        answer = await author.post(text, order_id=order_id, Idempotency_Key=text.replace(" ", "-"))
        if answer.status in (201, 202):
            ids.append(str(answer.body["id" if answer.status == 201 else "command_id"]))
        return bool(ids)

    await eventually(accepted, timeout_s=40, what=f"an answer to {text}")
    return ids[0]


async def _step(people: People, number: int, expected: dict[tuple[str, str], str]) -> None:
    """A message, and at once another address. Whoever it finds without one is mailed nothing about it."""
    by_seller = number % 3 != 2
    text = f"message number {number} about {people.order_id}."
    addressed = people.customer if by_seller else people.seller
    author = people.stage.clients.seller() if by_seller else people.stage.clients.customer()
    entry_id = await _post(author, people.order_id, text)
    expected[entry_id, "admin:a-1"] = text
    if addressed is not None:
        expected[entry_id, "customer:c-7" if by_seller else "seller:s-1"] = text
    await people.change(number)


async def _run(on: Stage) -> tuple[Faults, dict[tuple[str, str], str]]:
    """The hundred changes in each of the threads; which entries are to be taken for whom."""
    everybody, faults = [People(on, order_id) for order_id in ORDERS], Faults(on)
    expected: dict[tuple[str, str], str] = {}
    for people in everybody:
        await people.say()
        await people.watch("staff-first@example.com")
    for number in range(CHANGES):
        await asyncio.gather(
            faults.happen(number), *(_step(people, number, expected) for people in everybody), lasting(STEP_S)
        )
    on.orders["notifier"].withdraw()
    on.parley.smtp.behave()
    faults.restart()
    await on.all_run()
    return faults, expected


async def _mails(on: Stage) -> list[dict[str, Any]]:
    return await on.notifier["mails"].find().to_list()


async def _judged(on: Stage, expected: dict[tuple[str, str], str]) -> Judgement:
    async def at_rest() -> bool:
        unfinished = await on.threads["entries"].count_documents({"unfinished": True})
        mails = await _mails(on)
        taken = sum(len(mail["taken"]) for mail in mails)
        return not unfinished and taken >= len(expected) and not any(mail.get("alive") for mail in mails)

    await eventually(at_rest, timeout_s=90, what="every mail being at rest")
    made = await writes(on.notifier.client, on.notifier.name)
    return judge(made, await _mails(on), on.parley.smtp.received, expected)


@pytest.mark.timeout(600)
async def test_each_mail_goes_to_the_address_of_its_moment_while_addresses_change_a_hundred_times(
    rabbitmq_server: SharedRabbit, mongo_server: SharedMongo, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    async with stage(rabbitmq_server, mongo_server, tmp_path, MAIL_DELAY="0.3") as on:
        faults, expected = await _run(on)
        judged = await _judged(on, expected)
        received = len(on.parley.smtp.received)
    ends = ", ".join(f"{count} {state}" for state, count in sorted(judged.states.items()))
    with capsys.disabled():
        print(
            f"\n{CHANGES} changes of an address in each of {len(ORDERS)} threads, {faults.kills} notifiers killed, {len(expected)} entries for people in "
            f"{judged.states.total()} mails ({ends}); {judged.attempts} attempts of which {judged.taken_back} were taken back "
            f"before DATA, {received} arrivals, {judged.repeated} repeated to the same address: "
            f"to withdrawn addresses {len(judged.withdrawn)}, lost {len(judged.lost)}, doubled {len(judged.doubled)}"
        )
    assert judged.wrong == []
    assert faults.kills >= CHANGES // 10
    assert judged.states["sent"] >= CHANGES // 5
