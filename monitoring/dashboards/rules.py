"""[pure] What a dashboard's JSON must keep to, as an operator needs it at three in the morning."""

from collections import Counter
from collections.abc import Iterator, Mapping
from typing import Any, Final

from monitoring.dashboards import promql_rules
from monitoring.dashboards.links import LOGS_UID
from monitoring.dashboards.panels import GRID_COLUMNS
from monitoring.dashboards.queries import VARIABLE

Json = Mapping[str, Any]

DATASOURCES: Final = frozenset({"prometheus", "loki"})
"""The uids in provisioning/datasources; a name or another uid finds nothing on a host made from the same files."""

SHORTEST_DESCRIPTION: Final = 20
"""Characters. Less says nothing that the title does not say."""

OF_GRAFANA: Final = frozenset({"__rate_interval", "__range", "__auto"})


def faults(dashboard: Json) -> list[str]:
    """What is wrong with a dashboard, each with the panel's title; nothing when it is right."""
    panels = [panel for panel in dashboard["panels"] if panel["type"] != "row"]
    variables = {variable["name"] for variable in dashboard["templating"]["list"]}
    found = [f"{panel.get('title')}: {fault}" for panel in panels for fault in panel_faults(panel, variables)]
    if dashboard["uid"] != LOGS_UID:
        found += [
            f"{panel.get('title')}: no link to the logs of the same minutes" for panel in panels if not _logs(panel)
        ]
    return [*found, *_cut_off(panels), *_repeated(panels, "title"), *_repeated(dashboard["panels"], "id")]


def panel_faults(panel: Json, variables: set[str]) -> list[str]:
    """What is wrong with one panel of a dashboard that has these variables."""
    return [*_faults_of_words(panel), *_faults_of_field(panel), *_faults_of_questions(panel, variables)]


def _faults_of_words(panel: Json) -> Iterator[str]:
    if not str(panel.get("title", "")).endswith("?"):
        yield "the title is no question; it ends in ?"
    if len(str(panel.get("description", ""))) < SHORTEST_DESCRIPTION:
        yield "no description of what the number means and what to do"
    if not panel.get("links"):
        yield "no link to where one looks next"


def _faults_of_field(panel: Json) -> Iterator[str]:
    defaults = panel.get("fieldConfig", {}).get("defaults", {})
    if not defaults.get("unit"):
        yield "no unit"
    if not defaults.get("noValue"):
        yield "no text for when there is no data"
    if not defaults.get("thresholds", {}).get("steps"):
        yield "no thresholds"


def _faults_of_questions(panel: Json, variables: set[str]) -> Iterator[str]:
    targets = panel.get("targets", [])
    if not targets:
        yield "it asks nothing"
    for source in (panel, *targets):
        uid = (source.get("datasource") or {}).get("uid")
        if uid not in DATASOURCES:
            yield f"datasource uid {uid} is unknown; there are {', '.join(sorted(DATASOURCES))}"
    for target in targets:
        expression = target.get("expr", "")
        used = {match[1] or match[2] for match in VARIABLE.finditer(expression)}
        if unknown := used - variables - OF_GRAFANA:
            yield f"variable {', '.join(sorted(unknown))} is not one of this dashboard"
        if not target.get("legendFormat") and panel["type"] != "logs":
            yield "no legend"
        if target["datasource"]["uid"] == "prometheus":
            yield from promql_rules.faults(expression)


def _logs(panel: Json) -> bool:
    return any(link["url"].startswith(f"/d/{LOGS_UID}?") for link in panel.get("links", []))


def _cut_off(panels: list[Json]) -> list[str]:
    """The library puts a panel that does not fit into its line beyond the right edge."""
    return [
        f"{panel['title']}: it ends right of the grid's {GRID_COLUMNS} columns"
        for panel in panels
        if panel["gridPos"]["x"] + panel["gridPos"]["w"] > GRID_COLUMNS
    ]


def _repeated(panels: list[Json], key: str) -> list[str]:
    return [
        f"two panels have the {key} {value}"
        for value, count in Counter(p.get(key) for p in panels).items()
        if count > 1
    ]
