"""What the dashboard and the alert rules name is exported by a stack that runs, and Prometheus finds something for every panel."""

import json
import subprocess
import sys
from functools import partial
from pathlib import Path

import pytest

from deploy.dashboard import dashboard
from deploy.local.settings import REPOSITORY
from tests.e2e.client import Clients, clients_of
from tests.made import snapshot
from tests.operations.prometheus import configuration, needs_prometheus, prometheus_at_work, targets_of
from tests.operations.queries import DASHBOARD, alert_rules, metrics_in, panel_queries
from tests.servers.parley import Parley
from tests.servers.waiting import eventually

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


@needs_prometheus
async def test_every_panel_shows_something_and_a_stack_that_is_well_raises_no_alert(
    running_parley: Parley, tmp_path: Path
) -> None:
    if running_parley.vhost.server.address.exporter_port is None:
        pytest.skip("the broker was given by its address: where its exporter is, is not known")
    settings = configuration(targets_of(running_parley), vhost=running_parley.vhost.name)
    with prometheus_at_work(tmp_path / "prometheus", settings) as prometheus:
        async with clients_of(running_parley) as clients:
            await _use(running_parley, clients)
        queries = list(panel_queries())
        assert len(queries) > 30
        for title, query in queries:
            await eventually(partial(prometheus.shows, query), timeout_s=30, what=f"the panel {title}: {query}")
        await eventually(prometheus.all_rules_are_evaluated, timeout_s=30, what="the evaluation of every rule")
        assert prometheus.firing() == set()


async def test_no_metric_has_a_person_or_an_order_in_its_labels(running_parley: Parley) -> None:
    async with clients_of(running_parley) as clients:
        await _use(running_parley, clients)
    for process in running_parley.services.values():
        # What stands before a value: a figure may have any digits, those of an order's number too.
        series = [line.rpartition(" ")[0] for line in process.text_of("/metrics").splitlines()]
        assert len(series) > 1
        for secret in ("1042", "c-7", "s-1", "example.com", "Where is my lamp"):
            assert not [each for each in series if secret in each], (process.label, secret)


async def _use(parley: Parley, clients: Clients) -> None:
    """A little of everything."""
    await clients.put_order(snapshot())
    customer = clients.customer()
    assert (await customer.call("GET", "/v1/orders/1042")).status == 200
    assert (await customer.post("Where is my lamp?")).status == 201
    assert (await clients.customer("c-8").post("Whose is it?", Prefer="wait=20")).status == 404
    await clients.seller().call("PUT", "/v1/orders/1042/read", {"up_to_seq": 1})
    await clients.seller().post("It left yesterday.")
    await parley.smtp.wait_for(2)
    assert (await customer.call("GET", "/v1/orders/1042/messages")).status == 200


def _metrics(text: str) -> set[str]:
    """Names as queries use them: counters with `_total`, histograms with their three parts."""
    names: set[str] = set()
    for line in text.splitlines():
        if line.startswith("# TYPE "):
            _, _, name, kind = line.split()
            names |= {name} if kind != "histogram" else {name + part for part in PARTS}
    return names
