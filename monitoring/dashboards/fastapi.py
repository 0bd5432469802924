"""[pure] HTTP: what callers get, how fast, and what becomes of size recommendations."""

from typing import Final

from grafana_foundation_sdk.builders import dashboard as builders
from grafana_foundation_sdk.models import units

from monitoring.dashboards import limits
from monitoring.dashboards import metric_names as names
from monitoring.dashboards.frame import frame, instance, with_rows
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
    select,
    total,
)
from monitoring.dashboards.words import UP

UID: Final = "wearon-fastapi"

SIZES: Final = document("How a size comes about", "size-recommendation.md")
OPERATIONS: Final = document("What to do on the host", "operations.md")
SITE: Final = 'job="site"'
NO_WORKER: Final = "no worker answers Prometheus"
NO_REQUEST: Final = "nobody asked in this time"


def build() -> builders.Dashboard:
    """The dashboard."""
    dashboard_builder = frame(
        uid=UID,
        title="WearOn: HTTP and sizes (FastAPI)",
        description="What do callers get, how fast, and what becomes of size recommendations?",
        since="now-6h",
    )
    dashboard_builder.with_variable(instance())
    return with_rows(
        dashboard_builder,
        ("Do callers get answers?", ANSWERS_PANELS),
        ("What becomes of size recommendations?", SIZES_PANELS),
        ("Is the way in open?", DOOR_PANELS),
    )


REQUESTS: Final = rate(of_workers(names.HTTP_REQUESTS))
BUCKETS: Final = rate(of_workers(f"{names.HTTP_SECONDS}_bucket"))

ANSWERS_PANELS: Final[tuple[Panel, ...]] = (
    graph(
        Question(
            title="Who asks for what, and with which answer?",
            unit=units.RequestsPerMinute,
            description=(
                "Requests per minute by path and status; unknown paths are one. 4xx: the caller's fault, such as a"
                " photo without a body. 5xx: ours. /health and /metrics are left out."
            ),
            empty=NO_WORKER,
            thresholds=NO_LIMIT,
            links=(logs_of("worker"), SIZES),
        ),
        Metrics(per_minute(total(REQUESTS, "handler", "status")), "{{handler}} {{status}}"),
    ),
    graph(
        Question(
            title="How many of 100 answers are errors of ours?",
            unit=units.Percent,
            description="Answers with status 5xx of all. Above 0 for long: the worker's log has the reason.",
            empty=NO_REQUEST,
            thresholds=at_most(limits.FAILURE_ALERT_PERCENT, 1),
            links=(logs_of("worker", "error"), SIZES, runbook("nginx-5xx")),
        ),
        Metrics(percent(total(rate(of_workers(names.HTTP_REQUESTS, 'status=~"5.*"'))), total(REQUESTS)), "5xx"),
    ),
    graph(
        Question(
            title="How fast are the answers?",
            unit=units.Seconds,
            description=(
                "Of all requests in this worker, without nginx. NFR-1.2 wants a size within 3 s for 95 of 100. 4.5"
                " s is the longest that can be shown, since the worker gives up there."
            ),
            empty=NO_REQUEST,
            thresholds=at_most(limits.SIZE_SECONDS),
            links=(logs_of("worker"), SIZES),
        ),
        Metrics(percentile(limits.VERY_HIGH_PERCENTILE, BUCKETS), "P99"),
        Metrics(percentile(limits.HIGH_PERCENTILE, BUCKETS), "P95"),
        Metrics(percentile(limits.MEDIAN, BUCKETS), "P50"),
    ),
)


SECONDS: Final = f"{names.SIZE_SECONDS}_bucket"

SIZES_PANELS: Final[tuple[Panel, ...]] = (
    stat(
        Question(
            title="How long do size recommendations take (P95)?",
            unit=units.Seconds,
            description=(
                "In the time shown, download of the photo included. NFR-1.2 wants 3 s. Longer: is the host busy,"
                " are the photos' servers slow?"
            ),
            empty="no size was asked for in this time",
            thresholds=at_most(limits.SIZE_SECONDS),
            links=(logs_of("worker"), SIZES),
            decimals=2,
        ),
        Metrics(percentile(limits.HIGH_PERCENTILE, increase(of_workers(SECONDS), RANGE)), "P95"),
        width=HALF,
    ),
    stat(
        Question(
            title="How many of 100 requests get a size?",
            unit=units.Percent,
            description=(
                "Answered with a size, of all requests in the time shown. The others are told why: most often the"
                " photo does not show a whole body."
            ),
            empty="no size was asked for in this time",
            thresholds=NO_LIMIT,
            links=(logs_of("worker"), SIZES),
            decimals=1,
        ),
        Metrics(
            percent(
                total(increase(of_workers(names.SIZE_REQUESTS, 'outcome="answered"'), RANGE)),
                total(increase(of_workers(names.SIZE_REQUESTS), RANGE)),
            ),
            "answered",
        ),
        width=HALF,
    ),
    graph(
        Question(
            title="How do requests for a size end?",
            unit=units.Short,
            description=(
                "By outcome. answered is a size; the others are refusals. overloaded: more ask at once than can be"
                " measured. model_unavailable, internal: ours to mend."
            ),
            empty="no size was asked for in this time",
            thresholds=NO_LIMIT,
            links=(logs_of("worker"), SIZES),
        ),
        Metrics(happened(total(increase(of_workers(names.SIZE_REQUESTS)), "outcome")), "{{outcome}}"),
        stacked=True,
        bars=True,
    ),
    graph(
        Question(
            title="How long does a size take?",
            unit=units.Seconds,
            description="From the request to its answer, download of the photo included.",
            empty="no size was asked for in this time",
            thresholds=at_most(limits.SIZE_SECONDS),
            links=(logs_of("worker"), SIZES),
        ),
        Metrics(percentile(limits.HIGH_PERCENTILE, rate(of_workers(SECONDS))), "P95"),
        Metrics(percentile(limits.MEDIAN, rate(of_workers(SECONDS))), "P50"),
    ),
    graph(
        Question(
            title="How sure are the sizes?",
            unit=units.PercentUnit,
            description=(
                "Confidence of the answered ones: half of them were at least this sure, and 95 of 100 at least the"
                " lower line. A fall: photos of another kind, or a new model of the pose."
            ),
            empty="no size was answered in this time",
            thresholds=at_least(limits.CONFIDENCE),
            links=(logs_of("worker"), SIZES),
        ),
        Metrics(percentile(limits.MEDIAN, rate(of_workers(f"{names.SIZE_CONFIDENCE}_bucket"))), "half are at least"),
        Metrics(
            percentile(limits.LOW_PERCENTILE, rate(of_workers(f"{names.SIZE_CONFIDENCE}_bucket"))),
            "95 of 100 are at least",
        ),
    ),
)


DOOR_PANELS: Final[tuple[Panel, ...]] = (
    graph(
        Question(
            title="Does the site answer through nginx?",
            unit=units.NoUnit,
            description="GET /health by TLS from this host, every 15 s. 0: nginx, its certificate or the worker.",
            empty="the probe is not scraped: see the targets on the overview",
            thresholds=at_least(1),
            links=(logs_of("nginx"), OPERATIONS, runbook("site-down")),
            words=UP,
        ),
        Metrics(lowest(select(names.PROBE_SUCCESS, SITE)), "site"),
        width=QUARTER,
    ),
    graph(
        Question(
            title="How fast does the site answer?",
            unit=units.Seconds,
            description="The whole probe: name, connection, TLS and GET /health, which NFR-1.3 wants within 0.2 s.",
            empty="the probe is not scraped: see the targets on the overview",
            thresholds=at_most(limits.PROBE_SECONDS),
            links=(logs_of("nginx"), OPERATIONS),
        ),
        Metrics(highest(select(names.PROBE_SECONDS, SITE)), "site"),
        width=QUARTER,
    ),
    graph(
        Question(
            title="How many connections does nginx hold?",
            unit=units.Short,
            description="Open now, waiting ones included. nginx takes 1024 in each of its two processes.",
            empty="the nginx exporter is not scraped",
            thresholds=at_most(limits.NGINX_CONNECTIONS, limits.NGINX_CONNECTIONS_WARNING),
            links=(logs_of("nginx"), OPERATIONS),
        ),
        Metrics(highest(names.NGINX_CONNECTIONS), "open"),
        width=QUARTER,
    ),
    graph(
        Question(
            title="How many requests does nginx get?",
            unit=units.RequestsPerMinute,
            description=(
                "All of them, those for Grafana and those it refuses included. Many more than the worker sees:"
                " somebody knocks; the log of nginx says who."
            ),
            empty="the nginx exporter is not scraped",
            thresholds=NO_LIMIT,
            links=(logs_of("nginx"), OPERATIONS),
        ),
        Metrics(per_minute(total(rate(names.NGINX_REQUESTS))), "requests"),
        width=QUARTER,
    ),
)
