"""[pure] Are pictures made?"""

from datetime import timedelta
from typing import Final

from monitoring.alerting.promql import added, ended
from monitoring.alerting.rule import TOLD_BY_WORKER_GONE, Fallback, Rule, Severity, Side, Unanswered

MIN_FAILURES: Final = 2.5
"""Three, read live or exactly. Below it the rate says nothing: of five pictures in a quiet hour one with a photograph
that cannot be used is 20 %."""

MIN_FAILURES_ALONE: Final = 1.5
"""Two, where nothing at all succeeds."""

WAITING: Final = (
    '(min_over_time(max(wearon_backlog{job="worker"})[10m:30s])'
    ' or min_over_time(max(celery_queue_length{job="celery-exporter",queue_name="wearon:tasks:generation"})[10m:30s])'
    " or vector(0))"
)
"""What has waited for all of ten minutes: the first order after a quiet half hour is no stall. The maximum over the
workers comes first, so that a new worker's short series changes nothing. Without any worker the exporter still sees
the list, where the queue is this host's Redis."""

BURIED: Final = 'wearon_dead_letters_total{job="worker"}'

NOTHING_ENDED: Final = f"({ended('30m')} < bool 0.5)"

ALWAYS_A_NUMBER: Final = Fallback(
    Unanswered.OK, "Missing series count as 0, so that there is always a value; worker-gone tells of an outage."
)

RULES: Final = (
    Rule(
        uid="error-rate",
        title="More than one picture in ten fails",
        question="Do more than 10 % of the generations fail?",
        group="pictures",
        expression=(
            f"round(100 * {ended('5m', 'failed')} / clamp_min({ended('5m')}, 1), 0.01)"
            f" * ({ended('5m', 'failed')} > bool {MIN_FAILURES})"
        ),
        side=Side.ABOVE,
        threshold=10,
        hold=timedelta(0),
        severity=Severity.CRITICAL,
        component="generation",
        summary="More than 10 % of the pictures failed in the last 5 minutes.",
        description=(
            "{{ $values.A }} % of the generations of the last 5 minutes failed, three at least. Shoppers see an error"
            " and get their credits back. The reasons are on the overview dashboard."
        ),
        value_text="{{ $values.A }} % failed in 5 minutes",
        no_data=ALWAYS_A_NUMBER,
    ),
    Rule(
        uid="nothing-succeeds",
        title="No picture succeeds",
        question="Did every generation of the last half hour fail?",
        group="pictures",
        expression=f"round({ended('30m', 'failed')} * ({ended('30m', 'completed')} < bool 0.5), 0.1)",
        side=Side.ABOVE,
        threshold=MIN_FAILURES_ALONE,
        hold=timedelta(0),
        severity=Severity.CRITICAL,
        component="generation",
        summary="In half an hour no picture succeeded, and two at least failed.",
        description=(
            "About {{ $values.A }} generations failed in the last 30 minutes and none succeeded: the outage of a quiet"
            " hour, in which the rate over 5 minutes sees too few."
        ),
        value_text="about {{ $values.A }} failed in 30 minutes, none succeeded",
        no_data=ALWAYS_A_NUMBER,
        look_back=timedelta(minutes=40),
    ),
    Rule(
        uid="queue-stalled",
        title="The queue stands still",
        question="Does something wait while nothing was processed for 30 minutes?",
        group="pictures",
        expression=f"{WAITING} * on () {NOTHING_ENDED}",
        side=Side.ABOVE,
        threshold=0.5,
        hold=timedelta(minutes=1),
        severity=Severity.CRITICAL,
        component="queue",
        summary="Tasks wait, and none was processed for 30 minutes.",
        description=(
            "{{ $values.A }} tasks have been waiting for ten minutes or longer, and no generation ended in 30 minutes."
            " Shoppers wait for pictures that do not come."
        ),
        value_text="{{ $values.A }} tasks wait",
        no_data=ALWAYS_A_NUMBER,
        look_back=timedelta(minutes=40),
    ),
    Rule(
        uid="no-tasks-in-business-hours",
        title="No task in half an hour of business",
        question="Was no generation processed for 30 minutes in business hours?",
        group="pictures",
        expression=f"round({ended('30m')}, 0.1)",
        side=Side.BELOW,
        threshold=0.5,
        hold=timedelta(0),
        severity=Severity.WARNING,
        component="queue",
        summary="No generation was processed for 30 minutes, in business hours.",
        description=(
            "{{ $values.A }} generations ended in the last 30 minutes. Nothing has to wait for that: perhaps nobody"
            " ordered, perhaps orders do not reach the queue. Order one picture and see."
        ),
        value_text="{{ $values.A }} generations in 30 minutes",
        no_data=ALWAYS_A_NUMBER,
        look_back=timedelta(minutes=40),
        business_hours_only=True,
    ),
    Rule(
        uid="dead-letters",
        title="A queue element could not be run",
        question="Was an element buried?",
        group="pictures",
        expression=f"sum by (reason) ({added(BURIED, '15m')})",
        side=Side.ABOVE,
        threshold=0.5,
        hold=timedelta(0),
        severity=Severity.WARNING,
        component="queue",
        summary="A queue element became a dead letter: {{ $labels.reason }}.",
        description=(
            "About {{ $values.A }} elements were buried in the last 15 minutes because of {{ $labels.reason }}. They"
            " lie there for 30 days; the message ends before that."
        ),
        value_text="about {{ $values.A }} in 15 minutes",
        no_data=TOLD_BY_WORKER_GONE,
        look_back=timedelta(minutes=20),
    ),
)
