"""Where all is well no alert fires: every rule's condition on the real worker, its bridge and its exporters.

The traffic before it makes every kind of failure, and Loki and Alloy are not here: what is bad for such a reason is
named with it, and nothing else may be.
"""

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Final

from proofs.observability.evaluator import SHIPPED_FILES, load
from proofs.observability.provisioned import ProvisionedRule
from proofs.observability.states import FIRING, State, Value, next_states
from tests.observability.engine.bed import Bed
from tests.observability.engine.report import REPORT

BAD_FOR_A_REASON: Final[Mapping[str, str]] = {
    "dead-mans-switch": "it always fires",
    "logs-silent": "Loki needs its image",
    "certificate-expires": "the certificate of this run is good for an hour",
}
"""By the rule's uid."""

MAY_BE_BAD: Final[Mapping[str, str]] = {
    "error-rate": "more tasks of the traffic fail than succeed, on purpose",
    "dead-letters": "some elements of the traffic are no tasks, on purpose",
    "cpu-high": "whatever else this machine does",
    "host-memory": "whatever else this machine does",
    "ledger-audit-silent": "the first audit may not have come yet",
}
"""What the traffic, or this machine, may make bad."""


def states_after(rule: ProvisionedRule, bed: Bed) -> set[State]:
    """What one evaluation leads to, as the evaluator of ours sees it."""
    answer = [
        Value(tuple(sorted(series["metric"].items())), float(series["value"][1]))
        for series in bed.prometheus.query(rule.expression)
    ]
    return {instance.state for instance in next_states(rule, {}, answer, datetime.now(UTC)).values()}


def test_no_alert_is_bad_without_a_reason(bed: Bed) -> None:
    rules = [rule for rule in load(SHIPPED_FILES).rules if rule.datasource_uid == "prometheus"]
    bad = {rule.uid for rule in rules if states_after(rule, bed) & (FIRING | {State.PENDING})}
    assert bad - BAD_FOR_A_REASON.keys() - MAY_BE_BAD.keys() == set()
    assert BAD_FOR_A_REASON.keys() - bad == set()
    REPORT.proved(f"{len(rules) - len(bad)} of {len(rules)} alert rules are quiet beside the real worker")
