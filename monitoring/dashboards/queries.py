"""[pure] Every question that the dashboards ask, for whoever asks a real Prometheus or parses them."""

import re
from collections.abc import Mapping
from typing import Final, NamedTuple

from grafana_foundation_sdk.models import dashboard as models
from grafana_foundation_sdk.models import loki, prometheus

from monitoring.dashboards.catalogue import BUILDERS, built

VARIABLE: Final = re.compile(r"\$(?:\{(\w+)\}|(\w+))")
"""``$name`` or ``${name}``, as Grafana writes its variables."""

ALL: Final[Mapping[str, str]] = {
    "__rate_interval": "5m",
    "__range": "3d",
    "__auto": "5m",
    "channel": ".*",
    "instance": ".*",
    "service": ".+",
    "level": ".*",
    "request_id": "",
    "session_id": "",
    "event": "",
    "text": "",
}
"""What Grafana puts in for someone who chose nothing and looks at three days: windows that hold a whole test run."""


class UnknownVariable(ValueError):
    """An expression has a variable that neither Grafana nor a dashboard has."""


class Query(NamedTuple):
    """One question of one panel.

    Attributes:
        dashboard: the file's name without its ending.
        panel: the panel's title.
        datasource: the uid of who is asked, ``prometheus`` or ``loki``.
        expression: PromQL or LogQL, with Grafana's variables in it.
    """

    dashboard: str
    panel: str
    datasource: str
    expression: str


def all_queries() -> list[Query]:
    """The questions of all dashboards, in the order of their panels."""
    return [query for name in BUILDERS for panel in built(name).panels or [] for query in _of_panel(name, panel)]


def substitute(expression: str, values: Mapping[str, str] = ALL) -> str:
    """The expression with a value for each variable, as Prometheus or Loki gets it.

    Raises:
        UnknownVariable: a variable has no value.
    """

    def value_of(match: re.Match[str]) -> str:
        name = match[1] or match[2]
        if name not in values:
            raise UnknownVariable(f"${name} in {expression} is no variable; known are {', '.join(sorted(values))}")
        return values[name]

    return VARIABLE.sub(value_of, expression)


def _of_panel(name: str, panel: models.Panel | models.RowPanel) -> list[Query]:
    if isinstance(panel, models.RowPanel):
        return []
    asked = [target for target in panel.targets or [] if isinstance(target, prometheus.Dataquery | loki.Dataquery)]
    return [
        Query(name, panel.title or "", (target.datasource and target.datasource.uid) or "", target.expr or "")
        for target in asked
    ]
