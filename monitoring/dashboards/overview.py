"""[pure] The overview: is the shop open, is it fast enough, does the host last."""

from typing import Final

from grafana_foundation_sdk.builders import dashboard as builders
from grafana_foundation_sdk.models import units

from monitoring.dashboards import limits
from monitoring.dashboards import metric_names as names
from monitoring.dashboards.celery import UID as CELERY_UID
from monitoring.dashboards.fastapi import UID as FASTAPI_UID
from monitoring.dashboards.frame import channel, frame, instance, with_rows
from monitoring.dashboards.links import dashboard, document, logs_of, runbook
from monitoring.dashboards.panels import (
    FULL,
    NO_LIMIT,
    QUARTER,
    SIXTH,
    THIRD,
    Metrics,
    Panel,
    Question,
    at_least,
    at_most,
    graph,
    stat,
    table,
)
from monitoring.dashboards.promql import (
    CHANNEL,
    RANGE,
    highest,
    increase,
    lowest,
    of_workers,
    per_minute,
    percent,
    percentile,
    rate,
    seconds_since,
    seconds_until,
    select,
    total,
)
from monitoring.dashboards.words import COMPONENTS, PAUSED, SET, UP

UID: Final = "wearon-overview"

OPERATIONS: Final = document("What to do on the host", "operations.md")
TO_CELERY: Final = dashboard("Tasks in detail", CELERY_UID)
TO_FASTAPI: Final = dashboard("HTTP in detail", FASTAPI_UID)

IDLE: Final = 'mode="idle"'

HOST_DISKS: Final = 'mountpoint=~"/|/var/lib/docker|/opt/wearon"'
"""Where the system, Docker's volumes and the release lie."""


def build() -> builders.Dashboard:
    """The dashboard."""
    dashboard_builder = frame(
        uid=UID,
        title="WearOn: overview",
        description="Is everything up, are tasks done in time, does the host last?",
        since="now-6h",
    )
    dashboard_builder.with_variable(channel()).with_variable(instance())
    return with_rows(
        dashboard_builder,
        ("Is everything up?", UP_PANELS),
        ("Are tasks done, and in time?", TASKS_PANELS),
        ("Does the host last?", HOST_PANELS),
        ("Would anybody be told?", MESSAGES_PANELS),
    )


UP_PANELS: Final[tuple[Panel, ...]] = (
    stat(
        Question(
            title="Does every part of the worker work?",
            unit=units.NoUnit,
            description=(
                "What GET /health says, by part. A part works when it works on one worker at least, so that a"
                " worker that is being replaced does not look ill. A part that is down: open its logs and the"
                " runbook of its alert."
            ),
            empty="no worker answers Prometheus",
            thresholds=at_least(1),
            links=(logs_of("worker", "error"), TO_CELERY, OPERATIONS, runbook("worker-degraded")),
            words=UP,
            names=COMPONENTS,
        ),
        Metrics(highest(of_workers(names.COMPONENT_UP), "component"), "{{component}}"),
        width=FULL,
        shows_name=True,
    ),
    stat(
        Question(
            title="How many workers serve?",
            unit=units.Short,
            description=(
                "Workers that are ready and not told to stop. One is normal, two for minutes during a deploy. 0:"
                " no task is taken, they wait in the queue; look at the worker's log."
            ),
            empty="no worker answers Prometheus",
            thresholds=at_least(1),
            links=(logs_of("worker"), OPERATIONS, runbook("worker-gone")),
        ),
        Metrics(
            f"count(({of_workers(names.STARTING)} == 0) unless on (instance) ({of_workers(names.DRAINING)} == 1))"
            " or vector(0)",
            "workers",
        ),
        width=SIXTH,
    ),
    stat(
        Question(
            title="Does the site answer?",
            unit=units.NoUnit,
            description=(
                "GET /health through nginx and TLS, every 15 s, from this host. It does not see what lies between"
                " the internet and the host: firewall and DNS."
            ),
            empty="the probe is not scraped: see the targets",
            thresholds=at_least(1),
            links=(logs_of("nginx"), TO_FASTAPI, OPERATIONS, runbook("site-down")),
            words=UP,
        ),
        Metrics(lowest(select(names.PROBE_SUCCESS, 'job="site"')), "site"),
        width=SIXTH,
    ),
    stat(
        Question(
            title="How many targets fail?",
            unit=units.Short,
            description=(
                "Programs that Prometheus asks for metrics and that do not answer. Not 0: every panel about them"
                " is blind. The table below names them."
            ),
            empty="Prometheus has no targets at all",
            thresholds=at_most(1),
            links=(logs_of("prometheus"), OPERATIONS, runbook("target-down")),
        ),
        Metrics(f"count({names.TARGET_UP} == 0) or vector(0)", "targets"),
        width=SIXTH,
    ),
    stat(
        Question(
            title="How many alerts fire?",
            unit=units.Short,
            description=(
                "Alerts in the state alerting, as Grafana counts them. Grafana's page Alerting lists them; each has"
                " a link to its runbook."
            ),
            empty="Grafana is not scraped",
            thresholds=at_most(1),
            links=(logs_of("grafana"), document("Runbooks", "runbooks")),
        ),
        Metrics(total(select(names.GRAFANA_ALERTS, 'state="alerting"')), "alerts"),
        width=SIXTH,
    ),
    stat(
        Question(
            title="Is Redis up?",
            unit=units.NoUnit,
            description="Does Redis answer its exporter? When it does not, no task is taken or given out.",
            empty="the Redis exporter is not scraped",
            thresholds=at_least(1),
            links=(logs_of("redis"), OPERATIONS, runbook("worker-degraded")),
            words=UP,
        ),
        Metrics(lowest(names.REDIS_UP), "redis"),
        width=SIXTH,
    ),
    stat(
        Question(
            title="Is the provider paused?",
            unit=units.NoUnit,
            description=(
                "1 while the worker calls nobody because calls cannot succeed: no quota, a key refused, no model"
                " left. The dashboard of tasks says why. Tasks wait meanwhile or are refunded."
            ),
            empty="no worker answers Prometheus",
            thresholds=at_most(1),
            links=(logs_of("worker", "error"), TO_CELERY, OPERATIONS, runbook("provider-paused")),
            words=PAUSED,
        ),
        Metrics(highest(of_workers(names.PROVIDER_PAUSED)), "provider"),
        width=SIXTH,
    ),
    table(
        Question(
            title="Which version runs where?",
            unit=units.NoUnit,
            description=(
                "Each worker with the release and commit in its image. Two rows for more than 15 minutes: a deploy"
                " is half done."
            ),
            empty="no worker answers Prometheus",
            thresholds=NO_LIMIT,
            links=(logs_of("worker"), OPERATIONS, runbook("deploy-half-done")),
        ),
        Metrics(
            total(of_workers(names.BUILD_INFO), "instance", "version", "commit"), "{{instance}} {{version}} {{commit}}"
        ),
    ),
    table(
        Question(
            title="Which targets can be read?",
            unit=units.NoUnit,
            description="Every target of Prometheus. A target that is down: look at that service's log.",
            empty="Prometheus has no targets at all",
            thresholds=at_least(1),
            links=(logs_of("prometheus"), OPERATIONS, runbook("target-down")),
            words=UP,
        ),
        Metrics(lowest(names.TARGET_UP, "job", "instance"), "{{job}} {{instance}}"),
    ),
)


SETTLED: Final = increase(of_workers(names.GENERATIONS, CHANNEL), RANGE)
COMPLETED: Final = increase(of_workers(names.GENERATIONS, 'outcome="completed"', CHANNEL), RANGE)

TASKS_PANELS: Final[tuple[Panel, ...]] = (
    stat(
        Question(
            title="How many of 100 generations succeed?",
            unit=units.Percent,
            description=(
                "Completed of all that ended in the time shown. Below 95: see on the dashboard of tasks why they"
                " fail. Photos that nobody can use count as failed too."
            ),
            empty="no generation ended in this time",
            thresholds=at_least(limits.SUCCESS_PERCENT, 100 - limits.FAILURE_ALERT_PERCENT),
            links=(logs_of("worker", "warning"), TO_CELERY, OPERATIONS, runbook("error-rate")),
            decimals=1,
        ),
        Metrics(percent(total(COMPLETED), total(SETTLED)), "succeeded"),
    ),
    stat(
        Question(
            title="How long do generations take (P95)?",
            unit=units.Seconds,
            description=(
                "95 of 100 took at most this, from the platform's request to the picture, in the time shown."
                " NFR-1.1 wants 45 s. Longer: see which stage takes it on the dashboard of tasks."
            ),
            empty="no generation was completed in this time",
            thresholds=at_most(limits.GENERATION_SECONDS),
            links=(logs_of("worker"), TO_CELERY, OPERATIONS),
            decimals=1,
        ),
        Metrics(
            percentile(
                limits.HIGH_PERCENTILE,
                increase(of_workers(f"{names.GENERATION_SECONDS}_bucket", CHANNEL), RANGE),
            ),
            "P95",
        ),
    ),
    stat(
        Question(
            title="How long do sizes take (P95)?",
            unit=units.Seconds,
            description=(
                "95 of 100 were answered within this in the time shown, download of the photo included. NFR-1.2"
                " wants 3 s."
            ),
            empty="no size was asked for in this time",
            thresholds=at_most(limits.SIZE_SECONDS),
            links=(logs_of("worker"), TO_FASTAPI, OPERATIONS),
            decimals=2,
        ),
        Metrics(
            percentile(limits.HIGH_PERCENTILE, increase(of_workers(f"{names.SIZE_SECONDS}_bucket"), RANGE)),
            "P95",
        ),
    ),
    stat(
        Question(
            title="How long has the oldest task waited?",
            unit=units.Seconds,
            description=(
                "Age of the task at the head of the queue. From 45 s on that task misses NFR-1.1; from 30 minutes"
                " on, with nothing processed, the alert says that the queue stalled."
            ),
            empty="unknown: Redis does not answer the workers",
            thresholds=at_most(limits.STALLED_SECONDS, limits.WAITING_WARNING_SECONDS),
            links=(logs_of("worker"), TO_CELERY, OPERATIONS, runbook("queue-stalled")),
        ),
        Metrics(highest(of_workers(names.OLDEST_WAITING_SECONDS)), "oldest"),
    ),
    graph(
        Question(
            title="Do tasks pile up?",
            unit=units.Short,
            description=(
                "Tasks in the platform's queue, and tasks in work. The queue is read by every worker from the same"
                " place, so the highest counts; tasks in work are each worker's own and are added. A queue that"
                " grows while nothing is in work: look at what is down."
            ),
            empty="unknown: Redis does not answer the workers",
            thresholds=NO_LIMIT,
            links=(logs_of("worker"), TO_CELERY, OPERATIONS, runbook("queue-stalled")),
        ),
        Metrics(highest(of_workers(names.BACKLOG)), "waiting"),
        Metrics(total(of_workers(names.TASKS_IN_FLIGHT)), "in work"),
    ),
    graph(
        Question(
            title="How much of the provider's limit is used?",
            unit=units.Percent,
            description=(
                "Requests of all workers in the last 60 s, as part of what the provider allows (NFR-1.4). At 100"
                " tasks wait for a turn; it never goes above."
            ),
            empty="unknown: Redis does not answer the workers",
            thresholds=at_most(limits.RATE_LIMIT_PERCENT, limits.RATE_LIMIT_WARNING_PERCENT),
            links=(logs_of("worker"), TO_CELERY, OPERATIONS),
        ),
        Metrics(
            percent(highest(of_workers(names.RATE_WINDOW)), highest(of_workers(names.RATE_WINDOW_LIMIT))),
            "used",
        ),
    ),
    graph(
        Question(
            title="How many generations end, and how?",
            unit=units.OpsPerMinute,
            description=(
                "Generations per minute. Failed ones are refunded. None at all while tasks wait: the queue stalled."
            ),
            empty="no worker answers Prometheus",
            thresholds=NO_LIMIT,
            links=(logs_of("worker"), TO_CELERY, OPERATIONS, runbook("nothing-succeeds")),
        ),
        Metrics(per_minute(total(rate(of_workers(names.GENERATIONS, CHANNEL)), "outcome")), "{{outcome}}"),
    ),
)


USED_MEMORY: Final = f"({names.MEMORY_TOTAL} - {names.MEMORY_AVAILABLE})"

HOST_PANELS: Final[tuple[Panel, ...]] = (
    graph(
        Question(
            title="How busy are the processors?",
            unit=units.Percent,
            description=(
                "Of all processors of the host. Above 85 for 5 minutes is an alert: pictures are prepared slower,"
                " sizes take longer."
            ),
            empty="the node exporter is not scraped",
            thresholds=at_most(limits.CPU_PERCENT),
            links=(logs_of("worker"), OPERATIONS, runbook("cpu-high")),
        ),
        Metrics(f"100 * (1 - avg({rate(select(names.CPU_SECONDS, IDLE))}))", "busy"),
    ),
    graph(
        Question(
            title="How full is the host's memory?",
            unit=units.Percent,
            description="Memory that programs cannot get any more, of the whole host.",
            empty="the node exporter is not scraped",
            thresholds=at_most(limits.HOST_MEMORY_PERCENT, limits.MEMORY_WARNING_PERCENT),
            links=(logs_of("worker"), OPERATIONS, runbook("host-memory")),
        ),
        Metrics(percent(USED_MEMORY, names.MEMORY_TOTAL), "used"),
    ),
    graph(
        Question(
            title="How near is each worker to its memory limit?",
            unit=units.Percent,
            description=(
                "The container's memory, of its limit. At 100 the kernel ends it (status 137) and its tasks are"
                " given back. Near it for hours: fewer generations at once (WORKER_CONCURRENCY) or a larger limit."
            ),
            empty="the worker runs without a memory limit",
            thresholds=at_most(limits.MEMORY_PERCENT, limits.MEMORY_WARNING_PERCENT),
            links=(logs_of("worker"), OPERATIONS, runbook("worker-memory")),
        ),
        Metrics(
            percent(highest(of_workers(names.MEMORY), "instance"), highest(of_workers(names.MEMORY_LIMIT), "instance")),
            "{{instance}}",
        ),
    ),
    stat(
        Question(
            title="How much disk is free?",
            unit=units.BytesIEC,
            description=(
                "On the host's file system that is fullest. Below 2 GB is an alert: then logs, metrics and"
                " Redis's files cannot grow, and a Redis that cannot write takes no tasks."
            ),
            empty="the node exporter is not scraped",
            thresholds=at_least(limits.DISK_WARNING_BYTES, limits.DISK_BYTES),
            links=(logs_of("redis"), OPERATIONS, runbook("disk-low")),
        ),
        Metrics(
            lowest(select(names.DISK_AVAILABLE, HOST_DISKS)),
            "free",
        ),
        width=SIXTH,
    ),
    stat(
        Question(
            title="How long is the certificate valid?",
            unit=units.Seconds,
            description=(
                "Of the certificate that port 443 shows now, and as the renewal script last saw it. Renewal begins a"
                " month before the end; below 14 days two weeks of renewals have failed."
            ),
            empty="neither the probe nor a renewal has seen a certificate",
            thresholds=at_least(limits.CERTIFICATE_SECONDS),
            links=(logs_of("certbot"), logs_of("nginx"), OPERATIONS, runbook("certificate-expires")),
        ),
        Metrics(lowest(seconds_until(select(names.PROBE_CERTIFICATE_EXPIRY, 'job="site"'))), "served now"),
        Metrics(lowest(seconds_until(names.CERTIFICATE_EXPIRY)), "at the last renewal"),
        width=THIRD,
        shows_name=True,
    ),
    stat(
        Question(
            title="How old is the renewal?",
            unit=units.Seconds,
            description=(
                "Age of the last run of renew-certs.sh that ended well; it runs twice a day. Older than 26 hours is"
                " an alert: look at cron's mail and run it by hand."
            ),
            empty="no renewal has run on this host yet",
            thresholds=at_most(limits.NIGHTLY_SECONDS),
            links=(logs_of("certbot"), OPERATIONS, runbook("renewal-silent")),
        ),
        Metrics(lowest(seconds_since(names.RENEWAL)), "renewal"),
        width=SIXTH,
    ),
    stat(
        Question(
            title="How old is the backup?",
            unit=units.Seconds,
            description="Age of the last backup that ended well. Older than 26 hours is an alert.",
            empty="no backup was made on this host yet",
            thresholds=at_most(limits.NIGHTLY_SECONDS),
            links=(logs_of("redis"), OPERATIONS, runbook("backup-old")),
        ),
        Metrics(lowest(seconds_since(names.BACKUP)), "backup"),
        width=SIXTH,
    ),
    stat(
        Question(
            title="How large is Redis?",
            unit=units.BytesIEC,
            description=(
                "Queues, in-flight copies and dead letters. It grows when tasks pile up; at its limit Redis"
                " refuses writes rather than lose a task."
            ),
            empty="the Redis exporter is not scraped",
            thresholds=NO_LIMIT,
            links=(logs_of("redis"), OPERATIONS),
        ),
        Metrics(highest(names.REDIS_MEMORY), "used"),
        width=SIXTH,
    ),
)


BRIDGE: Final = (logs_of("grafana-whatsapp-webhook"), document("WhatsApp", "whatsapp.md"))

MESSAGES_PANELS: Final[tuple[Panel, ...]] = (
    graph(
        Question(
            title="Does WhatsApp take our messages?",
            unit=units.Short,
            description=(
                "Messages by what WhatsApp did with them. refused and expired ones reached nobody: the log of the"
                " bridge has Meta's reason."
            ),
            empty="the WhatsApp bridge is not scraped",
            thresholds=NO_LIMIT,
            links=(*BRIDGE, runbook("bridge-lost-message")),
        ),
        Metrics(total(increase(names.WHATSAPP_MESSAGES), "outcome"), "{{outcome}}"),
        width=QUARTER,
    ),
    graph(
        Question(
            title="What does Meta answer?",
            unit=units.Short,
            description=(
                "Calls to WhatsApp's API by result. token: the access token ended; template: the template is not"
                " approved; rate: too many; billing: the account is not paid."
            ),
            empty="the WhatsApp bridge is not scraped",
            thresholds=NO_LIMIT,
            links=(*BRIDGE, runbook("bridge-refused-by-meta")),
        ),
        Metrics(total(increase(names.WHATSAPP_REQUESTS), "result"), "{{result}}"),
        width=QUARTER,
    ),
    graph(
        Question(
            title="Does the bridge take alerts?",
            unit=units.Short,
            description=(
                "Webhooks by result. unauthenticated or replayed: the shared secret or a clock is wrong;"
                " queue_full: nothing reaches WhatsApp."
            ),
            empty="the WhatsApp bridge is not scraped",
            thresholds=NO_LIMIT,
            links=(*BRIDGE, logs_of("grafana"), runbook("bridge-refuses-grafana")),
        ),
        Metrics(total(increase(names.WHATSAPP_WEBHOOKS), "result"), "{{result}}"),
        width=QUARTER,
    ),
    graph(
        Question(
            title="How long do messages wait?",
            unit=units.Seconds,
            description="Age of the oldest message that is still to be sent. Above a minute story 5.1 is missed.",
            empty="the WhatsApp bridge is not scraped",
            thresholds=at_most(limits.MESSAGE_OLD_SECONDS, limits.MESSAGE_SECONDS),
            links=(*BRIDGE, runbook("bridge-queue-old")),
        ),
        Metrics(highest(names.WHATSAPP_OLDEST_SECONDS), "oldest message"),
        width=QUARTER,
    ),
    stat(
        Question(
            title="Can the bridge send at all?",
            unit=units.NoUnit,
            description=(
                "Whether every setting for Meta is there. Without them alerts are taken and nobody is told: set the"
                " WHATSAPP_ settings in .env, then `send-test`."
            ),
            empty="the WhatsApp bridge is not scraped",
            thresholds=at_least(1),
            links=(*BRIDGE, runbook("bridge-refused-by-meta")),
            words=SET,
        ),
        Metrics(lowest(names.WHATSAPP_CONFIGURED), "settings"),
        width=THIRD,
    ),
    stat(
        Question(
            title="How many messages wait in the bridge?",
            unit=units.Short,
            description="Messages to be sent. They survive a restart of the bridge.",
            empty="the WhatsApp bridge is not scraped",
            thresholds=at_most(1),
            links=(*BRIDGE, runbook("bridge-queue-old")),
        ),
        Metrics(highest(names.WHATSAPP_QUEUE), "waiting"),
        width=THIRD,
    ),
    stat(
        Question(
            title="When did WhatsApp last take a message?",
            unit=units.Seconds,
            description=(
                "Age of the last message that Meta accepted. The dead-man's switch sends one regularly, so an old"
                " one means that nobody would be told."
            ),
            empty="WhatsApp has taken no message yet: run send-test",
            thresholds=at_most(limits.NIGHTLY_SECONDS),
            links=(*BRIDGE, runbook("dead-mans-switch")),
        ),
        Metrics(lowest(seconds_since(names.WHATSAPP_LAST_ACCEPTED)), "last accepted"),
        width=THIRD,
    ),
)
