"""docs/operations.md is in step with the code: settings, metrics, and the files that it names."""

import re

from deploy.local.settings import REPOSITORY
from deploy.settings_table import ABOUT, GUIDE, guide_with_table, settings
from tests.operations.queries import alert_rules, metrics_in, panel_queries


def test_the_table_of_settings_is_that_of_the_code() -> None:
    text = GUIDE.read_text()
    assert guide_with_table(text) == text, "run  python -m deploy.settings_table"


def test_every_setting_is_explained_and_nothing_else_is() -> None:
    assert set(ABOUT) == {setting.name for setting in settings()}


def test_every_metric_of_dashboard_and_alerts_is_explained() -> None:
    named = {name for _, query in panel_queries() for name in metrics_in(query)}
    named |= {name for rule in alert_rules() for name in metrics_in(rule["expr"])}
    ours = {re.sub(r"_(bucket|sum|count)$", "", name) for name in named if name.startswith(("parley_", "notifier_"))}
    text = GUIDE.read_text()
    assert [name for name in sorted(ours) if f"`{name}`" not in text] == []


def test_every_file_that_is_named_exists() -> None:
    text = GUIDE.read_text()
    named = set(re.findall(r"`((?:deploy|shared|tests|docs)/[\w./-]+)`", text))
    named |= {f"docs/{link}" for link in re.findall(r"\]\(([\w./-]+)\)", text)}
    assert [name for name in sorted(named) if not (REPOSITORY / name).exists()] == []
