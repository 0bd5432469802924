"""[pure] The state of each series of a rule, from one evaluation to the next, as Grafana documents it."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from enum import StrEnum
from typing import Final

from proofs.observability.provisioned import ProvisionedRule

Labels = tuple[tuple[str, str], ...]
"""Sorted pairs: the identity of a series."""

EVALUATIONS_UNTIL_MISSING: Final = 2
"""A series that is absent for so many evaluations while others are there is over (missing_series_evals_to_resolve)."""

NO_DATA_NAME: Final = "DatasourceNoData"
ERROR_NAME: Final = "DatasourceError"
"""The alerts that Grafana makes of a rule whose states for no data or an error are these themselves."""


class State(StrEnum):
    """Where a series is."""

    NORMAL = "Normal"
    PENDING = "Pending"
    ALERTING = "Alerting"
    RECOVERING = "Recovering"
    NO_DATA = "NoData"
    ERROR = "Error"


FIRING: Final = frozenset({State.ALERTING, State.RECOVERING, State.NO_DATA, State.ERROR})
"""What is sent to people as firing."""


@dataclass(frozen=True, slots=True)
class Value:
    """One series of an answer."""

    labels: Labels
    value: float


Answer = Sequence[Value] | None
"""What a question brought; ``None`` is an error."""


@dataclass(frozen=True, slots=True)
class Instance:
    """One series of a rule.

    Attributes:
        labels: of the series; empty for what stands for the whole rule.
        state: where it is.
        since: when it came there, which is what ``for`` is counted from.
        value: the last that was seen.
        seen: when it last was in an answer, or an answer was missing.
        resolved: when it stopped firing, at this very evaluation.
    """

    labels: Labels
    state: State
    since: datetime
    value: float | None
    seen: datetime
    resolved: datetime | None = None


Instances = Mapping[Labels, Instance]


def next_states(rule: ProvisionedRule, before: Instances, answer: Answer, now: datetime) -> Instances:
    """The states after one evaluation."""
    if answer is None:
        return _unanswered(rule, before, rule.error, State.ERROR, now)
    if not answer:
        return _unanswered(rule, before, rule.no_data, State.NO_DATA, now)
    after = {
        value.labels: _next(
            rule,
            before.get(value.labels),
            value.labels,
            bad=_is_bad(rule, value.value),
            value=value.value,
            now=now,
        )
        for value in answer
    }
    for labels, instance in before.items():
        if labels not in after and (missing := _missing(rule, instance, now)) is not None:
            after[labels] = missing
    return after


def _is_bad(rule: ProvisionedRule, value: float) -> bool:
    """NaN is on neither side of a threshold."""
    if math.isnan(value):
        return False
    return value > rule.threshold if rule.above else value < rule.threshold


def _next(
    rule: ProvisionedRule,
    before: Instance | None,
    labels: Labels,
    *,
    bad: bool,
    value: float | None,
    now: datetime,
) -> Instance:
    old = before or Instance(labels, State.NORMAL, now, value, now)
    same = replace(old, value=value, seen=now, resolved=None)
    if bad:
        return _bad(rule, same, now)
    if old.state in FIRING:
        if old.state is not State.RECOVERING and rule.keep_firing:
            return replace(same, state=State.RECOVERING, since=now)
        if old.state is State.RECOVERING and now - old.since < rule.keep_firing:
            return same
        return replace(same, state=State.NORMAL, since=now, resolved=now)
    return same if old.state is State.NORMAL else replace(same, state=State.NORMAL, since=now)


def _bad(rule: ProvisionedRule, same: Instance, now: datetime) -> Instance:
    if same.state is State.ALERTING:
        return same
    if same.state is State.RECOVERING:
        return replace(same, state=State.ALERTING)
    if same.state is State.PENDING:
        return same if now - same.since < rule.hold else replace(same, state=State.ALERTING, since=now)
    return replace(same, state=State.PENDING if rule.hold else State.ALERTING, since=now)


def _missing(rule: ProvisionedRule, instance: Instance, now: datetime) -> Instance | None:
    """A series that is absent from an answer which has others."""
    if now - instance.seen < EVALUATIONS_UNTIL_MISSING * rule.interval:
        return replace(instance, resolved=None)
    if instance.state in FIRING:
        return replace(instance, state=State.NORMAL, since=now, resolved=now, seen=now)
    return None


def _unanswered(rule: ProvisionedRule, before: Instances, wanted: str, own: State, now: datetime) -> Instances:
    """No data, or an error: the rule says what that means, and it means it for every series that was there."""
    if wanted == own.value:
        made = ((("alertname", NO_DATA_NAME if own is State.NO_DATA else ERROR_NAME)),)
        old = before.get(made)
        since = old.since if old is not None and old.state is own else now
        kept = {
            labels: missing
            for labels, instance in before.items()
            if labels != made and (missing := _missing(rule, instance, now)) is not None
        }
        return {**kept, made: Instance(made, own, since, None, now)}
    instances: Instances = before or {(): Instance((), State.NORMAL, now, None, now)}
    return {labels: _as_told(rule, instance, wanted, now) for labels, instance in instances.items()}


def _as_told(rule: ProvisionedRule, instance: Instance, wanted: str, now: datetime) -> Instance:
    if wanted == "KeepLast":
        bad = instance.state in {State.PENDING, State.ALERTING}
        return _next(rule, instance, instance.labels, bad=bad, value=instance.value, now=now)
    return _next(rule, instance, instance.labels, bad=wanted == "Alerting", value=None, now=now)
