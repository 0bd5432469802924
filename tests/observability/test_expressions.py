"""Every question of a dashboard is put to a real Prometheus and has an answer, or a reason why it has none."""

import tomllib
from pathlib import Path
from typing import Final

import pytest

from monitoring.dashboards.queries import Query, all_queries, substitute
from tests.observability.engine.bed import Bed
from tests.observability.engine.report import REPORT

EXPECTED_EMPTY: Final[dict[str, str]] = {
    entry["metric"]: entry["reason"]
    for entry in tomllib.loads(Path(__file__).with_name("expected_empty.toml").read_text())["empty"]
}
MOST_EXPECTED: Final = 10
"""More than these would be a list of excuses."""

OF_PROMETHEUS: Final = [query for query in all_queries() if query.datasource == "prometheus"]


def may_be_empty(expression: str) -> bool:
    """Whether a reason is written down."""
    return any(metric in expression for metric in EXPECTED_EMPTY)


@pytest.mark.parametrize(
    "query",
    OF_PROMETHEUS,
    ids=[f"{query.dashboard}: {query.panel} ({query.expression[:40]})" for query in OF_PROMETHEUS],
)
def test_a_dashboard_s_question_has_an_answer(bed: Bed, query: Query) -> None:
    found = bed.prometheus.query(substitute(query.expression))
    assert found or may_be_empty(query.expression), query.expression


def test_every_question_was_put(bed: Bed) -> None:
    answered = [query for query in OF_PROMETHEUS if bed.prometheus.query(substitute(query.expression))]
    REPORT.proved(f"{len(answered)} of {len(OF_PROMETHEUS)} expressions of the dashboards have an answer")
    assert len(answered) >= len(OF_PROMETHEUS) - MOST_EXPECTED


def test_a_reason_for_an_empty_answer_is_still_needed(bed: Bed) -> None:
    assert len(EXPECTED_EMPTY) <= MOST_EXPECTED
    assert [metric for metric in EXPECTED_EMPTY if bed.prometheus.query(metric)] == []
