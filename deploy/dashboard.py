"""The Grafana dashboard, said once as rows of panels: `python -m deploy.dashboard` prints deploy/grafana/dashboards/parley.json."""

import json
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

Json = dict[str, Any]

WIDTH: Final = 24
HEIGHT: Final = 8
WORK_QUEUES: Final = 'queue=~"threads.commands|threads.orders|notifier.events"'


@dataclass(frozen=True)
class Panel:
    """One graph: its title, the unit of its axis, and its queries by legend."""

    title: str
    unit: str
    queries: dict[str, str]
    about: str = ""


def quantiles(metric: str, *, by: str = "", per: str = "5m") -> dict[str, str]:
    """p50 and p99 of a histogram, over all processes, or apart by one label."""
    group, name = (f"le, {by}", f"{{{{{by}}}}} ") if by else ("le", "")
    return {
        f"{name}p{share * 100:g}": f"histogram_quantile({share}, sum by ({group}) (rate({metric}_bucket[{per}])))"
        for share in (0.5, 0.99)
    }


ROWS: Final[dict[str, Sequence[Panel]]] = {
    "What people notice": (
        Panel(
            "Writes by answer",
            "reqps",
            {"{{answer}}": "sum by (answer) (rate(parley_gateway_writes_total[1m]))"},
            "`accepted` is the answer 202: confirmed, and not decided within the caller's patience",
        ),
        Panel("Time to answer a write", "s", quantiles("parley_gateway_write_seconds")),
        Panel("Time to answer a read", "s", quantiles("parley_gateway_query_seconds")),
        Panel(
            "Refused writes, failed reads",
            "reqps",
            {
                "writes {{reason}}": "sum by (reason) (rate(parley_gateway_publish_failures_total[1m])) or vector(0)",
                "reads": 'sum(rate(parley_gateway_query_seconds_count{answer=~"5xx|unavailable"}[1m])) or vector(0)',
            },
        ),
        Panel("Live connections", "short", {"{{instance}}": "parley_gateway_live_connections"}),
        Panel(
            "Problems by code",
            "reqps",
            {"{{code}}": "sum by (code) (rate(parley_gateway_problems_total[1m])) or vector(0)"},
        ),
    ),
    "Commands": (
        Panel(
            "Commands by what became of them",
            "ops",
            {"{{outcome}}": "sum by (outcome) (rate(parley_commands_total[1m]))"},
            "`repeated`: known already, and answered as the first time",
        ),
        Panel(
            "Oldest command in hand, oldest unfinished entry",
            "s",
            {
                "command": "max(parley_oldest_command_seconds)",
                "entry": "max(parley_oldest_unfinished_entry_seconds)",
            },
        ),
        Panel("From acceptance to commit", "s", quantiles("parley_accepted_to_committed_seconds")),
        Panel(
            "Stages of a commit, mean",
            "s",
            {
                "{{stage}}": "sum by (stage) (rate(parley_commit_stage_seconds_sum[5m])) "
                "/ sum by (stage) (rate(parley_commit_stage_seconds_count[5m]))"
            },
        ),
        Panel("A group, from taking to acknowledging", "s", quantiles("parley_commit_group_seconds")),
        Panel("Commands in a group", "short", quantiles("parley_commit_group_size")),
        Panel(
            "Collisions, entries swept",
            "ops",
            {
                "collisions": "sum(rate(parley_commit_collisions_total[1m]))",
                "swept": "sum(rate(parley_entries_swept_total[1m]))",
            },
        ),
    ),
    "Mail": (
        Panel("Mails by how they ended", "ops", {"{{state}}": "sum by (state) (rate(notifier_mails_total[1m]))"}),
        Panel("Attempts by outcome", "ops", {"{{outcome}}": "sum by (outcome) (rate(notifier_attempts_total[1m]))"}),
        Panel(
            "Messages taken",
            "ops",
            {
                "{{type}}": "sum by (type) (rate(notifier_events_total[1m]))",
                "taken {{kind}}": "sum by (kind) (rate(notifier_taken_total[1m]))",
                "known already": "sum(rate(notifier_known_total[1m]))",
            },
        ),
        Panel("Oldest due mail", "s", {"age": "max(notifier_oldest_due_seconds)"}),
        Panel("From acceptance to the mail server", "s", quantiles("notifier_accepted_to_sent_seconds")),
        Panel("From lease to end", "s", quantiles("notifier_send_seconds")),
        Panel("Mail server takes connections", "bool", {"{{instance}}": "notifier_smtp_server_up"}),
        Panel(
            "Sent once more, leases that ended",
            "ops",
            {
                "sent once more": "sum(rate(notifier_resent_total[5m]))",
                "leases": "sum(rate(notifier_lapsed_total[5m])) or vector(0)",
            },
        ),
    ),
    "RabbitMQ": (
        Panel(
            "Messages in work queues",
            "short",
            {"{{queue}}": f"max by (queue) (rabbitmq_detailed_queue_messages{{{WORK_QUEUES}}})"},
        ),
        Panel(
            "Consumers",
            "short",
            {"{{queue}}": f"max by (queue) (rabbitmq_detailed_queue_consumers{{{WORK_QUEUES}}})"},
        ),
        Panel(
            "Dead letters that lie there",
            "short",
            {"{{queue}}": 'max by (queue) (rabbitmq_detailed_queue_messages{queue=~".+[.]dead"})'},
        ),
        Panel(
            "Dead-lettered by the services",
            "ops",
            {
                "{{queue}}": "sum by (queue) (rate(parley_dead_letters_total[5m]))",
                "{{queue}} ": "sum by (queue) (rate(notifier_dead_letters_total[5m]))",
            },
        ),
        Panel(
            "Alarms",
            "bool",
            {
                "memory": "max(rabbitmq_alarms_memory_used_watermark)",
                "disk": "max(rabbitmq_alarms_free_disk_space_watermark)",
            },
        ),
    ),
    "Processes": (
        Panel(
            "Processor",
            "percentunit",
            {"{{job}} {{instance}}": 'rate(process_cpu_seconds_total{job=~"parley-.*"}[1m])'},
        ),
        Panel("Memory", "bytes", {"{{job}} {{instance}}": 'process_resident_memory_bytes{job=~"parley-.*"}'}),
        Panel("Event loop is late by", "s", quantiles("parley_event_loop_lag_seconds", by="job")),
        Panel("Open files", "short", {"{{job}} {{instance}}": 'process_open_fds{job=~"parley-.*"}'}),
        Panel("Processes that answer", "short", {"{{job}}": 'sum by (job) (up{job=~"parley-.*"})'}),
    ),
}


def dashboard() -> Json:
    panels: list[Json] = []
    top = 0
    for title, row in ROWS.items():
        panels.append(
            {
                "type": "row",
                "title": title,
                "id": len(panels) + 1,
                "collapsed": False,
                "gridPos": _place(0, top, WIDTH, 1),
            }
        )
        top += 1
        for number, panel in enumerate(row):
            left = number % 3 * (WIDTH // 3)
            panels.append(_graph(panel, len(panels) + 1, _place(left, top + number // 3 * HEIGHT, WIDTH // 3, HEIGHT)))
        top += (len(row) + 2) // 3 * HEIGHT
    return {
        "uid": "parley",
        "title": "Parley",
        "tags": ["parley"],
        "timezone": "browser",
        "schemaVersion": 39,
        "refresh": "30s",
        "time": {"from": "now-1h", "to": "now"},
        "panels": panels,
    }


def _place(x: int, y: int, width: int, height: int) -> Json:
    return {"x": x, "y": y, "w": width, "h": height}


def _graph(panel: Panel, number: int, place: Json) -> Json:
    source = {"type": "prometheus", "uid": "prometheus"}
    return {
        "type": "timeseries",
        "id": number,
        "title": panel.title,
        "description": panel.about,
        "gridPos": place,
        "datasource": source,
        "fieldConfig": {"defaults": {"unit": panel.unit, "min": 0}, "overrides": []},
        "options": {"legend": {"displayMode": "list", "placement": "bottom"}, "tooltip": {"mode": "multi"}},
        "targets": [
            {"refId": chr(ord("A") + place_in_list), "datasource": source, "expr": query, "legendFormat": legend}
            for place_in_list, (legend, query) in enumerate(panel.queries.items())
        ],
    }


if __name__ == "__main__":
    json.dump(dashboard(), sys.stdout, indent=1)
    print()
