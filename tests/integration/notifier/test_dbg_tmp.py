from tests.integration.notifier.test_consuming import *
from services.notifier.app import assemble
from services.notifier.settings import Settings
from prometheus_client import CollectorRegistry, generate_latest
import asyncio, traceback
async def test_x(parley, vhost, publish, smtp, monkeypatch):
    for k,v in parley.environment("notifier").items(): monkeypatch.setenv(k,v)
    n=assemble(Settings(), reg:=CollectorRegistry())
    o=n.consumer._settler._outcome
    async def pm(*a):
        print("OUT", a[0].body[:30])
        try:
            r= await o(*a); print("R",r); return r
        except BaseException: traceback.print_exc(); raise
    n.consumer._settler._outcome=pm
    await n.start()
    await asyncio.sleep(1.5)
    print(await n.consumer.is_attached())
    await publish(event())
    await asyncio.sleep(2)
    print(len(smtp.received))
    for t in asyncio.all_tasks(): t.print_stack()
    await n.stop()
