"""Debian's Prometheus with our own configuration and rules, scraping whatever a test has running."""

import json
import os
import re
import shutil
import signal
import urllib.parse
import urllib.request
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import yaml

from deploy.local.ports import LOOPBACK, free_port
from deploy.local.processes import Children
from tests.operations.queries import ALERTS
from tests.servers.parley import Parley
from tests.servers.waiting import eventually_now

Targets = Mapping[str, Sequence[str]]
"""Addresses (`host:port`) by the name of the job."""

# In CI it is there (bootstrap.sh installs it), so its absence is a failure; elsewhere the tests are skipped and say so.
needs_prometheus = pytest.mark.skipif(
    shutil.which("prometheus") is None and os.environ.get("CI") != "true",
    reason="prometheus is not installed (Debian's package prometheus)",
)
WINDOW = re.compile(r"\[(\d+)([smh])\]")
UNITS_S = {"s": 1, "m": 60, "h": 3600}


def configuration(targets: Targets, *, vhost: str = "parley", rules: Path = ALERTS) -> dict[str, Any]:
    """deploy/prometheus/prometheus.yml with addresses instead of names, this virtual host, and a scrape each second."""
    written: dict[str, Any] = yaml.safe_load((ALERTS.parent / "prometheus.yml").read_text())
    written["global"] = {"scrape_interval": "1s", "evaluation_interval": "1s"}
    written["rule_files"] = [str(rules)]
    for job in written["scrape_configs"]:
        del job["dns_sd_configs"]
        job["static_configs"] = [{"targets": list(targets[job["job_name"]])}]
        if "vhost" in job.get("params", {}):
            job["params"]["vhost"] = [vhost]
    return written


def targets_of(parley: Parley) -> dict[str, list[str]]:
    """Every process of this Parley, and its broker's exporter."""
    exporter = parley.vhost.server.address.exporter_port
    targets: dict[str, list[str]] = {name: [f"{LOOPBACK}:{exporter}"] for name in ("rabbitmq", "rabbitmq-queues")}
    for process in parley.services.values():
        targets.setdefault(f"parley-{process.service}", []).append(f"{LOOPBACK}:{process.port}")
    return targets


def quicker(rules: Mapping[str, Any], *, times: int) -> dict[str, Any]:
    """The same rules with every window and every `for` so many times shorter; expressions and thresholds stay as they are."""
    changed: dict[str, Any] = json.loads(json.dumps(rules))
    for rule in (rule for group in changed["groups"] for rule in group["rules"]):
        rule["expr"] = WINDOW.sub(lambda found: f"[{_shorter(found[1], found[2], times)}]", rule["expr"])
        if "for" in rule:
            rule["for"] = _shorter(rule["for"][:-1], rule["for"][-1], times)
    return changed


def _shorter(number: str, unit: str, times: int) -> str:
    return f"{max(1, int(number) * UNITS_S[unit] // times)}s"


class Prometheus:
    """The server at work; what it knows is asked by its HTTP API."""

    def __init__(self, port: int) -> None:
        self._port = port

    def ask(self, path: str, **query: str) -> Any:
        """The `data` of the answer, None where there is none."""
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

    def firing(self) -> set[str]:
        alerts = (self.ask("alerts") or {"alerts": []})["alerts"]
        return {alert["labels"]["alertname"] for alert in alerts if alert["state"] == "firing"}

    def all_rules_are_evaluated(self) -> bool:
        groups = (self.ask("rules") or {"groups": []})["groups"]
        rules = [rule for group in groups for rule in group["rules"]]
        return bool(rules) and all(rule["health"] == "ok" for rule in rules)


@contextmanager
def prometheus_at_work(directory: Path, settings: Mapping[str, Any]) -> Iterator[Prometheus]:
    """A server of the test's own; returns once every target answers it, and is killed in the end."""
    directory.mkdir(parents=True, exist_ok=True)
    file, port = directory / "prometheus.yml", free_port()
    file.write_text(yaml.safe_dump(dict(settings)))
    options = [f"--config.file={file}", f"--storage.tsdb.path={directory / 'data'}"]
    options += [f"--web.listen-address={LOOPBACK}:{port}"]
    children = Children(logs=directory, orphan_signal=signal.SIGKILL)
    process = children.make("prometheus", ["prometheus", *options], environment={}, directory=directory)
    process.start()
    server = Prometheus(port)
    wanted = sum(len(job["static_configs"][0]["targets"]) for job in settings["scrape_configs"])
    try:
        eventually_now(lambda: server.targets_up() == wanted, timeout_s=60, what=f"{wanted} targets that answer")
        yield server
    finally:
        process.kill()
