"""[pure] Tasks: do they succeed, which stage takes the time, what needed help."""

from typing import Final

from grafana_foundation_sdk.builders import dashboard as builders
from grafana_foundation_sdk.models import units

from monitoring.dashboards import limits
from monitoring.dashboards import metric_names as names
from monitoring.dashboards.frame import channel, frame, instance, with_rows
from monitoring.dashboards.links import document, logs_of, runbook
from monitoring.dashboards.panels import (
    HALF,
    NO_LIMIT,
    QUARTER,
    Metrics,
    Panel,
    Question,
    at_least,
    at_most,
    graph,
    stat,
)
from monitoring.dashboards.promql import (
    CHANNEL,
    RANGE,
    happened,
    highest,
    increase,
    lowest,
    of_workers,
    per_minute,
    percent,
    percentile,
    rate,
    seconds_until,
    select,
    total,
)
from monitoring.dashboards.words import PAUSED, STAGES, UP, YES_NO

UID: Final = "wearon-celery"

OURS: Final = 'name="wearon.generate"'
"""The one task there is (worker/celery_app.py)."""

RELIABILITY: Final = document("What happens in which fault", "reliability.md")
OPERATIONS: Final = document("What to do on the host", "operations.md")
NO_WORKER: Final = "no worker answers Prometheus"
NO_EXPORTER: Final = "the Celery exporter is not scraped, or Celery has not run such a task yet"


def build() -> builders.Dashboard:
    """The dashboard."""
    dashboard_builder = frame(
        uid=UID,
        title="WearOn: tasks (Celery)",
        description="Do tasks succeed, which stage takes the time, what needed help?",
        since="now-6h",
    )
    dashboard_builder.with_variable(channel()).with_variable(instance())
    return with_rows(
        dashboard_builder,
        ("Do tasks succeed?", SUCCESS_PANELS),
        ("Where does the time go?", STAGES_PANELS),
        ("Does the provider take our requests?", PROVIDER_PANELS),
        ("What needed help?", HELP_PANELS),
        ("What does Celery say itself?", CELERY_PANELS),
    )


SETTLED: Final = rate(of_workers(names.GENERATIONS, CHANNEL))
COMPLETED: Final = rate(of_workers(names.GENERATIONS, 'outcome="completed"', CHANNEL))
FAILED: Final = increase(of_workers(names.GENERATIONS, 'outcome="failed"', CHANNEL))

SUCCESS_PANELS: Final[tuple[Panel, ...]] = (
    graph(
        Question(
            title="How many of 100 generations succeed?",
            unit=units.Percent,
            description=(
                "Completed of all that ended, moment by moment. A line that falls below 90 for 5 minutes is an"
                " alert; the panel on the right says why they failed."
            ),
            empty="no generation ended in this time",
            thresholds=at_least(limits.SUCCESS_PERCENT, 100 - limits.FAILURE_ALERT_PERCENT),
            links=(logs_of("worker", "warning"), RELIABILITY, runbook("error-rate")),
        ),
        Metrics(percent(total(COMPLETED), total(SETTLED)), "succeeded"),
    ),
    graph(
        Question(
            title="Why do generations fail?",
            unit=units.Short,
            description=(
                "Failed generations by reason. image_… and not_an_image: the shopper's photos. moderated: the"
                " provider refused the picture. provider_…, quota_exhausted, credentials_rejected: the provider."
                " platform_…, storage_…: Supabase. Each is refunded."
            ),
            empty="no generation failed in this time",
            thresholds=NO_LIMIT,
            links=(logs_of("worker", "warning"), RELIABILITY, runbook("error-rate")),
        ),
        Metrics(happened(total(FAILED, "reason")), "{{reason}}"),
        stacked=True,
        bars=True,
    ),
    graph(
        Question(
            title="How many generations end in each channel?",
            unit=units.OpsPerMinute,
            description="Generations per minute by channel and outcome. A channel without any: ask the platform.",
            empty=NO_WORKER,
            thresholds=NO_LIMIT,
            links=(logs_of("worker"), RELIABILITY, runbook("nothing-succeeds")),
        ),
        Metrics(per_minute(total(SETTLED, "channel", "outcome")), "{{channel}} {{outcome}}"),
    ),
)


STAGE_RATES: Final = rate(of_workers(f"{names.STAGE_SECONDS}_bucket"))
WHOLE_RATES: Final = rate(of_workers(f"{names.GENERATION_SECONDS}_bucket", CHANNEL))

STAGES_PANELS: Final[tuple[Panel, ...]] = (
    graph(
        Question(
            title="How long does a generation take?",
            unit=units.Seconds,
            description=(
                "From the platform's request to the picture. NFR-1.1 wants P95 below 45 s. 600 s is the longest"
                " that can be shown: a line at 600 means that or more."
            ),
            empty="no generation was completed in this time",
            thresholds=at_most(limits.GENERATION_SECONDS),
            links=(logs_of("worker"), RELIABILITY),
        ),
        Metrics(percentile(limits.HIGH_PERCENTILE, WHOLE_RATES), "P95"),
        Metrics(percentile(limits.MEDIAN, WHOLE_RATES), "P50"),
    ),
    graph(
        Question(
            title="Which stage takes the time (P95)?",
            unit=units.Seconds,
            description=(
                "95 of 100 passed each stage within this. Long queue: too few workers, or none takes tasks. Long"
                " turn: the rate limit. Long provider: the model, see OPENAI_IMAGE_MODELS. Long store: Supabase."
            ),
            empty="no task passed a stage in this time",
            thresholds=NO_LIMIT,
            links=(logs_of("worker"), RELIABILITY),
            names=STAGES,
        ),
        Metrics(percentile(limits.HIGH_PERCENTILE, STAGE_RATES, "stage"), "{{stage}}"),
    ),
    graph(
        Question(
            title="Which stage takes the time (half of the tasks)?",
            unit=units.Seconds,
            description="The median of each stage: what is normal, beside the slow ones on the left.",
            empty="no task passed a stage in this time",
            thresholds=NO_LIMIT,
            links=(logs_of("worker"), RELIABILITY),
            names=STAGES,
        ),
        Metrics(percentile(limits.MEDIAN, STAGE_RATES, "stage"), "{{stage}}"),
    ),
    graph(
        Question(
            title="How many tasks wait?",
            unit=units.Short,
            description=(
                "Tasks in the platform's queue, as the workers read it. All read the same list, so the highest"
                " counts. Absent while Redis does not answer."
            ),
            empty="unknown: Redis does not answer the workers",
            thresholds=NO_LIMIT,
            links=(logs_of("worker"), RELIABILITY, runbook("queue-stalled")),
        ),
        Metrics(highest(of_workers(names.BACKLOG)), "waiting"),
    ),
    graph(
        Question(
            title="How long has the oldest task waited?",
            unit=units.Seconds,
            description="Age of the task at the head of the queue; 0 when none waits.",
            empty="unknown: Redis does not answer the workers",
            thresholds=at_most(limits.STALLED_SECONDS, limits.WAITING_WARNING_SECONDS),
            links=(logs_of("worker"), RELIABILITY, runbook("queue-stalled")),
        ),
        Metrics(highest(of_workers(names.OLDEST_WAITING_SECONDS)), "oldest"),
    ),
    graph(
        Question(
            title="How many tasks does each worker have in work?",
            unit=units.Short,
            description="Tasks taken and not finished. A draining worker's falls to 0, then it ends.",
            empty=NO_WORKER,
            thresholds=NO_LIMIT,
            links=(logs_of("worker"), RELIABILITY),
        ),
        Metrics(total(of_workers(names.TASKS_IN_FLIGHT), "instance"), "{{instance}}"),
    ),
)


PROVIDER_PANELS: Final[tuple[Panel, ...]] = (
    graph(
        Question(
            title="What does the provider answer?",
            unit=units.RequestsPerMinute,
            description=(
                "Requests per minute by result. ok is a picture; rate_limited is tried once more; model_gone and"
                " model_refused go on with the next model; quota_exhausted and credentials_rejected pause all"
                " calls."
            ),
            empty="the provider was asked nothing in this time",
            thresholds=NO_LIMIT,
            links=(logs_of("worker", "warning"), RELIABILITY),
        ),
        Metrics(
            happened(per_minute(total(rate(of_workers(names.PROVIDER_REQUESTS)), "model", "code"))),
            "{{model}} {{code}}",
        ),
    ),
    graph(
        Question(
            title="How near is the rate limit?",
            unit=units.Short,
            description=(
                "Requests of all workers in the last 60 s, and how many the provider allows (NFR-1.4). At the limit"
                " tasks wait in the stage turn."
            ),
            empty="unknown: Redis does not answer the workers",
            thresholds=NO_LIMIT,
            links=(logs_of("worker"), RELIABILITY),
        ),
        Metrics(highest(of_workers(names.RATE_WINDOW)), "requests in 60 s"),
        Metrics(highest(of_workers(names.RATE_WINDOW_LIMIT)), "limit"),
    ),
    graph(
        Question(
            title="Why are calls to the provider paused?",
            unit=units.NoUnit,
            description=(
                "1 while calls are paused for that reason. quota_exhausted: pay or raise the limit at the"
                " provider. credentials_rejected: renew the key in .env. no_model_left: set OPENAI_IMAGE_MODELS."
            ),
            empty=NO_WORKER,
            thresholds=at_most(1),
            links=(logs_of("worker", "error"), RELIABILITY, runbook("provider-paused")),
            words=PAUSED,
        ),
        Metrics(highest(of_workers(names.PROVIDER_PAUSED), "reason"), "{{reason}}"),
    ),
    stat(
        Question(
            title="How many image models are left?",
            unit=units.Short,
            description=(
                "Configured models that the provider still has. 1: the last one is in use; put another into"
                " OPENAI_IMAGE_MODELS. 0: nothing can be made."
            ),
            empty=NO_WORKER,
            thresholds=at_least(2, 1),
            links=(logs_of("worker"), OPERATIONS, runbook("last-model")),
        ),
        Metrics(lowest(of_workers(names.MODELS_LEFT)), "models"),
    ),
    stat(
        Question(
            title="When does a model end?",
            unit=units.Seconds,
            description=(
                "Time until the provider shuts a configured model down, where it has announced that. Below 30 days:"
                " try the next model and put it into OPENAI_IMAGE_MODELS."
            ),
            empty="no end is announced",
            thresholds=at_least(limits.MODEL_SHUTDOWN_SECONDS),
            links=(logs_of("worker"), OPERATIONS, runbook("model-retires")),
        ),
        Metrics(lowest(seconds_until(of_workers(names.MODEL_SHUTDOWN)), "model"), "{{model}}"),
        shows_name=True,
    ),
    stat(
        Question(
            title="How often was a model found gone?",
            unit=units.Short,
            description=(
                "Times that a request met a model the provider no longer has, in the time shown. Each costs a"
                " second and then the next model is used; take the model out of OPENAI_IMAGE_MODELS."
            ),
            empty=NO_WORKER,
            thresholds=at_most(limits.ANY),
            links=(logs_of("worker", "error"), OPERATIONS, runbook("last-model")),
            decimals=0,
        ),
        Metrics(total(increase(of_workers(names.MODEL_GONE), RANGE), "model"), "{{model}}"),
        width=HALF,
        shows_name=True,
    ),
)


HELP_PANELS: Final[tuple[Panel, ...]] = (
    graph(
        Question(
            title="What was recovered?",
            unit=units.Short,
            description=(
                "Tasks handed back after a worker died, and sessions settled that had lost their task. Normal after"
                " a crash or a deploy; without one, look at why workers die. Refused: the database will not settle a"
                " session; lost_session_not_settled in the log says why."
            ),
            empty=NO_WORKER,
            thresholds=at_most(limits.ANY),
            links=(logs_of("worker", "warning"), RELIABILITY),
        ),
        Metrics(total(increase(of_workers(names.RECOVERED)), "action"), "{{action}}"),
        Metrics(total(increase(of_workers(names.SETTLEMENT_REFUSED))), "refused"),
        width=QUARTER,
        bars=True,
    ),
    graph(
        Question(
            title="How often did Celery restart?",
            unit=units.Short,
            description="By reason. Its tasks are given back each time. More than once a day: read its last lines.",
            empty=NO_WORKER,
            thresholds=at_most(limits.ANY),
            links=(logs_of("worker", "error"), RELIABILITY),
        ),
        Metrics(total(increase(of_workers(names.EXECUTOR_RESTARTS)), "reason"), "{{reason}}"),
        width=QUARTER,
        bars=True,
    ),
    graph(
        Question(
            title="Which queue elements were no tasks?",
            unit=units.Short,
            description=(
                "Dead letters by reason: elements the worker could not read as a task. Their sessions are failed"
                " and refunded. Tell the platform's people; `wearon dead-letters list` shows them."
            ),
            empty=NO_WORKER,
            thresholds=at_most(limits.ANY),
            links=(logs_of("worker", "warning"), OPERATIONS, runbook("dead-letters")),
        ),
        Metrics(total(increase(of_workers(names.DEAD_LETTERS)), "reason"), "{{reason}}"),
        width=QUARTER,
        bars=True,
    ),
    graph(
        Question(
            title="Did an error surprise us?",
            unit=units.Short,
            description="Faults of our own that were survived. The log has the traceback: each is a defect.",
            empty=NO_WORKER,
            thresholds=at_most(limits.ANY),
            links=(logs_of("worker", "error"), RELIABILITY),
        ),
        Metrics(total(increase(of_workers(names.UNFORESEEN_ERRORS)), "where"), "{{where}}"),
        width=QUARTER,
        bars=True,
    ),
    stat(
        Question(
            title="Which workers are told to stop?",
            unit=units.NoUnit,
            description="A draining worker lets its tasks finish and takes no new ones, for 320 s at most.",
            empty=NO_WORKER,
            thresholds=NO_LIMIT,
            links=(logs_of("worker"), OPERATIONS, runbook("deploy-half-done")),
            words=YES_NO,
        ),
        Metrics(highest(of_workers(names.DRAINING), "instance"), "{{instance}}"),
        width=HALF,
        shows_name=True,
    ),
    stat(
        Question(
            title="Which workers are still starting?",
            unit=units.NoUnit,
            description=(
                "A worker that starts looks for Redis, the database and Storage until all are there. For more than"
                " a minute: its log says what it waits for."
            ),
            empty=NO_WORKER,
            thresholds=NO_LIMIT,
            links=(logs_of("worker"), OPERATIONS, runbook("worker-gone")),
            words=YES_NO,
        ),
        Metrics(highest(of_workers(names.STARTING), "instance"), "{{instance}}"),
        width=HALF,
        shows_name=True,
    ),
)


CELERY_PANELS: Final[tuple[Panel, ...]] = (
    graph(
        Question(
            title="How do Celery's tasks end?",
            unit=units.OpsPerMinute,
            description=(
                "Tasks per minute as Celery's events tell. A generation that failed and was refunded counts as"
                " succeeded here, because the task did its work; the first row of this dashboard has the truth."
            ),
            empty=NO_EXPORTER,
            thresholds=NO_LIMIT,
            links=(logs_of("worker"), logs_of("celery-exporter"), RELIABILITY),
        ),
        Metrics(per_minute(total(rate(select(names.CELERY_RECEIVED, OURS)))), "received"),
        Metrics(per_minute(total(rate(select(names.CELERY_SUCCEEDED, OURS)))), "succeeded"),
        Metrics(per_minute(total(rate(select(names.CELERY_FAILED, OURS)))), "failed"),
        Metrics(per_minute(total(rate(select(names.CELERY_RETRIED, OURS)))), "tried again"),
        width=QUARTER,
    ),
    graph(
        Question(
            title="How long do tasks run (P95)?",
            unit=units.Seconds,
            description="A run of a task, without its time in the queue. 300 s is its limit (NFR-5.2).",
            empty="no task of Celery ended in this time",
            thresholds=at_most(limits.TASK_SECONDS, limits.GENERATION_SECONDS),
            links=(logs_of("worker"), logs_of("celery-exporter"), RELIABILITY),
        ),
        Metrics(
            percentile(limits.HIGH_PERCENTILE, rate(select(f"{names.CELERY_RUNTIME}_bucket", OURS)), "name"),
            "{{name}}",
        ),
        width=QUARTER,
    ),
    graph(
        Question(
            title="How long are the queues in Redis?",
            unit=units.Short,
            description=(
                "As the exporter reads them: the platform's list and Celery's own queue. Celery's is short always,"
                " since the worker takes a task only when a thread is free."
            ),
            empty="the Celery exporter is not scraped",
            thresholds=NO_LIMIT,
            links=(logs_of("celery-exporter"), RELIABILITY),
        ),
        Metrics(highest(names.CELERY_QUEUE_LENGTH, "queue_name"), "{{queue_name}}"),
        width=QUARTER,
    ),
    graph(
        Question(
            title="What is Celery working on?",
            unit=units.Short,
            description="Tasks that run now, by the host name of the container.",
            empty="the Celery exporter is not scraped",
            thresholds=NO_LIMIT,
            links=(logs_of("celery-exporter"), RELIABILITY),
        ),
        Metrics(highest(names.CELERY_ACTIVE, "hostname"), "{{hostname}}"),
        width=QUARTER,
    ),
    stat(
        Question(
            title="Which of Celery's workers send heartbeats?",
            unit=units.NoUnit,
            description=(
                "By the host name of the container. One that was replaced is shown as down for ten minutes, then"
                " forgotten."
            ),
            empty="the Celery exporter is not scraped",
            thresholds=at_least(1),
            links=(logs_of("celery-exporter"), RELIABILITY, runbook("worker-degraded")),
            words=UP,
        ),
        Metrics(highest(names.CELERY_WORKER_UP, "hostname"), "{{hostname}}"),
        width=HALF,
        shows_name=True,
    ),
)
