"""Grafana's own grammar of LogQL takes what the alert rules ask Loki."""

from monitoring.alerting.rules import RULES
from tests.support.logql import FINE, errors_in


def test_loki_is_asked_only_what_its_grammar_takes() -> None:
    asked = [rule.expression for rule in RULES if rule.source.value == "loki"]
    assert asked
    assert errors_in(asked) == [FINE] * len(asked)
