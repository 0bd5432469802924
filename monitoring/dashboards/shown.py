"""[pure] Which metrics are on a panel, and why some are on none: nothing is exported that nobody looks at."""

from collections.abc import Mapping
from typing import Final

from monitoring.dashboards.promql_rules import metrics_in
from monitoring.dashboards.queries import all_queries

NOT_SHOWN: Final[Mapping[str, str]] = {
    "wearon_turn_wait_seconds": "the stage turn of wearon_stage_duration_seconds is on the dashboard of tasks",
    "http_request_duration_highr_seconds": "the same times without labels; the panels use those by handler",
    "http_request_size_bytes": "every body is a small JSON, and nginx limits it",
    "http_response_size_bytes": "every answer is a small JSON",
}
"""Metric by reason."""


def shown_metrics() -> frozenset[str]:
    """The metrics that a panel asks for; of a histogram's series, the histogram."""
    return frozenset(
        metric for query in all_queries() if query.datasource == "prometheus" for metric in metrics_in(query.expression)
    )
