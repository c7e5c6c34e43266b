"""Each alert rule: it fires on a made fault, and on nothing else; it is documented."""

import os
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from deploy.local.settings import REPOSITORY
from tests.operations.prometheus import WINDOW, quicker
from tests.operations.queries import ALERTS, alert_rules

OPERATIONS = REPOSITORY / "docs" / "operations.md"
QUIET_FOR = "1h"

# A stack that is well, as series of an hour: what they are changed to is the fault.
WELL = {
    'up{job="parley-gateway",instance="g"}': "1x240",
    'up{job="parley-threads",instance="t"}': "1x240",
    'up{job="parley-notifier",instance="n"}': "1x240",
    'parley_gateway_writes_total{operation="message.post",answer="done"}': "0+150x240",
    'parley_gateway_publish_failures_total{reason="refused"}': "0x240",
    'parley_gateway_query_seconds_count{answer="2xx"}': "0+150x240",
    'parley_gateway_query_seconds_count{answer="unavailable"}': "0x240",
    'parley_gateway_query_seconds_bucket{le="0.1"}': "0+150x240",
    'parley_gateway_query_seconds_bucket{le="3"}': "0+150x240",
    'parley_gateway_query_seconds_bucket{le="+Inf"}': "0+150x240",
    "parley_oldest_command_seconds": "0x240",
    "parley_oldest_unfinished_entry_seconds": "0x240",
    'rabbitmq_detailed_queue_consumers{queue="threads.commands"}': "1x240",
    'rabbitmq_detailed_queue_messages{queue="threads.commands"}': "3x240",
    'rabbitmq_detailed_queue_messages{queue="threads.commands.dead"}': "0x240",
    'parley_dead_letters_total{queue="threads.commands"}': "0x240",
    'notifier_dead_letters_total{queue="notifier.events"}': "0x240",
    "notifier_oldest_due_seconds": "1x240",
    "notifier_smtp_server_up": "1x240",
    'notifier_mails_total{state="sent"}': "0+10x240",
    'notifier_mails_total{state="failed"}': "0x240",
    'notifier_mails_total{state="ambiguous"}': "0x240",
    'parley_event_loop_lag_seconds_bucket{job="parley-threads",instance="t",le="0.01"}': "0+60x240",
    'parley_event_loop_lag_seconds_bucket{job="parley-threads",instance="t",le="1"}': "0+60x240",
    'parley_event_loop_lag_seconds_bucket{job="parley-threads",instance="t",le="+Inf"}': "0+60x240",
    "parley_gateway_live_cut_off_total": "0x240",
    "parley_gateway_unconfirmed_seconds": "0x240",
    "rabbitmq_alarms_memory_used_watermark": "0x240",
    "rabbitmq_alarms_free_disk_space_watermark": "0x240",
}

FAULTS = {
    "ParleyProcessDown": {'up{job="parley-threads",instance="t2"}': "0x240"},
    "ParleyServiceGone": {'up{job="parley-notifier",instance="n"}': "0x240"},
    "ParleyWritesFail": {'parley_gateway_publish_failures_total{reason="refused"}': "0+15x240"},
    "ParleyNothingConfirmed": {"parley_gateway_unconfirmed_seconds": "31x240"},
    "ParleyReadsFail": {'parley_gateway_query_seconds_count{answer="unavailable"}': "0+15x240"},
    "ParleyReadsSlow": {'parley_gateway_query_seconds_bucket{le="0.1"}': "0+140x240"},
    "ParleyCommandsWait": {"parley_oldest_command_seconds": "31x240"},
    "ParleyEntriesUnfinished": {"parley_oldest_unfinished_entry_seconds": "61x240"},
    "ParleyNoConsumer": {'rabbitmq_detailed_queue_consumers{queue="threads.commands"}': "0x240"},
    "ParleyQueueLong": {'rabbitmq_detailed_queue_messages{queue="threads.commands"}': "10001x240"},
    "ParleyQueueNearlyFull": {'rabbitmq_detailed_queue_messages{queue="notifier.events"}': "400001x240"},
    "ParleyDeadLetters": {'rabbitmq_detailed_queue_messages{queue="threads.commands.dead"}': "1x240"},
    "ParleyDeadLettersPourIn": {'parley_dead_letters_total{queue="threads.commands"}': "0+30x240"},
    "ParleyMailsLate": {"notifier_oldest_due_seconds": "301x240"},
    "ParleyMailServerAway": {"notifier_smtp_server_up": "0x240"},
    "ParleyMailsFail": {'notifier_mails_total{state="failed"}': "0x200 1x40"},
    "ParleyMailsAmbiguous": {'notifier_mails_total{state="ambiguous"}': "0x200 1x40"},
    "ParleyEventLoopLate": {
        'parley_event_loop_lag_seconds_bucket{job="parley-threads",instance="t",le="0.01"}': "0+50x240"
    },
    "ParleyLiveConnectionsCutOff": {"parley_gateway_live_cut_off_total": "0+30x240"},
    "ParleyRabbitMqAlarm": {"rabbitmq_alarms_free_disk_space_watermark": "1x240"},
}
# A fault that is another one's as well, of necessity.
IMPLIED = {"ParleyServiceGone": {"ParleyProcessDown"}, "ParleyQueueNearlyFull": {"ParleyQueueLong"}}

# What is not there yet, or not any more, must not silence an alert about something else.
ABSENT = {
    "ParleyWritesFail": 'parley_gateway_writes_total{operation="message.post",answer="done"}',
    "ParleyDeadLettersPourIn": 'notifier_dead_letters_total{queue="notifier.events"}',
}

needs_promtool = pytest.mark.skipif(
    shutil.which("promtool") is None and os.environ.get("CI") != "true",
    reason="promtool is not installed (Debian's package prometheus)",
)


def test_every_alert_has_a_made_fault() -> None:
    assert [rule["alert"] for rule in alert_rules()] == list(FAULTS)


def test_every_alert_says_what_to_do_in_the_operations_guide() -> None:
    explained = re.findall(r"^### (Parley\w+)$", OPERATIONS.read_text(), flags=re.MULTILINE)
    assert explained == [rule["alert"] for rule in alert_rules()]


def test_every_alert_says_how_urgent_it_is() -> None:
    assert {rule["labels"]["severity"] for rule in alert_rules()} == {"page", "ticket"}
    assert all(rule["annotations"]["summary"] for rule in alert_rules())


def test_the_rules_of_the_proof_are_these_but_for_their_windows() -> None:
    rules = yaml.safe_load(ALERTS.read_text())
    for quick, rule in zip(quicker(rules, times=30)["groups"][0]["rules"], alert_rules(), strict=True):
        assert WINDOW.sub("", quick["expr"]) == WINDOW.sub("", rule["expr"])
        assert (quick["alert"], quick["labels"], "for" in quick) == (rule["alert"], rule["labels"], "for" in rule)


@needs_promtool
def test_a_stack_that_is_well_raises_no_alert(tmp_path: Path) -> None:
    _assert_fires(tmp_path, WELL, firing=set())


@needs_promtool
@pytest.mark.parametrize("alert", FAULTS)
def test_the_fault_fires_its_alert_and_no_other(tmp_path: Path, alert: str) -> None:
    _assert_fires(tmp_path, {**WELL, **FAULTS[alert]}, firing={alert, *IMPLIED.get(alert, ())})


@needs_promtool
@pytest.mark.parametrize("alert", ABSENT)
def test_the_fault_fires_its_alert_where_another_series_is_absent(tmp_path: Path, alert: str) -> None:
    series = {**WELL, **FAULTS[alert]}
    del series[ABSENT[alert]]
    _assert_fires(tmp_path, series, firing={alert})


@needs_promtool
def test_two_services_that_are_gone_are_two_alerts_with_their_names(tmp_path: Path) -> None:
    gone = {series: "0x240" for series in WELL if series.startswith("up{") and "notifier" not in series}
    labels = [f'{{alertname="ParleyServiceGone", job="parley-{service}"}}' for service in ("gateway", "threads")]
    firing = 'group by (alertname, job) (ALERTS{alertname="ParleyServiceGone", alertstate="firing"})'
    _assert_found(tmp_path, {**WELL, **gone}, query=firing, found=labels)


def _assert_fires(directory: Path, series: dict[str, str], *, firing: set[str]) -> None:
    """After an hour of these series, exactly these alerts fire."""
    labels = [f'{{alertname="{alert}"}}' for alert in sorted(firing)]
    _assert_found(directory, series, query='group by (alertname) (ALERTS{alertstate="firing"})', found=labels)


def _assert_found(directory: Path, series: dict[str, str], *, query: str, found: list[str]) -> None:
    """After an hour of these series, the query finds exactly these labels."""
    samples = [{"labels": labels, "value": 1} for labels in found]
    case: dict[str, Any] = {
        "rule_files": [str(ALERTS)],
        "evaluation_interval": "15s",
        "tests": [
            {
                "interval": "15s",
                "input_series": [{"series": name, "values": values} for name, values in series.items()],
                "promql_expr_test": [{"expr": query, "eval_time": QUIET_FOR, "exp_samples": samples}],
            }
        ],
    }
    file = directory / "case.yml"
    file.write_text(yaml.safe_dump(case))
    done = subprocess.run(
        ["promtool", "test", "rules", str(file)], capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
