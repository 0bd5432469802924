"""[pure] Is the site reached from outside, with a certificate that lasts?"""

from datetime import timedelta
from typing import Final

from monitoring.alerting.promql import hours_since
from monitoring.alerting.rule import Fallback, Rule, Severity, Side, Source, Unanswered

RULES: Final = (
    Rule(
        uid="site-down",
        title="The site does not answer",
        question="Does https://DOMAIN/health answer?",
        group="site",
        expression='min(probe_success{job="site"})',
        side=Side.BELOW,
        threshold=0.5,
        hold=timedelta(minutes=1),
        severity=Severity.CRITICAL,
        component="nginx",
        summary="The site has not answered over TLS for a minute.",
        description=(
            "The probe of /health through nginx fails: nginx, its certificate or the worker behind it. Nobody gets a"
            " size; orders still reach the queue."
        ),
        value_text="probe result {{ $values.A }}",
        no_data=Fallback(
            Unanswered.ALERTING, "Without the probe nobody knows whether the site answers: to be told as its failure."
        ),
    ),
    Rule(
        uid="nginx-5xx",
        title="The site answers with errors",
        question="Does nginx answer with 5xx?",
        group="site",
        expression=(
            'sum(count_over_time({service="nginx"} | json | event="http_request" | status >= 500 [5m])) or vector(0)'
        ),
        side=Side.ABOVE,
        threshold=4.5,
        hold=timedelta(0),
        severity=Severity.WARNING,
        component="nginx",
        summary="nginx answered five or more requests with a server error in 5 minutes.",
        description=(
            "{{ $values.A }} answers of 5xx in 5 minutes. 502 and 504: the worker or Grafana does not answer; 503: no"
            " process of the worker that measures sizes is ready."
        ),
        value_text="{{ $values.A }} in 5 minutes",
        no_data=Fallback(Unanswered.OK, "No line counts as 0; a pipeline without lines is told by logs-silent."),
        source=Source.LOKI,
    ),
    Rule(
        uid="certificate-expires",
        title="The certificate ends soon",
        question="Is the certificate that is served good for another 14 days?",
        group="site",
        expression='round((min(probe_ssl_earliest_cert_expiry{job="site"}) - time()) / 86400, 0.01)',
        side=Side.BELOW,
        threshold=14,
        hold=timedelta(minutes=5),
        severity=Severity.CRITICAL,
        component="certificate",
        summary="The certificate that the site serves ends in less than 14 days.",
        description=(
            "{{ $values.A }} days are left. It renews itself long before; so renewal, or the reload of nginx, has"
            " failed for weeks. Afterwards no browser and no app gets through."
        ),
        value_text="{{ $values.A }} days left",
        no_data=Fallback(Unanswered.OK, "A site without an answer has no certificate to show: site-down tells it."),
    ),
    Rule(
        uid="renewal-silent",
        title="The certificate's renewal does not run",
        question="Did the renewal run within 26 hours?",
        group="site",
        expression=hours_since('max(wearon_certificate_renewal_last_success_timestamp_seconds{job="node-exporter"})'),
        side=Side.ABOVE,
        threshold=26,
        hold=timedelta(hours=1),
        severity=Severity.WARNING,
        component="certificate",
        summary="The renewal of the certificate has not succeeded for more than 26 hours.",
        description=(
            "The last success is {{ $values.A }} hours old; no value means that there was none. It runs every"
            " night between 3:00 and 4:00, also when nothing is due."
        ),
        value_text="{{ $values.A }} hours old",
        no_data=Fallback(
            Unanswered.ALERTING, "A host on which it never succeeded has no series, and is the one to be told of."
        ),
    ),
)
