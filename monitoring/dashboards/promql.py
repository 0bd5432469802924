"""[pure] Small words of PromQL, of which the dashboards make their expressions."""

from typing import Final

RATE_INTERVAL: Final = "$__rate_interval"
"""Grafana's own window: at least four scrapes long, at any zoom. A shorter one shows holes."""

RANGE: Final = "$__range"
"""The time that the dashboard shows, as one window: for one number about all of it."""

DAY: Final = "24h"
"""For numbers that people know by the day."""

CHANNEL: Final = 'channel=~"$channel"'
INSTANCE: Final = 'instance=~"$instance"'


def select(metric: str, *matchers: str) -> str:
    """The series of a metric that match."""
    return f"{metric}{{{', '.join(matchers)}}}" if matchers else metric


def of_workers(metric: str, *matchers: str) -> str:
    """The series of a metric on the workers that the reader has chosen."""
    return select(metric, *matchers, INSTANCE)


def rate(selector: str) -> str:
    """Growth of a counter per second; a restart of its process is no fall."""
    return f"rate({selector}[{RATE_INTERVAL}])"


def increase(selector: str, window: str = RATE_INTERVAL) -> str:
    """Growth of a counter within the window."""
    return f"increase({selector}[{window}])"


def per_minute(expression: str) -> str:
    """A rate per second as one per minute, the unit of NFR-1.4."""
    return f"60 * {expression}"


def total(expression: str, *by: str) -> str:
    """sum(), by the labels named."""
    return _aggregate("sum", expression, by)


def highest(expression: str, *by: str) -> str:
    """max(): for a gauge that every worker reads from the same place."""
    return _aggregate("max", expression, by)


def lowest(expression: str, *by: str) -> str:
    """min()."""
    return _aggregate("min", expression, by)


def percentile(share: float, increases: str, *by: str) -> str:
    """The value below which ``share`` of the observations lie; ``increases`` are of a histogram's buckets."""
    return f"histogram_quantile({share}, {total(increases, 'le', *by)})"


def percent(part: str, whole: str) -> str:
    """Part of whole; nothing while the whole is 0, since 0 of 0 is no share."""
    return f"100 * {part} / ({whole} > 0)"


def happened(expression: str) -> str:
    """Only the series in which something happened: a legend of forty zeros hides the one that counts."""
    return f"{expression} > 0"


def seconds_since(timestamp: str) -> str:
    """Age of a moment."""
    return f"time() - {timestamp}"


def seconds_until(timestamp: str) -> str:
    """Time left to a moment."""
    return f"{timestamp} - time()"


def _aggregate(operator: str, expression: str, by: tuple[str, ...]) -> str:
    return f"{operator} by ({', '.join(by)}) ({expression})" if by else f"{operator}({expression})"
