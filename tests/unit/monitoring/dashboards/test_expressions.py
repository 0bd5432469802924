"""Expressions that would show a wrong number are refused, and Grafana's variables get their values."""

import pytest

from monitoring.dashboards.promql_rules import faults, metrics_in
from monitoring.dashboards.queries import UnknownVariable, all_queries, substitute

PROMQL = [query for query in all_queries() if query.datasource == "prometheus"]


@pytest.mark.parametrize("query", PROMQL, ids=lambda query: f"{query.dashboard}: {query.panel}")
def test_prometheus_would_take_the_expression_and_every_word_in_it(query: tuple[str, str, str, str]) -> None:
    assert faults(query[3]) == []


@pytest.mark.parametrize(
    ("expression", "fault"),
    [
        ("sum(rate(celery_task_failed_total[5m]))", "has a window of its own"),
        ("sum(rate(celery_task_failed_total[$__range]))", "has a window of its own"),
        ("sum(increase(celery_task_failed_total[2h]))", "has a window of its own"),
        ("sum(irate(celery_task_failed_total[$__rate_interval]))", "irate() reads a window"),
        ("sum(celery_task_failed_total)", "a counter's height means nothing"),
        ("histogram_quantile(0.95, sum by (le) (celery_task_runtime_bucket))", "a counter's height means nothing"),
        ('max(wearon_backlog{instance="10.0.0.7:8000"})', "a single instance is hard-coded"),
        ("max(wearon_backlog)", "the reader's choice of a worker is ignored"),
        ('sum(wearon_backlog{instance=~"$instance"})', "aggregate it by max() or min()"),
        ('wearon_backlog{instance=~"$instance"}', "aggregate it by max() or min()"),
        ('max(sum(wearon_backlog{instance=~"$instance"}))', "aggregate it by max() or min()"),
        ('max(wearon_backlog{instance=~"$instance", queue="a"})', "it has no label queue"),
        ("node_memory_MemFree_byte", "no such metric"),
        ("sum(up", "Prometheus would not take it"),
        ("max(up) by", "Prometheus would not take it"),
        ('up{job="$shop"}', "$shop"),
    ],
)
def test_an_expression_that_would_mislead_is_refused(expression: str, fault: str) -> None:
    found = faults(expression)
    assert any(fault in words for words in found), found


@pytest.mark.parametrize(
    "expression",
    [
        "sum(rate(celery_task_failed_total[$__rate_interval]))",
        "sum(increase(celery_task_failed_total[$__range]))",
        "sum(increase(celery_task_failed_total[24h]))",
        'max by (component) (wearon_component_up{instance=~"$instance"})',
        'sum(wearon_tasks_in_flight{instance=~"$instance"})',
    ],
)
def test_an_expression_that_is_right_is_taken(expression: str) -> None:
    assert faults(expression) == []


def test_every_metric_of_an_expression_is_found_and_a_histograms_series_are_one() -> None:
    expression = (
        'histogram_quantile(0.5, sum by (le) (rate(wearon_stage_duration_seconds_bucket{instance=~"$instance"}'
        "[$__rate_interval]))) / (max(up) > 0)"
    )
    assert metrics_in(expression) == {"wearon_stage_duration_seconds", "up"}


def test_whoever_chooses_nothing_sees_all() -> None:
    asked = '{service=~"$service"} | session_id=~`.*${session_id}.*`'
    assert substitute(asked) == '{service=~".+"} | session_id=~`.*.*`'


def test_no_variable_is_left_in_what_is_asked() -> None:
    assert not any("$" in substitute(query.expression) for query in all_queries())


def test_a_variable_that_nobody_knows_is_named() -> None:
    with pytest.raises(UnknownVariable, match=r"\$shop in up"):
        substitute('up{job="$shop"}')
