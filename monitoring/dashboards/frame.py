"""[pure] What all dashboards share: names, variables, time, refresh and the links between them."""

from collections.abc import Sequence
from typing import Final

from grafana_foundation_sdk.builders import dashboard as builders
from grafana_foundation_sdk.models import dashboard as models

from monitoring.dashboards import metric_names as names
from monitoring.dashboards.links import DOCUMENTS_URL
from monitoring.dashboards.panels import LOKI, PROMETHEUS, Panel

TAG: Final = "wearon"
"""All dashboards have it; the menu in each lists the others by it."""

CHANNELS: Final = ("b2b", "b2c")
LEVELS: Final = ("debug", "info", "warning", "error", "critical", "unknown")
"""Of structlog; ``unknown`` is what Alloy gives to a line that is no JSON."""

REFRESH: Final = "30s"
"""Two scrapes."""

ANYTHING: Final = ".*"
ANY_VALUE: Final = ".+"
"""Loki refuses a selector that could match everything by being empty."""


def frame(*, uid: str, title: str, description: str, since: str) -> builders.Dashboard:
    """An empty dashboard that shows the time from ``since`` (such as ``now-6h``) until now."""
    return (
        builders.Dashboard(title)
        .uid(uid)
        .description(description)
        .tags([TAG])
        .timezone("browser")
        .readonly()
        .tooltip(models.DashboardCursorSync.CROSSHAIR)
        .time(since, "now")
        .refresh(REFRESH)
        .link(
            builders.DashboardLink("The other dashboards")
            .type(models.DashboardLinkType.DASHBOARDS)
            .tags([TAG])
            .as_dropdown(as_dropdown=True)
            .keep_time(keep_time=True)
        )
        .link(_to_document("How to read this", "observability.md"))
        .link(_to_document("Runbooks", "runbooks"))
    )


def with_rows(dashboard: builders.Dashboard, *rows: tuple[str, Sequence[Panel]]) -> builders.Dashboard:
    """The dashboard with these rows below each other: the title of each, and its panels."""
    for title, panels in rows:
        dashboard.with_row(builders.Row(title))
        for panel in panels:
            dashboard.with_panel(panel)
    return dashboard


def channel() -> builders.CustomVariable:
    """The shop's two channels, or both."""
    return _choice("channel", "Channel", CHANNELS, "b2b: stores and their shoppers; b2c: people in the app.")


def instance() -> builders.QueryVariable:
    """The workers there were in the time shown, or all of them."""
    return (
        builders.QueryVariable("instance")
        .label("Worker")
        .description("During a deploy there are two.")
        .datasource(PROMETHEUS)
        .query(f"label_values({names.STARTING}, instance)")
        .refresh(models.VariableRefresh.ON_TIME_RANGE_CHANGED)
        .sort(models.VariableSort.ALPHABETICAL_ASC)
        .multi(multi=True)
        .include_all(include_all=True)
        .all_value(ANYTHING)
        .current(_everything())
    )


def service() -> builders.QueryVariable:
    """The services of the compose file whose logs Loki has."""
    return (
        builders.QueryVariable("service")
        .label("Service")
        .description("A service of the compose file.")
        .datasource(LOKI)
        .query({"label": "service", "refId": "service", "stream": "", "type": 1})
        .refresh(models.VariableRefresh.ON_TIME_RANGE_CHANGED)
        .sort(models.VariableSort.ALPHABETICAL_ASC)
        .multi(multi=True)
        .include_all(include_all=True)
        .all_value(ANY_VALUE)
        .current(_everything())
    )


def level() -> builders.CustomVariable:
    """How bad a line is by its writer."""
    return _choice("level", "Level", LEVELS, "unknown: a line that is no JSON.")


def text_box(name: str, label: str, description: str) -> builders.TextBoxVariable:
    """A field to type in; empty means all."""
    empty = models.VariableOption(selected=True, text="", value="")
    return builders.TextBoxVariable(name).label(label).description(description).default_value("").current(empty)


def _choice(name: str, label: str, values: tuple[str, ...], description: str) -> builders.CustomVariable:
    return (
        builders.CustomVariable(name)
        .label(label)
        .description(description)
        .values(",".join(values))
        .multi(multi=True)
        .include_all(include_all=True)
        .all_value(ANYTHING)
        .current(_everything())
    )


def _everything() -> models.VariableOption:
    return models.VariableOption(selected=True, text=["All"], value=["$__all"])


def _to_document(title: str, page: str) -> builders.DashboardLink:
    return (
        builders.DashboardLink(title)
        .type(models.DashboardLinkType.LINK)
        .url(f"{DOCUMENTS_URL}/{page}")
        .target_blank(target_blank=True)
    )
