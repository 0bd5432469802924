"""For each rule numbers that set it off and numbers that must not."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Final

from models.health import Component
from tests.observability.tracks import Track, born, flat, growing, steps, stopped

MINUTE: Final = 60
HOUR: Final = 3600
DAY: Final = 86400

OLD: Final = "10.0.0.2:8000"
NEW: Final = "10.0.0.3:8000"


class Outcome(StrEnum):
    """What the expression has to say at the end of a case."""

    FIRES = "fires"
    QUIET = "stays quiet"
    ABSENT = "has no value, so that noDataState decides"


@dataclass(frozen=True, slots=True)
class Case:
    """One history, and whether the rule fires at its end.

    Attributes:
        rule: the rule's uid.
        story: what happens, as a sentence's end.
        series: each with its course.
        at: when it is looked at, in seconds since the beginning.
        outcome: what has to be then.
        labels: of the alerts that fire, those that matter; one mapping for each alert.
    """

    rule: str
    story: str
    series: Mapping[str, Track]
    at: int
    outcome: Outcome
    labels: Sequence[Mapping[str, str]] = field(default=({},))


def worker(name: str, instance: str = OLD, **labels: str) -> str:
    """A series of the worker."""
    inner = ",".join([f'{key}="{value}"' for key, value in labels.items()])
    return f'{name}{{job="worker",instance="{instance}"{"," if inner else ""}{inner}}}'


def generations(
    completed: Track, failed: Track, *, instance: str = OLD, failing: Sequence[str] = ("provider_unavailable",)
) -> dict[str, Track]:
    """The counter of generations with several reasons, all born at 0; ``failed`` is the course of each reason named."""
    name = "wearon_generation_total"
    reasons = {"provider_unavailable": flat(0), "moderated": flat(0), "deadline_exceeded": flat(0)} | dict.fromkeys(
        failing, failed
    )
    return {
        worker(name, instance, channel="b2c", outcome="completed", reason=""): completed,
        **{
            worker(name, instance, channel="b2c", outcome="failed", reason=reason): track
            for reason, track in reasons.items()
        },
    }


def health(instance: str = OLD, *, draining: float = 0, **changed: Track) -> dict[str, Track]:
    """All components of a worker, up unless said otherwise."""
    return {
        **{
            worker("wearon_component_up", instance, component=part.value): changed.get(part.value, flat(1))
            for part in Component
        },
        worker("wearon_draining", instance): flat(draining),
    }


def up(job: str, value: Track, instance: str = "x:1") -> dict[str, Track]:
    """Whether Prometheus could scrape a target."""
    return {f'up{{job="{job}",instance="{instance}"}}': value}


def ended_with(instance: Mapping[str, Track], at: float) -> dict[str, Track]:
    """A target whose container stopped."""
    return {name: stopped(track, at) for name, track in instance.items()}


def begun_with(instance: Mapping[str, Track], at: float) -> dict[str, Track]:
    """A target whose container started."""
    return {name: born(track, at) for name, track in instance.items()}


def away(target: Mapping[str, Track], since: float, until: float) -> dict[str, Track]:
    """A target that nobody scraped for a while."""

    def with_a_gap(track: Track) -> Track:
        return lambda seconds: None if since <= seconds < until else track(seconds)

    return {name: with_a_gap(track) for name, track in target.items()}


WATCHED: Final = up("prometheus", flat(1))
"""Prometheus was there all the time, as in every case that does not say otherwise."""

F, Q, A = Outcome.FIRES, Outcome.QUIET, Outcome.ABSENT

ERROR_RATE: Final = [
    Case(
        "error-rate",
        "one in four fails",
        generations(growing(12), growing(4)),
        10 * MINUTE,
        F,
        [{"severity": "critical", "component": "generation"}],
    ),
    Case(
        "error-rate",
        "every task fails from a moment on",
        generations(growing(12, until=600), growing(12, since=600)),
        660,
        F,
    ),
    Case(
        "error-rate",
        "the first failures after a start, each of another reason",
        generations(
            flat(5), steps((0, 0), (300, 1)), failing=["provider_unavailable", "moderated", "deadline_exceeded"]
        ),
        360,
        F,
    ),
    Case("error-rate", "one in twenty fails", generations(growing(19), growing(1)), 10 * MINUTE, Q),
    Case("error-rate", "a single picture fails in a quiet hour", generations(flat(0), steps((0, 0), (300, 1))), 360, Q),
    Case(
        "error-rate",
        "two of three fail: too few to say",
        generations(steps((0, 0), (300, 1)), steps((0, 0), (300, 2))),
        360,
        Q,
    ),
    Case("error-rate", "nobody orders: no division by zero", generations(flat(100), flat(9)), 10 * MINUTE, Q),
    Case(
        "error-rate",
        "a worker with many old failures is replaced by a well one",
        ended_with(generations(flat(10), flat(90)), 300)
        | begun_with(generations(growing(12, since=300), flat(0), instance=NEW), 300),
        480,
        Q,
    ),
    Case("error-rate", "no worker is there", {}, 10 * MINUTE, Q),
    Case(
        "error-rate",
        "a whole backlog fails before a new worker is scraped for the first time",
        ended_with(generations(flat(10), flat(0)), 300) | begun_with(generations(flat(0), flat(40), instance=NEW), 300),
        330,
        F,
    ),
    Case(
        "error-rate",
        "Prometheus is new beside a worker with old failures",
        begun_with(generations(flat(10), flat(90)) | WATCHED, 300),
        420,
        Q,
    ),
    Case(
        "error-rate",
        "Prometheus was away for twelve minutes, and the worker has old failures",
        away(generations(flat(10), flat(90)) | WATCHED, 300, 1020),
        1080,
        Q,
    ),
    Case(
        "error-rate",
        "it is over for six minutes",
        generations(growing(12), growing(12, until=300)),
        300 + 6 * MINUTE,
        Q,
    ),
]

NOTHING_SUCCEEDS: Final = [
    Case(
        "nothing-succeeds",
        "two fail in half an hour and none succeeds",
        generations(flat(7), steps((0, 0), (900, 1), (1500, 2))),
        40 * MINUTE,
        F,
    ),
    Case(
        "nothing-succeeds", "one fails in half an hour", generations(flat(7), steps((0, 0), (1500, 1))), 40 * MINUTE, Q
    ),
    Case(
        "nothing-succeeds",
        "two fail and one succeeds",
        generations(steps((0, 7), (1200, 8)), steps((0, 0), (1500, 2))),
        40 * MINUTE,
        Q,
    ),
    Case("nothing-succeeds", "nobody orders", generations(flat(7), flat(2)), 40 * MINUTE, Q),
    Case("nothing-succeeds", "no worker is there", {}, 40 * MINUTE, Q),
]

WAITING: Final = worker("wearon_backlog")
EXPORTED_LIST: Final = (
    'celery_queue_length{job="celery-exporter",instance="e:9808",queue_name="wearon:tasks:generation"}'
)
QUEUE_STALLED: Final = [
    Case(
        "queue-stalled",
        "five wait and none is processed for half an hour",
        generations(growing(2, until=300), flat(0)) | {WAITING: flat(5)},
        40 * MINUTE,
        F,
        [{"severity": "critical", "component": "queue"}],
    ),
    Case(
        "queue-stalled", "the worker is gone and the exporter sees what waits", {EXPORTED_LIST: flat(3)}, 40 * MINUTE, F
    ),
    Case(
        "queue-stalled",
        "a worker that stands still is replaced by one that stands still",
        ended_with(generations(flat(900), flat(0)) | {WAITING: flat(5)}, 1500)
        | begun_with(generations(flat(0), flat(0), instance=NEW) | {worker("wearon_backlog", NEW): flat(5)}, 1500),
        40 * MINUTE,
        F,
    ),
    Case(
        "queue-stalled",
        "five wait and the tasks are processed",
        generations(growing(2), flat(0)) | {WAITING: flat(5)},
        40 * MINUTE,
        Q,
    ),
    Case(
        "queue-stalled",
        "five wait and every task fails: error-rate's matter",
        generations(flat(0), growing(2)) | {WAITING: flat(5)},
        40 * MINUTE,
        Q,
    ),
    Case(
        "queue-stalled",
        "the first order comes after a quiet half hour",
        generations(flat(100), flat(0)) | {WAITING: steps((0, 0), (2280, 1))},
        40 * MINUTE,
        Q,
    ),
    Case(
        "queue-stalled",
        "the first order after a quiet half hour comes with a new worker",
        ended_with(generations(flat(100), flat(0)) | {WAITING: flat(0)}, 2220)
        | begun_with(generations(flat(0), flat(0), instance=NEW) | {worker("wearon_backlog", NEW): flat(1)}, 2220),
        40 * MINUTE,
        Q,
    ),
    Case(
        "queue-stalled", "nothing waits at night", generations(flat(100), flat(0)) | {WAITING: flat(0)}, 40 * MINUTE, Q
    ),
    Case("queue-stalled", "nothing is known", {}, 40 * MINUTE, Q),
]

NO_TASKS: Final = [
    Case(
        "no-tasks-in-business-hours",
        "nothing is processed for half an hour",
        generations(flat(100), flat(3)),
        40 * MINUTE,
        F,
        [{"severity": "warning", "hours": "business"}],
    ),
    Case("no-tasks-in-business-hours", "no worker is there", {}, 40 * MINUTE, F),
    Case(
        "no-tasks-in-business-hours",
        "a flat old worker is replaced by one that works",
        ended_with(generations(flat(900), flat(0)), 1500)
        | begun_with(generations(growing(1, since=1500), flat(0), instance=NEW), 1500),
        40 * MINUTE,
        Q,
    ),
    Case(
        "no-tasks-in-business-hours",
        "the first picture since the start is made",
        generations(steps((0, 0), (2000, 1)), flat(0)),
        40 * MINUTE,
        Q,
    ),
]

DEAD_LETTERS: Final = [
    Case(
        "dead-letters",
        "the first bad element since the start",
        {
            worker("wearon_dead_letters_total", reason="bad_task"): steps((0, 0), (600, 1)),
            worker("wearon_dead_letters_total", reason="too_large"): flat(0),
        },
        900,
        F,
        [{"reason": "bad_task"}],
    ),
    Case(
        "dead-letters",
        "only old ones lie there",
        {worker("wearon_dead_letters_total", reason="bad_task"): flat(7)},
        1500,
        Q,
    ),
    Case(
        "dead-letters",
        "a worker that buried some is replaced",
        ended_with({worker("wearon_dead_letters_total", reason="bad_task"): flat(7)}, 600)
        | begun_with({worker("wearon_dead_letters_total", NEW, reason="bad_task"): flat(0)}, 600),
        1500,
        Q,
    ),
    Case("dead-letters", "no worker is there", {}, 900, A),
    Case(
        "dead-letters",
        "a new worker finds one before it is scraped for the first time",
        begun_with({worker("wearon_dead_letters_total", NEW, reason="bad_task"): flat(1)}, 20 * MINUTE),
        21 * MINUTE,
        F,
        [{"reason": "bad_task"}],
    ),
]

DEGRADED: Final = [
    *(
        Case(
            "worker-degraded",
            f"{part.value} is down for three minutes",
            health() | {worker("wearon_component_up", component=part.value): steps((0, 1), (300, 0))},
            495,
            F,
            [{"component": part.value, "severity": "critical"}],
        )
        for part in Component
    ),
    Case(
        "worker-degraded",
        "two parts are down: both are named",
        health(redis=flat(0), broker=flat(0)),
        300,
        F,
        [{"component": "redis"}, {"component": "broker"}],
    ),
    Case(
        "worker-degraded", "the part is named in words", health(broker=flat(0)), 300, F, [{"part": "Celery's broker"}]
    ),
    Case(
        "worker-degraded",
        "a worker does not get ready because Redis is away",
        {**health(redis=flat(0)), worker("wearon_starting"): flat(1)},
        300,
        F,
        [{"component": "redis"}],
    ),
    Case(
        "worker-degraded",
        "both workers of a deploy see Redis away",
        health(redis=flat(0)) | health(NEW, redis=flat(0)),
        300,
        F,
        [{"component": "redis"}],
    ),
    Case("worker-degraded", "all is well", health(), 300, Q),
    Case("worker-degraded", "Redis is away for 90 seconds", health(redis=steps((0, 1), (300, 0), (390, 1))), 450, Q),
    Case("worker-degraded", "Redis is away for 90 seconds so far", health(redis=steps((0, 1), (300, 0))), 390, Q),
    Case(
        "worker-degraded",
        "a draining worker takes no tasks beside a well one",
        health(consumer=flat(0), celery=flat(0), draining=1) | health(NEW),
        600,
        Q,
    ),
    Case("worker-degraded", "the only worker drains", health(consumer=flat(0), celery=flat(0), draining=1), 600, A),
    Case(
        "worker-degraded",
        "a new worker starts beside a well one",
        health() | {**health(NEW, consumer=flat(0), celery=flat(0)), worker("wearon_starting", NEW): flat(1)},
        600,
        Q,
    ),
    Case("worker-degraded", "no worker is there", {}, 300, A),
]

GONE: Final = [
    Case(
        "worker-gone",
        "there is no target any more",
        ended_with(up("worker", flat(1), OLD), 300),
        480,
        F,
        [{"component": "worker"}],
    ),
    Case("worker-gone", "the only worker does not answer", up("worker", flat(0), OLD), 300, F),
    Case("worker-gone", "nothing was ever known of it", {}, 300, F),
    Case(
        "worker-gone",
        "the old one stops after the new one has started",
        ended_with(up("worker", flat(1), OLD), 300) | begun_with(up("worker", flat(1), NEW), 240),
        600,
        Q,
    ),
    Case("worker-gone", "one of two does not answer", up("worker", flat(0), OLD) | up("worker", flat(1), NEW), 600, Q),
    Case("worker-gone", "it restarts within a minute", up("worker", steps((0, 1), (300, 0), (360, 1)), OLD), 450, Q),
]

HALF_DONE: Final = [
    Case(
        "deploy-half-done",
        "two run for sixteen minutes",
        up("worker", flat(1), OLD) | up("worker", flat(1), NEW),
        16 * MINUTE,
        F,
        [{"component": "deploy"}],
    ),
    Case(
        "deploy-half-done",
        "two run for seven minutes",
        ended_with(up("worker", flat(1), OLD), 780) | begun_with(up("worker", flat(1), NEW), 360),
        20 * MINUTE,
        Q,
    ),
    Case("deploy-half-done", "one runs", up("worker", flat(1), OLD), 30 * MINUTE, Q),
    Case(
        "deploy-half-done",
        "one of two is dead",
        up("worker", flat(0), OLD) | up("worker", flat(1), NEW),
        30 * MINUTE,
        Q,
    ),
    Case("deploy-half-done", "none runs", {}, 30 * MINUTE, A),
]

PAUSE: Final = worker("wearon_provider_paused", reason="quota_exhausted")
PAUSED: Final = [
    Case(
        "provider-paused",
        "the quota is used up",
        {
            PAUSE: steps((0, 0), (300, 1)),
            worker("wearon_provider_paused", reason="credentials_rejected"): flat(0),
            worker("wearon_draining"): flat(0),
        },
        330,
        F,
        [{"reason": "quota_exhausted", "component": "provider"}],
    ),
    Case(
        "provider-paused", "calls go on", {PAUSE: steps((0, 1), (300, 0)), worker("wearon_draining"): flat(0)}, 330, Q
    ),
    Case(
        "provider-paused",
        "only the draining worker still believes in it",
        {
            PAUSE: flat(1),
            worker("wearon_draining"): flat(1),
            worker("wearon_draining", NEW): flat(0),
            worker("wearon_provider_paused", NEW, reason="quota_exhausted"): flat(0),
        },
        330,
        Q,
    ),
    Case("provider-paused", "no worker is there", {}, 330, A),
]

MODELS: Final = [
    Case("last-model", "one of two is gone", {worker("wearon_openai_models_left"): steps((0, 2), (300, 1))}, 420, F),
    Case("last-model", "none is left", {worker("wearon_openai_models_left"): flat(0)}, 420, F),
    Case("last-model", "two are left", {worker("wearon_openai_models_left"): flat(2)}, 420, Q),
    Case("last-model", "no worker is there", {}, 420, A),
    Case(
        "model-retires",
        "in 29 days",
        {
            worker("wearon_openai_model_shutdown_timestamp_seconds", model="m-1"): flat(29 * DAY),
            worker("wearon_openai_model_shutdown_timestamp_seconds", model="m-2"): flat(90 * DAY),
        },
        600,
        F,
        [{"model": "m-1"}],
    ),
    Case(
        "model-retires",
        "it has already",
        {worker("wearon_openai_model_shutdown_timestamp_seconds", model="m-1"): flat(-DAY)},
        600,
        F,
    ),
    Case(
        "model-retires",
        "in 31 days",
        {worker("wearon_openai_model_shutdown_timestamp_seconds", model="m-1"): flat(31 * DAY)},
        600,
        Q,
    ),
    Case("model-retires", "no end was announced", {}, 600, A),
]


def memory(used: Track, instance: str = OLD) -> dict[str, Track]:
    """A container with 896 MiB."""
    return {
        worker("wearon_memory_bytes", instance): used,
        worker("wearon_memory_limit_bytes", instance): flat(939524096),
    }


MEMORY: Final = [
    Case("worker-memory", "95 % for six minutes", memory(flat(892547891)), 360, F, [{"instance": OLD}]),
    Case(
        "worker-memory", "one of two workers", memory(flat(1e8)) | memory(flat(9e8), NEW), 360, F, [{"instance": NEW}]
    ),
    Case("worker-memory", "95 % for two minutes", memory(steps((0, 1e8), (240, 9e8))), 360, Q),
    Case("worker-memory", "half of it", memory(flat(4e8)), 600, Q),
    Case("worker-memory", "the container has no limit", {worker("wearon_memory_bytes"): flat(9e9)}, 600, A),
]

FAULTS: Final = worker("wearon_ledger_faults")
AUDITED: Final = worker("wearon_ledger_audit_last_success_timestamp_seconds")
MONEY: Final = [
    Case(
        "ledger-faults",
        "two audits find one",
        {FAULTS: steps((0, 0), (600, 1), (4200, 2))},
        80 * MINUTE,
        F,
        [{"component": "credits"}],
    ),
    Case(
        "ledger-faults",
        "a charge in the making is gone at the next audit",
        {FAULTS: steps((0, 0), (600, 1), (4200, 0))},
        80 * MINUTE,
        Q,
    ),
    Case("ledger-faults", "none is found", {FAULTS: flat(0)}, 80 * MINUTE, Q),
    Case("ledger-faults", "nothing is known yet", {}, 80 * MINUTE, A),
    Case("ledger-audit-silent", "the last success is hours old", {AUDITED: flat(0)}, 5 * HOUR, F),
    Case("ledger-audit-silent", "it runs every hour", {AUDITED: lambda seconds: seconds // HOUR * HOUR}, 5 * HOUR, Q),
    Case("ledger-audit-silent", "none has succeeded yet", {}, 5 * HOUR, A),
    Case(
        "unproven-charges",
        "the first since the start",
        {
            worker("wearon_refund_total", kind="unproven_charge"): steps((0, 0), (900, 1)),
            worker("wearon_refund_total", kind="user_credit"): growing(1),
        },
        30 * MINUTE,
        F,
    ),
    Case(
        "unproven-charges",
        "other refunds",
        {
            worker("wearon_refund_total", kind="unproven_charge"): flat(0),
            worker("wearon_refund_total", kind="user_credit"): growing(1),
        },
        30 * MINUTE,
        Q,
    ),
    Case(
        "unproven-charges",
        "old ones of a worker that was replaced",
        ended_with({worker("wearon_refund_total", kind="unproven_charge"): flat(4)}, 600)
        | begun_with({worker("wearon_refund_total", NEW, kind="unproven_charge"): flat(0)}, 600),
        30 * MINUTE,
        Q,
    ),
    Case("unproven-charges", "no worker is there", {}, 30 * MINUTE, A),
    Case(
        "session-stays-open",
        "recovery is refused twice a minute",
        {worker("wearon_settlement_refused_total"): growing(2)},
        30 * MINUTE,
        F,
        [{"severity": "warning", "component": "credits"}],
    ),
    Case(
        "session-stays-open",
        "it was refused for three minutes, and settled then",
        {worker("wearon_settlement_refused_total"): steps((0, 0), (600, 2), (660, 4), (720, 6))},
        20 * MINUTE,
        Q,
    ),
    Case(
        "session-stays-open",
        "a new worker is refused, too",
        ended_with({worker("wearon_settlement_refused_total"): growing(2)}, 25 * MINUTE)
        | begun_with({worker("wearon_settlement_refused_total", NEW): growing(2)}, 25 * MINUTE),
        40 * MINUTE,
        F,
    ),
    Case("session-stays-open", "no worker is there", {}, 30 * MINUTE, A),
    Case(
        "unproven-charges",
        "a new worker settles one before it is scraped for the first time",
        begun_with({worker("wearon_refund_total", NEW, kind="unproven_charge"): flat(1)}, 65 * MINUTE),
        66 * MINUTE,
        F,
    ),
]


def textfile(name: str) -> str:
    """A gauge that a script of the host wrote."""
    return f'{name}{{job="node-exporter",instance="node-exporter:9100"}}'


def ages(rule: str, name: str) -> list[Case]:
    """The cases of a job of the host that has to succeed every day."""
    return [
        Case(rule, "the last success is 28 hours old", {textfile(name): flat(-26 * HOUR)}, 2 * HOUR, F),
        Case(rule, "it is 26.5 hours old for half an hour", {textfile(name): flat(-25 * HOUR)}, 90 * MINUTE, Q),
        Case(rule, "it is 20 hours old", {textfile(name): flat(-18 * HOUR)}, 2 * HOUR, Q),
        Case(rule, "it never succeeded", {}, 2 * HOUR, A),
    ]


AGES: Final = [
    *ages("backup-old", "wearon_backup_last_success_timestamp_seconds"),
    *ages("renewal-silent", "wearon_certificate_renewal_last_success_timestamp_seconds"),
]


def cpu(busy: Track) -> dict[str, Track]:
    """Two processors; ``busy`` is how many seconds both together have worked."""
    idle = 'node_cpu_seconds_total{job="node-exporter",instance="n:9100",mode="idle",cpu="%d"}'
    used = 'node_cpu_seconds_total{job="node-exporter",instance="n:9100",mode="user",cpu="%d"}'

    def half(seconds: float) -> float:
        return float(busy(seconds) or 0) / 2

    return {
        **{idle % number: lambda seconds: seconds - half(seconds) for number in range(2)},
        **{used % number: half for number in range(2)},
    }


def disk(free: Track, mountpoint: str = "/", fstype: str = "ext4") -> dict[str, Track]:
    """What is free on a file system, in bytes."""
    labels = f'job="node-exporter",instance="n:9100",device="d",mountpoint="{mountpoint}",fstype="{fstype}"'
    return {f"node_filesystem_avail_bytes{{{labels}}}": free}


GIB: Final = 1073741824
DECOYS: Final = (
    disk(flat(1e6), "/run", "tmpfs")
    | disk(flat(1e6), "/", "overlay")
    | disk(flat(0), "/snap/core/1", "squashfs")
    | disk(flat(1e6), "/boot/efi", "vfat")
)


def host_memory(available: Track) -> dict[str, Track]:
    """A host with 4 GiB."""
    return {
        'node_memory_MemAvailable_bytes{job="node-exporter",instance="n:9100"}': available,
        'node_memory_MemTotal_bytes{job="node-exporter",instance="n:9100"}': flat(4 * GIB),
    }


HOST: Final = [
    Case("cpu-high", "90 % for eight minutes", cpu(growing(108)), 480, F, [{"component": "host"}]),
    Case("cpu-high", "80 % all the time", cpu(growing(96)), 900, Q),
    Case("cpu-high", "100 % for three minutes", cpu(growing(120, since=300, until=480)), 540, Q),
    Case("cpu-high", "its exporter is gone", {}, 900, A),
    Case("disk-low", "1.5 GiB for six minutes", disk(flat(1.5 * GIB)) | DECOYS, 360, F, [{"mountpoint": "/"}]),
    Case(
        "disk-low",
        "Docker's own disk is full",
        disk(flat(9 * GIB)) | disk(flat(0), "/var/lib/docker", "xfs"),
        360,
        F,
        [{"mountpoint": "/var/lib/docker"}],
    ),
    Case("disk-low", "2.5 GiB beside small file systems that are none", disk(flat(2.5 * GIB)) | DECOYS, 900, Q),
    Case("disk-low", "1.5 GiB for four minutes", disk(steps((0, 9 * GIB), (300, 1.5 * GIB), (540, 9 * GIB))), 630, Q),
    Case("disk-low", "its exporter is gone", {}, 900, A),
    Case("host-memory", "95 % for six minutes", host_memory(flat(0.2 * GIB)), 360, F),
    Case("host-memory", "75 %", host_memory(flat(GIB)), 900, Q),
    Case("host-memory", "its exporter is gone", {}, 900, A),
]

PROBE: Final = 'probe_success{job="site",instance="https://worker.example.com/health"}'
EXPIRY: Final = 'probe_ssl_earliest_cert_expiry{job="site",instance="https://worker.example.com/health"}'
SITE: Final = [
    Case("site-down", "the probe fails for two minutes", {PROBE: steps((0, 1), (300, 0))}, 435, F),
    Case("site-down", "one probe fails", {PROBE: steps((0, 1), (300, 0), (315, 1))}, 435, Q),
    Case("site-down", "nobody probes", {}, 435, A),
    Case("certificate-expires", "in 13 days", {EXPIRY: flat(13 * DAY)}, 600, F, [{"severity": "critical"}]),
    Case(
        "certificate-expires",
        "the probe's own value for a site without TLS is not a date",
        {EXPIRY: flat(float("nan"))},
        600,
        Q,
    ),
    Case("certificate-expires", "in 40 days", {EXPIRY: flat(40 * DAY)}, 600, Q),
    Case(
        "certificate-expires",
        "in 13 days, and then it was renewed",
        {EXPIRY: steps((0, 13 * DAY), (240, 64 * DAY))},
        600,
        Q,
    ),
    Case("certificate-expires", "the site does not answer", {}, 600, A),
]


def bridge(name: str, **labels: str) -> str:
    """A series of the WhatsApp bridge."""
    inner = "".join(f',{key}="{value}"' for key, value in labels.items())
    return f'{name}{{job="grafana-whatsapp-webhook",instance="b:8085"{inner}}}'


def counted(rule: str, name: str, label: str, bad: str, good: str) -> list[Case]:
    """The cases of a counter of the bridge of which some values are bad."""
    return [
        Case(
            rule,
            f"the first {bad} since the start",
            {bridge(name, **{label: bad}): steps((0, 0), (300, 1)), bridge(name, **{label: good}): growing(1)},
            360,
            F,
            [{label: bad, "component": "whatsapp"}],
        ),
        Case(
            rule,
            f"only {good}",
            {bridge(name, **{label: bad}): flat(0), bridge(name, **{label: good}): growing(1)},
            900,
            Q,
        ),
        Case(rule, "an old one of before a restart", {bridge(name, **{label: bad}): steps((0, 3), (300, 0))}, 900, Q),
        Case(rule, "the bridge is gone", {}, 900, A),
    ]


OLDEST: Final = bridge("wearon_whatsapp_oldest_message_seconds")
BRIDGE: Final = [
    Case(
        "bridge-down",
        "it does not answer",
        up("grafana-whatsapp-webhook", steps((0, 1), (300, 0))),
        480,
        F,
        [{"component": "whatsapp"}],
    ),
    Case("bridge-down", "there is none", {}, 300, F),
    Case("bridge-down", "it answers", up("grafana-whatsapp-webhook", flat(1)), 300, Q),
    Case(
        "bridge-queue-old",
        "a message waits for seven minutes",
        {OLDEST: lambda seconds: max(0, seconds - 300)},
        300 + 7 * MINUTE,
        F,
    ),
    Case(
        "bridge-queue-old",
        "a message waits for two minutes",
        {OLDEST: lambda seconds: max(0, seconds - 300)},
        300 + 2 * MINUTE,
        Q,
    ),
    Case("bridge-not-configured", "a setting is missing", {bridge("wearon_whatsapp_configured"): flat(0)}, 360, F),
    Case("bridge-not-configured", "all are there", {bridge("wearon_whatsapp_configured"): flat(1)}, 360, Q),
    Case("bridge-not-configured", "the bridge is gone", {}, 360, A),
    Case("bridge-queue-old", "the bridge is gone", {}, 300, A),
    *counted("bridge-refused-by-meta", "wearon_whatsapp_requests_total", "result", "token", "ok"),
    *counted("bridge-lost-message", "wearon_whatsapp_messages_total", "outcome", "expired", "accepted"),
    *counted("bridge-refuses-grafana", "wearon_whatsapp_webhooks_total", "result", "unauthenticated", "taken"),
]

LINES: Final = 'loki_distributor_lines_received_total{job="loki",instance="l:3100",tenant="fake"}'
DROPPED: Final = 'loki_write_dropped_entries_total{job="alloy",instance="a:1",host="loki:3100",reason="%s",tenant=""}'
DISCARDED: Final = 'loki_discarded_samples_total{job="loki",instance="l:3100",reason="rate_limited",tenant="fake"}'
ITSELF: Final = [
    Case("prometheus-silent", "it does not scrape itself", up("prometheus", flat(0)), 300, F),
    Case("prometheus-silent", "it knows no target", {}, 300, F),
    Case("prometheus-silent", "it scrapes", up("prometheus", flat(1)), 300, Q),
    Case(
        "target-down",
        "an exporter does not answer",
        up("node-exporter", flat(1)) | up("celery-exporter", flat(0)),
        300,
        F,
        [{"component": "celery-exporter"}],
    ),
    Case(
        "target-down", "an exporter misses one scrape", up("celery-exporter", steps((0, 1), (300, 0), (315, 1))), 450, Q
    ),
    Case(
        "target-down",
        "what has rules of its own does not answer",
        up("worker", flat(0)) | up("grafana-whatsapp-webhook", flat(0)) | up("node-exporter", flat(1)),
        300,
        Q,
    ),
    Case("target-down", "there is no target at all", {}, 300, A),
    Case("logs-silent", "no line comes for sixteen minutes", {LINES: growing(60, until=300)}, 300 + 17 * MINUTE, F),
    Case("logs-silent", "none has ever come", {}, 6 * MINUTE, F),
    Case("logs-silent", "four lines a minute come", {LINES: growing(4)}, 20 * MINUTE, Q),
    Case(
        "logs-lost",
        "Alloy throws some away",
        {DROPPED % "ingester_error": steps((0, 0), (600, 40)), DROPPED % "stream_limited": flat(0)},
        900,
        F,
    ),
    Case("logs-lost", "Loki refuses some", {DISCARDED: steps((0, 0), (600, 3))}, 900, F),
    Case("logs-lost", "none is lost", {DROPPED % "ingester_error": flat(0), DISCARDED: flat(2)}, 1500, Q),
    Case("logs-lost", "nothing is known", {}, 1500, Q),
    Case("dead-mans-switch", "all is well", {}, 60, F, [{"severity": "heartbeat"}]),
]

CASES: Final[Sequence[Case]] = (
    *ERROR_RATE,
    *NOTHING_SUCCEEDS,
    *QUEUE_STALLED,
    *NO_TASKS,
    *DEAD_LETTERS,
    *DEGRADED,
    *GONE,
    *HALF_DONE,
    *PAUSED,
    *MODELS,
    *MEMORY,
    *MONEY,
    *AGES,
    *HOST,
    *SITE,
    *BRIDGE,
    *ITSELF,
)
"""Not nginx-5xx: it asks Loki, which promtool does not know (tests/unit/monitoring/alerting/test_log_rule.py)."""
