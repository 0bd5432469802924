"""Every question of a dashboard or an alert is put to a real Prometheus and has an answer, or a reason for none."""

import tomllib
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import pytest

from monitoring.alerting.rule import Source
from monitoring.alerting.rules import RULES
from monitoring.dashboards.queries import all_queries, substitute
from tests.observability.engine.bed import Bed
from tests.observability.engine.report import REPORT

EXPECTED_EMPTY: Final[dict[str, str]] = {
    entry["metric"]: entry["reason"]
    for entry in tomllib.loads(Path(__file__).with_name("expected_empty.toml").read_text())["empty"]
}
PROMETHEUS: Final = "prometheus"
MOST_EXPECTED: Final = 10
"""More than these would be a list of excuses."""


@dataclass(frozen=True, slots=True)
class Asked:
    """One question, and who asks it."""

    who: str
    expression: str


OF_DASHBOARDS: Final = [
    Asked(f"{query.dashboard}: {query.panel}", substitute(query.expression))
    for query in all_queries()
    if query.datasource == PROMETHEUS
]
OF_ALERTS: Final = [Asked(rule.uid, rule.expression) for rule in RULES if rule.source is Source.PROMETHEUS]
ASKED: Final = [*OF_DASHBOARDS, *OF_ALERTS]


def may_be_empty(expression: str) -> bool:
    """Whether a reason is written down."""
    return any(metric in expression for metric in EXPECTED_EMPTY)


@pytest.mark.parametrize("asked", ASKED, ids=lambda asked: f"{asked.who} ({asked.expression[:40]})")
def test_a_question_has_an_answer(bed: Bed, asked: Asked) -> None:
    assert bed.prometheus.query(asked.expression) or may_be_empty(asked.expression), asked.expression


def test_every_question_was_put(bed: Bed) -> None:
    for kind, questions in (("dashboards", OF_DASHBOARDS), ("alert rules", OF_ALERTS)):
        answered = [asked for asked in questions if bed.prometheus.query(asked.expression)]
        REPORT.proved(f"{len(answered)} of {len(questions)} expressions of the {kind} have an answer")
        assert answered


def test_a_reason_for_an_empty_answer_is_still_needed(bed: Bed) -> None:
    assert len(EXPECTED_EMPTY) <= MOST_EXPECTED
    assert [metric for metric in EXPECTED_EMPTY if bed.prometheus.query(metric)] == []
