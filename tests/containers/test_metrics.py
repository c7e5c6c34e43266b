"""Prometheus scrapes the stack while the demo runs: every panel of the dashboard shows something, and every rule can be evaluated."""

import json
from collections.abc import Iterator
from functools import partial

import pytest

from tests.containers.engine import Project, docker
from tests.operations.prometheus import Prometheus, configuration, needs_prometheus, prometheus_at_work
from tests.operations.queries import panel_queries
from tests.servers.waiting import eventually_now

pytestmark = [pytest.mark.timeout(600), needs_prometheus]

JOBS = {"parley-gateway": {"gateway": 8080}, "parley-threads": {"threads": 8081, "threads-api": 8081}}
JOBS |= {"parley-notifier": {"notifier": 8082}, "rabbitmq": {"rabbitmq": 15692}, "rabbitmq-queues": {"rabbitmq": 15692}}


@pytest.fixture(scope="module")
def prometheus(project: Project, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Prometheus]:
    project.up()
    targets = {
        job: [f"{_address(project, service)}:{port}" for service, port in services.items()]
        for job, services in JOBS.items()
    }
    with prometheus_at_work(tmp_path_factory.mktemp("prometheus"), configuration(targets)) as prometheus:
        yield prometheus


def test_every_panel_shows_something_under_load(project: Project, prometheus: Prometheus) -> None:
    assert project.demo().returncode == 0
    queries = list(panel_queries())
    assert len(queries) > 30
    for title, query in queries:
        eventually_now(partial(prometheus.shows, query), timeout_s=30, what=f"the panel {title}: {query}")


def test_every_rule_is_evaluated_and_none_fires(prometheus: Prometheus) -> None:
    eventually_now(prometheus.all_rules_are_evaluated, timeout_s=30, what="the evaluation of every rule")
    assert prometheus.firing() == set()


def _address(project: Project, service: str) -> str:
    """The container's own address, which this machine can reach."""
    networks = json.loads(docker("inspect", project.running(service)[0]))[0]["NetworkSettings"]["Networks"]
    address: str = next(iter(networks.values()))["IPAddress"]
    return address
