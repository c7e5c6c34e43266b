"""Prometheus scrapes the stack while the demo runs: every panel of the dashboard shows something, and every rule can be evaluated."""

import json
import shutil
import signal
import urllib.parse
import urllib.request
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import yaml

from deploy.local.ports import LOOPBACK, free_port
from deploy.local.processes import Children
from tests.containers.engine import Project, docker
from tests.operations.queries import ALERTS, panel_queries
from tests.servers.waiting import eventually_now

pytestmark = [
    pytest.mark.timeout(600),
    pytest.mark.skipif(shutil.which("prometheus") is None, reason="prometheus is not installed (Debian's package)"),
]

JOBS = {"parley-gateway": {"gateway": 8080}, "parley-threads": {"threads": 8081, "threads-api": 8081}}
JOBS |= {"parley-notifier": {"notifier": 8082}, "rabbitmq": {"rabbitmq": 15692}}


class Prometheus:
    """Debian's Prometheus, with this project's containers as its targets."""

    def __init__(self, project: Project, directory: Path) -> None:
        self._port = free_port()
        configuration = directory / "prometheus.yml"
        configuration.write_text(yaml.safe_dump(_configuration(project)))
        children = Children(logs=directory, orphan_signal=signal.SIGKILL)
        options = [f"--config.file={configuration}", f"--storage.tsdb.path={directory / 'data'}"]
        options += [f"--web.listen-address={LOOPBACK}:{self._port}"]
        self.process = children.make("prometheus", ["prometheus", *options], environment={}, directory=directory)

    def ask(self, path: str, **query: str) -> Any:
        url = f"http://{LOOPBACK}:{self._port}/api/v1/{path}?{urllib.parse.urlencode(query)}"
        try:
            with urllib.request.urlopen(url, timeout=10) as answer:
                return json.loads(answer.read())["data"]
        except OSError:
            return None

    def shows(self, query: str) -> bool:
        found = self.ask("query", query=query)
        return bool(found and found["result"])

    def targets_up(self) -> int:
        found = self.ask("query", query="sum(up)")
        return int(found["result"][0]["value"][1]) if found and found["result"] else 0


@pytest.fixture(scope="module")
def prometheus(project: Project, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Prometheus]:
    project.up()
    prometheus = Prometheus(project, tmp_path_factory.mktemp("prometheus"))
    prometheus.process.start()
    try:
        eventually_now(lambda: prometheus.targets_up() == 6, timeout_s=60, what="six targets that answer")
        yield prometheus
    finally:
        prometheus.process.kill()


def test_every_panel_shows_something_under_load(project: Project, prometheus: Prometheus) -> None:
    assert project.demo().returncode == 0
    queries = list(panel_queries())
    assert len(queries) > 30
    for title, query in queries:
        eventually_now(partial(prometheus.shows, query), timeout_s=30, what=f"the panel {title}: {query}")


def test_every_rule_is_evaluated_and_none_fires(prometheus: Prometheus) -> None:
    def evaluated() -> bool:
        rules = [rule for group in prometheus.ask("rules")["groups"] for rule in group["rules"]]
        return bool(rules) and all(rule["health"] == "ok" for rule in rules)

    eventually_now(evaluated, timeout_s=30, what="the evaluation of every rule")
    assert [
        alert["labels"]["alertname"] for alert in prometheus.ask("alerts")["alerts"] if alert["state"] == "firing"
    ] == []


def _configuration(project: Project) -> dict[str, Any]:
    """deploy/prometheus/prometheus.yml with addresses instead of names, and a scrape each second."""
    written: dict[str, Any] = yaml.safe_load((ALERTS.parent / "prometheus.yml").read_text())
    written["global"] = {"scrape_interval": "1s", "evaluation_interval": "1s"}
    written["rule_files"] = [str(ALERTS)]
    for job in written["scrape_configs"]:
        services = JOBS.get(job["job_name"], JOBS["rabbitmq"])
        del job["dns_sd_configs"]
        targets = [f"{_address(project, service)}:{port}" for service, port in services.items()]
        job["static_configs"] = [{"targets": targets}]
    return written


def _address(project: Project, service: str) -> str:
    """The container's own address, which this machine can reach."""
    networks = json.loads(docker("inspect", project.running(service)[0]))[0]["NetworkSettings"]["Networks"]
    address: str = next(iter(networks.values()))["IPAddress"]
    return address
