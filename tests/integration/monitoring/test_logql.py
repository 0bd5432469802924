"""Grafana's own grammar of LogQL takes what the dashboards ask Loki."""

from monitoring.dashboards.queries import all_queries, substitute
from tests.support.logql import FINE, errors_in

LOGQL = [query for query in all_queries() if query.datasource == "loki"]


def test_loki_is_asked_only_what_its_grammar_takes() -> None:
    asked = [substitute(query.expression) for query in LOGQL]
    places = errors_in(asked)
    assert asked
    assert [expression for expression, place in zip(asked, places, strict=True) if place != FINE] == []


def test_the_grammar_finds_a_slip_and_where_it_is() -> None:
    wrong = [
        '{service="nginx" | json',
        'sum by (service) (count_over_time({service="nginx"}))',
        '{service="nginx"} | status >',
        '{service="nginx"} | json status=status | status >= 500',
    ]
    assert FINE not in errors_in(wrong)
