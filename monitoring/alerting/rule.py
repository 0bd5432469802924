"""[pure] What an alert rule is.

A rule asks one question of one data source, compares each series of the answer with one threshold, and waits. Grafana
tells people of it by the labels and the annotations, so both are written for whoever is woken.
"""

from dataclasses import dataclass
from datetime import timedelta
from enum import StrEnum
from typing import Final

RUNBOOKS_URL: Final = "https://github.com/wearon/wearon-worker/blob/main/docs/runbooks"
"""Where a page is for each rule, named by its uid: a telephone opens it without an account on the host."""


class Severity(StrEnum):
    """How soon somebody has to look; the notification policy goes by it."""

    CRITICAL = "critical"
    """Now: people lose pictures or money, or will within the hour."""
    WARNING = "warning"
    """Today."""
    HEARTBEAT = "heartbeat"
    """Never: it always fires, and it is its absence that means something."""


class Side(StrEnum):
    """On which side of its threshold a value is bad, in Grafana's words."""

    ABOVE = "gt"
    BELOW = "lt"


class Source(StrEnum):
    """The provisioned data sources, by uid."""

    PROMETHEUS = "prometheus"
    LOKI = "loki"


class Unanswered(StrEnum):
    """The state of a rule whose question brings no series, or an error."""

    OK = "OK"
    ALERTING = "Alerting"
    KEEP_LAST = "KeepLast"


@dataclass(frozen=True, slots=True)
class Fallback:
    """What a rule makes of a question without an answer, and why that is right for this rule."""

    state: Unanswered
    reason: str


KEEP_ON_ERROR: Final = Fallback(
    Unanswered.KEEP_LAST,
    "A data source that does not answer is told by prometheus-silent or logs-silent, once, and not by every rule.",
)
"""For nearly every rule: thirty messages about one cause hide it, and a restart of Prometheus resolves nothing."""

TOLD_BY_TARGET_DOWN: Final = Fallback(
    Unanswered.OK, "Without its exporter the series is absent, which is what target-down tells."
)
TOLD_BY_WORKER_GONE: Final = Fallback(
    Unanswered.OK, "Without a worker that answers the series is absent, which is what worker-gone tells."
)


@dataclass(frozen=True, slots=True)
class Rule:
    """One alert rule.

    Attributes:
        uid: its name in files, links and runbooks; never changes.
        title: what is wrong, as the message begins (``alertname``).
        question: what the rule asks, for whoever reads the table of rules.
        group: the evaluation group, by subject.
        expression: brings one value for each thing that can be bad; no comparison filters it, since Grafana takes an
            empty answer for missing data. Values are rounded to what a person reads.
        side: whether values above or below the threshold are bad.
        threshold: never a whole number where events are counted: one event is 1.05 in a live ``increase()``.
        hold: for how long it has to be bad (``for``).
        severity: how soon somebody has to look.
        component: the part that is named; ``None`` where each series brings a label ``component``.
        summary: one sentence that needs no value, since there is none when data is missing.
        description: what it means and what to look at, with the value.
        value_text: the value with its unit.
        no_data: when the question brings nothing.
        error: when it cannot be asked.
        source: which data source is asked.
        look_back: the time range of the query: as long as the longest window in the expression.
        business_hours_only: told in business hours only.
    """

    uid: str
    title: str
    question: str
    group: str
    expression: str
    side: Side
    threshold: float
    hold: timedelta
    severity: Severity
    component: str | None
    summary: str
    description: str
    value_text: str
    no_data: Fallback
    error: Fallback = KEEP_ON_ERROR
    source: Source = Source.PROMETHEUS
    look_back: timedelta = timedelta(minutes=10)
    business_hours_only: bool = False

    @property
    def runbook_url(self) -> str:
        """The page for whoever is woken."""
        return f"{RUNBOOKS_URL}/{self.uid}.md"
