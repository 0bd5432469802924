"""[pure] Do messages reach people? What these say goes to e-mail as well: WhatsApp is what fails."""

from datetime import timedelta
from typing import Final

from monitoring.alerting.promql import added
from monitoring.alerting.rule import Fallback, Rule, Severity, Side, Unanswered

TOLD_BY_BRIDGE_DOWN: Final = Fallback(Unanswered.OK, "A bridge that does not answer is told by bridge-down.")

COMPONENT: Final = "whatsapp"
"""The notification policy sends what has it to e-mail, too."""

REFUSED_BY_META: Final = (
    'wearon_whatsapp_requests_total{job="grafana-whatsapp-webhook",result=~"token|template|billing|recipient|window"}'
)

GIVEN_UP: Final = 'wearon_whatsapp_messages_total{job="grafana-whatsapp-webhook",outcome=~"refused|expired"}'

REFUSED_TO_GRAFANA: Final = (
    'wearon_whatsapp_webhooks_total{job="grafana-whatsapp-webhook",'
    'result=~"unauthenticated|replayed|too_large|malformed|queue_full"}'
)

RULES: Final = (
    Rule(
        uid="bridge-down",
        title="The WhatsApp bridge does not answer",
        question="Does the bridge answer?",
        group="whatsapp",
        expression='sum(up{job="grafana-whatsapp-webhook"}) or vector(0)',
        side=Side.BELOW,
        threshold=0.5,
        hold=timedelta(minutes=2),
        severity=Severity.CRITICAL,
        component=COMPONENT,
        summary="The WhatsApp bridge has not answered for 2 minutes: no alert reaches WhatsApp.",
        description="{{ $values.A }} bridges answer. Messages wait in Grafana, and reach nobody but by e-mail.",
        value_text="{{ $values.A }} bridges",
        no_data=Fallback(
            Unanswered.ALERTING,
            "The expression has always a value; none means that Prometheus knows nothing at all.",
        ),
    ),
    Rule(
        uid="bridge-not-configured",
        title="WhatsApp is not set up",
        question="Does the bridge have what it needs to write to WhatsApp?",
        group="whatsapp",
        expression='max(wearon_whatsapp_configured{job="grafana-whatsapp-webhook"})',
        side=Side.BELOW,
        threshold=0.5,
        hold=timedelta(minutes=5),
        severity=Severity.WARNING,
        component=COMPONENT,
        summary="Settings for WhatsApp are missing: alerts reach nobody but by e-mail.",
        description=(
            "The bridge says {{ $values.A }} of 1: a token, a number, recipients or a template is missing. It keeps"
            " what Grafana sends and tells nobody."
        ),
        value_text="configured: {{ $values.A }}",
        no_data=TOLD_BY_BRIDGE_DOWN,
    ),
    Rule(
        uid="bridge-queue-old",
        title="Messages to WhatsApp are stuck",
        question="Is a message older than 5 minutes still in the bridge's queue?",
        group="whatsapp",
        expression='max(wearon_whatsapp_oldest_message_seconds{job="grafana-whatsapp-webhook"})',
        side=Side.ABOVE,
        threshold=300,
        hold=timedelta(minutes=1),
        severity=Severity.CRITICAL,
        component=COMPONENT,
        summary="A message has been waiting for WhatsApp for more than 5 minutes.",
        description=(
            "The oldest message is {{ $values.A }} seconds old. Meta does not answer or refuses; the bridge goes on"
            " trying and loses nothing."
        ),
        value_text="{{ $values.A }} s old",
        no_data=TOLD_BY_BRIDGE_DOWN,
    ),
    Rule(
        uid="bridge-refused-by-meta",
        title="Meta refuses our messages",
        question="Does Meta refuse a message for a reason that does not pass by itself?",
        group="whatsapp",
        expression=f"sum by (result) ({added(REFUSED_BY_META, '15m')})",
        side=Side.ABOVE,
        threshold=0.5,
        hold=timedelta(0),
        severity=Severity.CRITICAL,
        component=COMPONENT,
        summary="Meta refuses our WhatsApp messages: {{ $labels.result }}.",
        description=(
            "About {{ $values.A }} refusals in 15 minutes because of {{ $labels.result }}. It needs a person with"
            " access to Meta's business account."
        ),
        value_text="about {{ $values.A }} refusals, {{ $labels.result }}",
        no_data=TOLD_BY_BRIDGE_DOWN,
        look_back=timedelta(minutes=20),
    ),
    Rule(
        uid="bridge-lost-message",
        title="A message to WhatsApp was given up",
        question="Was a message given up?",
        group="whatsapp",
        expression=f"sum by (outcome) ({added(GIVEN_UP, '15m')})",
        side=Side.ABOVE,
        threshold=0.5,
        hold=timedelta(0),
        severity=Severity.CRITICAL,
        component=COMPONENT,
        summary="A message to WhatsApp was given up: {{ $labels.outcome }}.",
        description=(
            "About {{ $values.A }} messages in 15 minutes were {{ $labels.outcome }}. Look in Grafana at which alerts"
            " fire: somebody was not told."
        ),
        value_text="about {{ $values.A }} messages, {{ $labels.outcome }}",
        no_data=TOLD_BY_BRIDGE_DOWN,
        look_back=timedelta(minutes=20),
    ),
    Rule(
        uid="bridge-refuses-grafana",
        title="The WhatsApp bridge refuses Grafana",
        question="Does the bridge refuse what Grafana sends?",
        group="whatsapp",
        expression=f"sum by (result) ({added(REFUSED_TO_GRAFANA, '15m')})",
        side=Side.ABOVE,
        threshold=0.5,
        hold=timedelta(0),
        severity=Severity.CRITICAL,
        component=COMPONENT,
        summary="The WhatsApp bridge refuses what Grafana sends: {{ $labels.result }}.",
        description=(
            "About {{ $values.A }} webhooks in 15 minutes were refused: {{ $labels.result }}. Unauthenticated means"
            " that Grafana and the bridge have different secrets, or that a stranger calls."
        ),
        value_text="about {{ $values.A }} webhooks, {{ $labels.result }}",
        no_data=TOLD_BY_BRIDGE_DOWN,
        look_back=timedelta(minutes=20),
    ),
)
