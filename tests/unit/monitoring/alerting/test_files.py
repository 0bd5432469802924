"""Grafana is given what the rules say: the committed files are what the data makes, and a loader would take them."""

from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from models.health import Component
from monitoring.alerting.__main__ import FOLDER, as_yaml, write
from monitoring.alerting.check import faults, surroundings
from monitoring.alerting.files import documents, duration
from monitoring.alerting.rule import Rule, Severity
from monitoring.alerting.rules import RULES
from monitoring.alerting.rules.worker import COMPONENTS_IN_WORDS
from tests.support.yaml_files import read_yaml


def by_uid(uid: str) -> Rule:
    return next(rule for rule in RULES if rule.uid == uid)


@pytest.mark.parametrize("name", documents())
def test_the_committed_file_is_what_the_rules_make(name: str) -> None:
    made = as_yaml(documents()[name])
    assert (FOLDER / name).read_text(encoding="utf-8") == made, "run: python -m monitoring.alerting"


def test_no_other_file_is_provisioned() -> None:
    assert sorted(path.name for path in FOLDER.iterdir()) == sorted(documents())


def test_the_committed_files_have_no_fault() -> None:
    loaded: dict[str, Any] = {path.name: read_yaml(path) for path in FOLDER.iterdir()}
    assert faults(loaded, surroundings([rule.uid for rule in RULES])) == []


def test_writing_makes_the_folder(tmp_path: Path) -> None:
    write(tmp_path / "new")
    assert sorted(path.name for path in (tmp_path / "new").iterdir()) == sorted(documents())


def test_every_rule_says_why_it_treats_a_missing_answer_as_it_does() -> None:
    assert [rule.uid for rule in RULES if not (rule.no_data.reason and rule.error.reason)] == []


def test_rules_of_one_group_stand_together() -> None:
    groups = [group["name"] for group in documents()["rules.yml"]["groups"]]
    assert len(groups) == len(set(groups))


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.uid)
def test_a_message_names_the_part_and_the_value(rule: Rule) -> None:
    assert rule.component is not None or "$labels." in rule.summary
    assert "{{ $" in rule.value_text
    assert "\n" not in rule.summary + rule.description


def test_a_message_about_the_worker_names_every_component_of_health_in_words() -> None:
    assert set(COMPONENTS_IN_WORDS) == {component.value for component in Component}


def test_one_rule_alone_tells_of_a_data_source_that_does_not_answer() -> None:
    assert [rule.uid for rule in RULES if rule.error.state.value == "Alerting"] == ["prometheus-silent"]


def test_the_switch_stops_with_prometheus() -> None:
    switch = by_uid("dead-mans-switch")
    assert (switch.severity, switch.no_data.state.value, switch.error.state.value) == (Severity.HEARTBEAT, "OK", "OK")


def test_events_are_never_compared_with_a_whole_number() -> None:
    counted = [rule for rule in RULES if "increase(" in rule.expression and " / " not in rule.expression]
    assert counted
    assert [rule.uid for rule in counted if float(rule.threshold).is_integer()] == []


@pytest.mark.parametrize(("seconds", "text"), [(0, "0s"), (10, "10s"), (90, "1m30s"), (3600, "1h"), (5400, "1h30m")])
def test_a_span_is_written_as_prometheus_reads_it(seconds: int, text: str) -> None:
    assert duration(timedelta(seconds=seconds)) == text
