"""[pure] Which metrics are on a panel, and why some are on none: nothing is exported that nobody looks at."""

from collections.abc import Mapping
from typing import Final

from monitoring.dashboards.promql_rules import metrics_in
from monitoring.dashboards.queries import all_queries

NOT_SHOWN: Final[Mapping[str, str]] = {
    "wearon_openai_model_usable": "wearon status names the model; the panels count those that are left",
}
"""Not shown because: the reason by metric."""


def shown_metrics() -> frozenset[str]:
    """The metrics that a panel asks for; of a histogram's series, the histogram."""
    return frozenset(
        metric for query in all_queries() if query.datasource == "prometheus" for metric in metrics_in(query.expression)
    )
