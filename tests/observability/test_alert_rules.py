"""promtool says for each rule, asked in the words of the provisioned file, when it fires and when it does not.

Each history is written down twice: scraped in step with the evaluation, and out of step with it, as in production,
where one event is 1.05 in a live ``increase()`` and exactly 1 in step.
"""

import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

import pytest
import yaml

from monitoring.alerting.__main__ import FOLDER
from tests.observability.alert_cases import CASES, WATCHED, Case, Outcome
from tests.observability.tracks import Track, notation

pytestmark = pytest.mark.observability

EVALUATION_SECONDS: Final = 30
IN_STEP_SECONDS: Final = 15
OUT_OF_STEP_SECONDS: Final = 14
LONG_SECONDS: Final = 2 * 3600
"""From here on a history is written down by the minute: what happens in it takes hours."""

COMPARISONS: Final = {"gt": ">", "lt": "<"}


def provisioned() -> dict[str, dict[str, Any]]:
    """The rules that ask Prometheus, by uid, as they stand in the file."""
    file = yaml.safe_load((FOLDER / "rules.yml").read_text(encoding="utf-8"))
    rules = [rule for group in file["groups"] for rule in group["rules"]]
    return {rule["uid"]: rule for rule in rules if rule["data"][0]["datasourceUid"] == "prometheus"}


RULES: Final = provisioned()


def question(rule: Mapping[str, Any]) -> str:
    """The expression of query A."""
    return str(rule["data"][0]["model"]["expr"])


def as_prometheus_rule(rule: Mapping[str, Any]) -> dict[str, Any]:
    """The same rule in Prometheus' own form: the threshold becomes a comparison, which Prometheus wants."""
    evaluator = rule["data"][1]["model"]["conditions"][0]["evaluator"]
    return {
        "alert": rule["uid"],
        "expr": f"({question(rule)}) {COMPARISONS[evaluator['type']]} {evaluator['params'][0]}",
        "for": rule["for"],
        "labels": rule["labels"],
    }


def expectations(case: Case) -> list[dict[str, Any]]:
    """What promtool has to find at the end of the case."""
    fires = case.outcome is Outcome.FIRES
    counted = {
        "expr": f'count(ALERTS{{alertname="{case.rule}",alertstate="firing"}}) or vector(0)',
        "eval_time": f"{case.at}s",
        "exp_samples": [{"labels": "{}", "value": len(case.labels) if fires else 0}],
    }
    named = [
        {
            "expr": f"count by ({', '.join(labels)}) (ALERTS{_matching(case.rule, labels)})",
            "eval_time": f"{case.at}s",
            "exp_samples": [{"labels": _matching(None, labels), "value": 1}],
        }
        for labels in case.labels
        if fires and labels
    ]
    absent = {
        "expr": f"count({question(RULES[case.rule])}) or vector(0)",
        "eval_time": f"{case.at}s",
        "exp_samples": [{"labels": "{}", "value": 0}],
    }
    return [counted, *named, *([absent] if case.outcome is Outcome.ABSENT else [])]


def _matching(rule: str | None, labels: Mapping[str, str]) -> str:
    state = {} if rule is None else {"alertname": rule, "alertstate": "firing"}
    return "{" + ",".join(f'{name}="{value}"' for name, value in (state | dict(labels)).items()) + "}"


def series_of(case: Case) -> dict[str, Track]:
    """What Prometheus scraped, itself included where the rule asks whether it was there."""
    asks_for_it = "offset" in question(RULES[case.rule])
    return {**(WATCHED if asks_for_it else {}), **case.series}


def as_test_file(case: Case, interval: int) -> dict[str, Any]:
    """promtool's file for one history."""
    return {
        "rule_files": ["rules.yml"],
        "evaluation_interval": f"{EVALUATION_SECONDS}s",
        "tests": [
            {
                "interval": f"{interval}s",
                "input_series": [
                    {"series": name, "values": notation(track, interval=interval, until=case.at)}
                    for name, track in series_of(case).items()
                ],
                "promql_expr_test": expectations(case),
            }
        ],
    }


def run(promtool: Path, folder: Path, case: Case, interval: int) -> "subprocess.CompletedProcess[str]":
    """Let promtool judge one history."""
    rules = {"groups": [{"name": "g", "rules": [as_prometheus_rule(RULES[case.rule])]}]}
    (folder / "rules.yml").write_text(yaml.safe_dump(rules), encoding="utf-8")
    (folder / "case.yml").write_text(yaml.safe_dump(as_test_file(case, interval), width=1_000_000), encoding="utf-8")
    return subprocess.run(
        [str(promtool), "test", "rules", "case.yml"], cwd=folder, capture_output=True, text=True, check=False
    )


def intervals(case: Case) -> tuple[int, ...]:
    """How far apart the scrapes of a history are."""
    return (60, 59) if case.at >= LONG_SECONDS else (IN_STEP_SECONDS, OUT_OF_STEP_SECONDS)


@pytest.mark.parametrize("case", CASES, ids=lambda case: f"{case.rule}: {case.story}, it {case.outcome}")
def test_a_rule_fires_when_it_should_and_only_then(case: Case, promtool: Path, tmp_path: Path) -> None:
    for interval in intervals(case):
        ended = run(promtool, tmp_path, case, interval)
        assert ended.returncode == 0, f"scraped every {interval} s:\n{ended.stdout}{ended.stderr}"


def test_every_rule_has_numbers_that_set_it_off_and_numbers_that_must_not() -> None:
    by_rule = {uid: {case.outcome for case in CASES if case.rule == uid} for uid in RULES}
    always_fires = {"dead-mans-switch"}
    assert [uid for uid, outcomes in by_rule.items() if Outcome.FIRES not in outcomes] == []
    assert {uid for uid, outcomes in by_rule.items() if Outcome.QUIET not in outcomes} == always_fires


def test_promtool_finds_a_wrong_expectation(promtool: Path, tmp_path: Path) -> None:
    wrong = Case("dead-mans-switch", "all is well", {}, 60, Outcome.QUIET)
    assert run(promtool, tmp_path, wrong, IN_STEP_SECONDS).returncode != 0
