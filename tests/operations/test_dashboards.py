"""Every metric that the dashboard and the alert rules name is exported by a stack that runs."""

import json
import subprocess
import sys

from deploy.dashboard import dashboard
from deploy.local.settings import REPOSITORY
from tests.e2e.client import Clients, clients_of
from tests.made import snapshot
from tests.operations.queries import DASHBOARD, alert_rules, metrics_in, panel_queries
from tests.servers.parley import Parley

# By RabbitMQ's own exporter (its plugin rabbitmq_prometheus), which the local node does not run; tests/containers asks a real one.
OF_RABBITMQ = {
    "rabbitmq_detailed_queue_messages",
    "rabbitmq_detailed_queue_consumers",
    "rabbitmq_alarms_memory_used_watermark",
    "rabbitmq_alarms_free_disk_space_watermark",
}
# A label's values appear when the first such thing happens, and none may ever; the metric's TYPE line is there from the start.
PARTS = ("_bucket", "_sum", "_count")


def test_the_dashboard_is_the_one_that_is_said_in_code() -> None:
    assert json.loads(DASHBOARD.read_text()) == dashboard()


def test_the_dashboard_is_printed_as_it_is_committed() -> None:
    printed = subprocess.run(
        [sys.executable, "-m", "deploy.dashboard"],
        cwd=REPOSITORY,
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    assert printed.stdout == DASHBOARD.read_text()


async def test_every_metric_that_is_named_is_exported(running_parley: Parley) -> None:
    async with clients_of(running_parley) as clients:
        await _use(running_parley, clients)
    exported = {name for process in running_parley.services.values() for name in _metrics(process.text_of("/metrics"))}
    named = {name for _, query in panel_queries() for name in metrics_in(query)}
    named |= {name for rule in alert_rules() for name in metrics_in(rule["expr"])}
    assert named - OF_RABBITMQ - exported == set()
    assert named >= OF_RABBITMQ


async def test_no_metric_has_a_person_or_an_order_in_its_labels(running_parley: Parley) -> None:
    async with clients_of(running_parley) as clients:
        await _use(running_parley, clients)
    for process in running_parley.services.values():
        text = process.text_of("/metrics")
        assert text
        for secret in ("1042", "c-7", "s-1", "example.com", "Where is my lamp"):
            assert secret not in text, (process.label, secret)


async def _use(parley: Parley, clients: Clients) -> None:
    """A little of everything."""
    await clients.put_order(snapshot())
    customer = clients.customer()
    assert (await customer.post("Where is my lamp?")).status == 201
    assert (await clients.customer("c-8").post("Whose is it?", Prefer="wait=20")).status == 404
    await clients.seller().call("PUT", "/v1/orders/1042/read", {"up_to_seq": 1})
    await clients.seller().post("It left yesterday.")
    await parley.smtp.wait_for(2)


def _metrics(text: str) -> set[str]:
    """Names as queries use them: counters with `_total`, histograms with their three parts."""
    names: set[str] = set()
    for line in text.splitlines():
        if line.startswith("# TYPE "):
            _, _, name, kind = line.split()
            names |= {name} if kind != "histogram" else {name + part for part in PARTS}
    return names
