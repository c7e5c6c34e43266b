"""The metrics that the dashboard and the alert rules name."""

import json
import re
from collections.abc import Iterator
from typing import Any

import yaml

from deploy.local.settings import REPOSITORY

DASHBOARD = REPOSITORY / "deploy" / "grafana" / "dashboards" / "parley.json"
ALERTS = REPOSITORY / "deploy" / "prometheus" / "alerts.yml"
NAMES = re.compile(r"\b((?:parley|notifier|rabbitmq|process)_[a-z_]+)\b(?!\")")
STRINGS = re.compile(r'"[^"]*"')


def panel_queries() -> Iterator[tuple[str, str]]:
    """Every query of the dashboard, with its panel's title."""
    for panel in json.loads(DASHBOARD.read_text())["panels"]:
        for target in panel.get("targets", ()):
            yield panel["title"], target["expr"]


def alert_rules() -> list[dict[str, Any]]:
    groups = yaml.safe_load(ALERTS.read_text())["groups"]
    return [rule for group in groups for rule in group["rules"]]


def metrics_in(query: str) -> set[str]:
    return set(NAMES.findall(STRINGS.sub("", query)))
