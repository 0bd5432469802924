"""[pure] Does the monitoring itself work?"""

from datetime import timedelta
from typing import Final

from monitoring.alerting.rule import Fallback, Rule, Severity, Side, Unanswered

RULES: Final = (
    Rule(
        uid="prometheus-silent",
        title="Prometheus does not answer",
        question="Can the other rules be asked at all?",
        group="monitoring",
        expression='sum(up{job="prometheus"}) or vector(0)',
        side=Side.BELOW,
        threshold=0.5,
        hold=timedelta(minutes=1),
        severity=Severity.CRITICAL,
        component="prometheus",
        summary="Prometheus does not answer or does not scrape: no other alert can fire.",
        description="{{ $values.A }} Prometheus servers scrape themselves. Until it works nobody is told of anything.",
        value_text="{{ $values.A }} Prometheus servers",
        no_data=Fallback(Unanswered.ALERTING, "The expression has always a value; none is the failure it asks for."),
        error=Fallback(Unanswered.ALERTING, "The one rule that tells that the data source does not answer."),
    ),
    Rule(
        uid="target-down",
        title="A part of the monitoring or the edge does not answer",
        question="Does everything answer that Prometheus asks?",
        group="monitoring",
        expression=(
            'label_replace(min by (job) (up{job!~"worker|grafana-whatsapp-webhook|prometheus"}),'
            ' "component", "$1", "job", "(.+)")'
        ),
        side=Side.BELOW,
        threshold=0.5,
        hold=timedelta(minutes=2),
        severity=Severity.WARNING,
        component=None,
        summary="{{ $labels.component }} has not answered for 2 minutes.",
        description=(
            "Prometheus cannot scrape {{ $labels.component }}. What it measures is unknown meanwhile, and the alerts"
            " on it are silent."
        ),
        value_text="{{ $labels.component }} is down",
        no_data=Fallback(Unanswered.ALERTING, "No target at all: Prometheus has lost its configuration."),
    ),
    Rule(
        uid="logs-silent",
        title="No log reaches Loki",
        question="Did Loki get a line within 10 minutes?",
        group="monitoring",
        expression=('round(sum(increase(loki_distributor_lines_received_total{job="loki"}[10m])) or vector(0), 0.1)'),
        side=Side.BELOW,
        threshold=0.5,
        hold=timedelta(minutes=5),
        severity=Severity.WARNING,
        component="logs",
        summary="No log line has reached Loki for 10 minutes.",
        description=(
            "{{ $values.A }} lines in 10 minutes. There are always some: the probe of the site writes one every 15"
            " seconds. Alloy does not read, does not send, or Loki refuses; meanwhile nginx-5xx sees nothing."
        ),
        value_text="{{ $values.A }} lines in 10 minutes",
        no_data=Fallback(Unanswered.ALERTING, "The expression has always a value; none is a failure of Prometheus."),
        look_back=timedelta(minutes=15),
    ),
    Rule(
        uid="logs-lost",
        title="Log lines are lost",
        question="Did Alloy or Loki throw lines away?",
        group="monitoring",
        expression=(
            'round((sum(increase(loki_write_dropped_entries_total{job="alloy"}[15m])) or vector(0))'
            ' + (sum(increase(loki_discarded_samples_total{job="loki"}[15m])) or vector(0)), 0.1)'
        ),
        side=Side.ABOVE,
        threshold=0.5,
        hold=timedelta(0),
        severity=Severity.WARNING,
        component="logs",
        summary="Log lines were thrown away in the last 15 minutes.",
        description=(
            "About {{ $values.A }} lines: too many at once for the limits of Loki, or Loki was away for longer than"
            " Alloy tries. `docker compose logs` still has them."
        ),
        value_text="about {{ $values.A }} lines in 15 minutes",
        no_data=Fallback(Unanswered.OK, "Missing counters count as 0; logs-silent tells of a pipeline that is away."),
        look_back=timedelta(minutes=20),
    ),
    Rule(
        uid="dead-mans-switch",
        title="Alerting works",
        question="Do alerts still reach people?",
        group="monitoring",
        expression="vector(1)",
        side=Side.ABOVE,
        threshold=0.5,
        hold=timedelta(0),
        severity=Severity.HEARTBEAT,
        component="alerting",
        summary="Alerting works. This message comes every morning; look at the host when it does not.",
        description="It always fires ({{ $values.A }}), and shows that rules are evaluated and messages are delivered.",
        value_text="{{ $values.A }}",
        no_data=Fallback(Unanswered.OK, "Silence is how it tells: it must not fire without Prometheus."),
        error=Fallback(Unanswered.OK, "Silence is how it tells: it must not fire without Prometheus."),
    ),
)
