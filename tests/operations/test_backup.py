"""A back-up that is made while people write, and what a restore of it gives back."""

import asyncio
from datetime import UTC, datetime
from pathlib import Path

import pytest
from bson.raw_bson import RawBSONDocument
from pymongo import MongoClient

from deploy.backup import dump, restore
from deploy.local.errors import StackError
from services.threads import audit
from shared.mongo import connect, database
from tests.e2e.client import clients_of
from tests.made import snapshot
from tests.servers.mongodb import SharedMongo
from tests.servers.parley import Parley
from tests.servers.waiting import eventually


async def test_what_was_dumped_under_load_is_restored_whole(running_parley: Parley, tmp_path: Path) -> None:
    parley, file = running_parley, tmp_path / "parley.backup"
    databases = list(parley.database_names.values())
    with MongoClient[RawBSONDocument](parley.mongo.url, document_class=RawBSONDocument) as client:
        async with clients_of(parley) as clients:
            await clients.put_order(snapshot())
            customer = clients.customer()
            before = [await customer.post(f"before {number}") for number in range(20)]
            writing = asyncio.gather(*(customer.post(f"meanwhile {number}", Prefer="wait=20") for number in range(60)))
            count = await asyncio.to_thread(dump, client, databases, file)
            assert {answer.status for answer in await writing} == {201}
            await parley.smtp.wait_for(1)
        for process in parley.services.values():
            process.stop()
        for name in databases:
            client.drop_database(name)
        assert await asyncio.to_thread(restore, client, databases, file) == count
        with pytest.raises(StackError, match="is not empty"):
            restore(client, databases, file)
    for process in parley.services.values():
        process.start()
    await parley.ready()
    async with clients_of(parley) as clients:
        texts = [message["text"] for message in await clients.customer().history()]
        assert texts[:20] == [answer.body["text"] for answer in before]
        assert len(texts) == len(set(texts)) >= 20
        assert (await clients.customer().post("after")).body["seq"] == len(texts) + 1
    store = connect(parley.mongo.url, name="test")
    try:
        threads = database(store, parley.database_names["threads"])

        async def green() -> bool:
            return not (await audit.audit(threads, now=datetime.now(UTC))).findings

        await eventually(green, what="an audit without findings")
    finally:
        await store.close()


def test_a_backup_is_never_written_over(tmp_path: Path, mongo: SharedMongo) -> None:
    file = tmp_path / "parley.backup"
    file.write_text("an older one")
    with MongoClient[RawBSONDocument](mongo.url) as client, pytest.raises(FileExistsError):
        dump(client, ["none"], file)
    assert file.read_text() == "an older one"
