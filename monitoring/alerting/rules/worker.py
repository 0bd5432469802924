"""[pure] Are the worker and what it needs well?"""

from collections.abc import Mapping
from datetime import timedelta
from typing import Final

from monitoring.alerting.promql import WORKERS_NOT_DRAINING, in_words
from monitoring.alerting.rule import TOLD_BY_WORKER_GONE, Fallback, Rule, Severity, Side, Unanswered

COMPONENTS_IN_WORDS: Final[Mapping[str, str]] = {
    "redis": "Redis, the platform's queue",
    "broker": "Celery's broker",
    "model": "MediaPipe's pose model",
    "consumer": "the consumer that takes tasks",
    "celery": "the Celery process that runs tasks",
    "database": "Supabase's database",
    "storage": "Supabase's storage",
    "provider": "the image provider",
}
"""Every component of /health, as a person would say it."""

RULES: Final = (
    Rule(
        uid="worker-degraded",
        title="A part of the worker does not work",
        question="Is a part that the worker needs down on every worker that should work?",
        group="worker",
        expression=in_words(
            f'max by (component) (wearon_component_up{{job="worker"}} {WORKERS_NOT_DRAINING})',
            "component",
            "part",
            COMPONENTS_IN_WORDS,
        ),
        side=Side.BELOW,
        threshold=0.5,
        hold=timedelta(minutes=2),
        severity=Severity.CRITICAL,
        component=None,
        summary="Does not work for 2 minutes: {{ $labels.part }}.",
        description=(
            "/health says degraded because of {{ $labels.component }}: {{ $labels.part }}. Tasks wait until it works"
            " again; none is lost."
        ),
        value_text="{{ $labels.component }} is down",
        no_data=Fallback(
            Unanswered.OK,
            "No series means that no worker answers or that all of them drain: worker-gone tells the first, and the"
            " second is meant.",
        ),
    ),
    Rule(
        uid="worker-gone",
        title="No worker answers",
        question="Does at least one worker answer?",
        group="worker",
        expression='sum(up{job="worker"}) or vector(0)',
        side=Side.BELOW,
        threshold=0.5,
        hold=timedelta(minutes=2),
        severity=Severity.CRITICAL,
        component="worker",
        summary="No worker has answered for 2 minutes.",
        description=(
            "{{ $values.A }} workers answer Prometheus. No picture is made and no size is estimated; tasks wait in"
            " the queue."
        ),
        value_text="{{ $values.A }} workers",
        no_data=Fallback(
            Unanswered.ALERTING,
            "The expression has always a value; none means that Prometheus knows nothing at all.",
        ),
    ),
    Rule(
        uid="deploy-half-done",
        title="Two workers run for a quarter of an hour",
        question="Did a deploy stop halfway?",
        group="worker",
        expression='sum(up{job="worker"})',
        side=Side.ABOVE,
        threshold=1.5,
        hold=timedelta(minutes=15),
        severity=Severity.WARNING,
        component="deploy",
        summary="More than one worker has been running for 15 minutes: a deploy is half done.",
        description=(
            "{{ $values.A }} workers answer. A deploy runs two for 7 minutes at most. Both work, but memory is counted"
            " for two only while a deploy runs."
        ),
        value_text="{{ $values.A }} workers",
        no_data=TOLD_BY_WORKER_GONE,
    ),
    Rule(
        uid="provider-paused",
        title="Calls to the image provider are paused",
        question="Is the provider's account blocked?",
        group="worker",
        expression=f'max by (reason) (wearon_provider_paused{{job="worker"}} {WORKERS_NOT_DRAINING})',
        side=Side.ABOVE,
        threshold=0.5,
        hold=timedelta(0),
        severity=Severity.CRITICAL,
        component="provider",
        summary="Calls to the image provider are paused: {{ $labels.reason }}.",
        description=(
            "No picture can be made until a person mends the account ({{ $labels.reason }}). Tasks wait; none"
            " fails for it but the one that probes, once a minute. Mended, calls go on by themselves within a minute."
        ),
        value_text="paused: {{ $labels.reason }}",
        no_data=TOLD_BY_WORKER_GONE,
    ),
    Rule(
        uid="last-model",
        title="The last image model is in use",
        question="Is there a model to fall back on?",
        group="worker",
        expression=f'min(wearon_openai_models_left{{job="worker"}} {WORKERS_NOT_DRAINING})',
        side=Side.BELOW,
        threshold=1.5,
        hold=timedelta(minutes=1),
        severity=Severity.WARNING,
        component="provider",
        summary="The provider has only one of the configured image models left, or none.",
        description=(
            "{{ $values.A }} of the configured models are left. When the last one goes, no picture can be made. Name"
            " a second one in OPENAI_IMAGE_MODELS."
        ),
        value_text="{{ $values.A }} models left",
        no_data=TOLD_BY_WORKER_GONE,
    ),
    Rule(
        uid="model-retires",
        title="An image model retires soon",
        question="Does the provider shut a configured model down within 30 days?",
        group="worker",
        expression=(
            'round((min by (model) (wearon_openai_model_shutdown_timestamp_seconds{job="worker"}) - time()) / 86400,'
            " 0.1)"
        ),
        side=Side.BELOW,
        threshold=30,
        hold=timedelta(minutes=5),
        severity=Severity.WARNING,
        component="provider",
        summary="The provider shuts {{ $labels.model }} down within 30 days.",
        description=(
            "{{ $labels.model }} has {{ $values.A }} days left. Put its successor first in OPENAI_IMAGE_MODELS and"
            " deploy."
        ),
        value_text="{{ $values.A }} days left",
        no_data=Fallback(Unanswered.OK, "A series exists only where an end was announced."),
    ),
    Rule(
        uid="worker-memory",
        title="A worker's memory is nearly used up",
        question="Is a worker near the memory limit of its container?",
        group="worker",
        expression=(
            'round(100 * max by (instance) (wearon_memory_bytes{job="worker"}'
            ' / wearon_memory_limit_bytes{job="worker"}), 0.1)'
        ),
        side=Side.ABOVE,
        threshold=90,
        hold=timedelta(minutes=5),
        severity=Severity.WARNING,
        component="worker",
        summary="A worker has used more than 90 % of its memory for 5 minutes.",
        description=(
            "The worker {{ $labels.instance }} uses {{ $values.A }} % of its limit. At 100 % the kernel kills it; its"
            " tasks are handed back."
        ),
        value_text="{{ $values.A }} % of the limit",
        no_data=Fallback(Unanswered.OK, "Without a limit of the container there is nothing to be near to."),
    ),
)
