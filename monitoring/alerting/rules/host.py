"""[pure] Does the host have what it needs?"""

from datetime import timedelta
from typing import Final

from monitoring.alerting.rule import TOLD_BY_TARGET_DOWN, Rule, Severity, Side

NO_DISK: Final = "tmpfs|overlay|squashfs|ramfs|nsfs|fuse.*"
"""File systems that are memory, a view of another one, or somebody else's."""

RULES: Final = (
    Rule(
        uid="cpu-high",
        title="The host's processors are busy",
        question="Are the processors more than 85 % busy for 5 minutes?",
        group="host",
        expression=('round(100 * (1 - avg(rate(node_cpu_seconds_total{job="node-exporter",mode="idle"}[2m]))), 0.1)'),
        side=Side.ABOVE,
        threshold=85,
        hold=timedelta(minutes=5),
        severity=Severity.WARNING,
        component="host",
        summary="The host's processors have been more than 85 % busy for 5 minutes.",
        description="{{ $values.A }} % busy over 2 minutes. Pictures become slower, the site answers later.",
        value_text="{{ $values.A }} % busy",
        no_data=TOLD_BY_TARGET_DOWN,
    ),
    Rule(
        uid="disk-low",
        title="The disk is nearly full",
        question="Has every disk more than 2 GB left?",
        group="host",
        expression=(
            'round(min by (mountpoint) (node_filesystem_avail_bytes{job="node-exporter",'
            f'mountpoint=~"/|/var/lib/docker|/opt/wearon",fstype!~"{NO_DISK}"}}) / 1073741824, 0.01)'
        ),
        side=Side.BELOW,
        threshold=2,
        hold=timedelta(minutes=5),
        severity=Severity.CRITICAL,
        component="host",
        summary="Less than 2 GB of disk are left on {{ $labels.mountpoint }}.",
        description=(
            "{{ $values.A }} GiB are left on {{ $labels.mountpoint }}. On a full disk Redis refuses writes and no task"
            " is taken."
        ),
        value_text="{{ $values.A }} GiB left",
        no_data=TOLD_BY_TARGET_DOWN,
    ),
    Rule(
        uid="host-memory",
        title="The host's memory is nearly used up",
        question="Is more than 8 % of the host's memory free?",
        group="host",
        expression=(
            'round(100 * (1 - min(node_memory_MemAvailable_bytes{job="node-exporter"}'
            ' / node_memory_MemTotal_bytes{job="node-exporter"})), 0.1)'
        ),
        side=Side.ABOVE,
        threshold=92,
        hold=timedelta(minutes=5),
        severity=Severity.WARNING,
        component="host",
        summary="More than 92 % of the host's memory has been in use for 5 minutes.",
        description=(
            "{{ $values.A }} % are in use. The services' limits fit into 4 GiB; something outside of them takes the"
            " rest, and the kernel kills what it finds when nothing is left."
        ),
        value_text="{{ $values.A }} % in use",
        no_data=TOLD_BY_TARGET_DOWN,
    ),
)
