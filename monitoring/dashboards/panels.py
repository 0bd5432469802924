"""[pure] Makes panels. None can be made without its question, unit, meaning, empty state, limits and links."""

import copy
import string
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

from grafana_foundation_sdk.builders import common as common_builders
from grafana_foundation_sdk.builders import dashboard as dashboard_builders
from grafana_foundation_sdk.builders import logs as logs_builders
from grafana_foundation_sdk.builders import loki as loki_builders
from grafana_foundation_sdk.builders import prometheus as prometheus_builders
from grafana_foundation_sdk.builders import stat as stat_builders
from grafana_foundation_sdk.builders import table as table_builders
from grafana_foundation_sdk.builders import timeseries as timeseries_builders
from grafana_foundation_sdk.cog.builder import Builder
from grafana_foundation_sdk.models import common, dashboard, prometheus

from monitoring.dashboards.links import Link

PROMETHEUS: Final = common.DataSourceRef(type_val="prometheus", uid="prometheus")
LOKI: Final = common.DataSourceRef(type_val="loki", uid="loki")

GOOD: Final = "green"
WARNING: Final = "orange"
BAD: Final = "red"
PLAIN: Final = "blue"

GRID_COLUMNS: Final = 24
"""The width of Grafana's grid."""

SIXTH: Final = GRID_COLUMNS // 6
QUARTER: Final = GRID_COLUMNS // 4
THIRD: Final = GRID_COLUMNS // 3
HALF: Final = GRID_COLUMNS // 2
FULL: Final = GRID_COLUMNS

STAT_HEIGHT: Final = 4
GRAPH_HEIGHT: Final = 8
LOGS_HEIGHT: Final = 12

LETTERS: Final = string.ascii_uppercase
"""Grafana's names of a panel's queries."""

LINE_WIDTH: Final = 2
FILL_PERCENT: Final = 10
BAR_INTERVAL: Final = "1m"
"""Of a bar. Shorter than Grafana's window, one event would stand in several bars."""

MOST_LOG_LINES: Final = 500
"""Enough for a glance; a search narrows them."""


@dataclass(frozen=True, slots=True)
class Thresholds:
    """Colours by value: ``base`` below the first step, then each step's colour from its value on."""

    base: str
    steps: tuple[tuple[float, str], ...] = ()


NO_LIMIT: Final = Thresholds(PLAIN)
"""For what is neither good nor bad by itself. Said on purpose: a panel without thresholds cannot be made."""


def at_most(bad: float, warning: float | None = None) -> Thresholds:
    """Good while it is low: red from ``bad`` on, orange from ``warning`` on."""
    orange = () if warning is None else ((warning, WARNING),)
    return Thresholds(GOOD, (*orange, (bad, BAD)))


def at_least(good: float, warning: float | None = None) -> Thresholds:
    """Good while it is high: green from ``good`` on, orange from ``warning`` on, red below."""
    orange = () if warning is None else ((warning, WARNING),)
    return Thresholds(BAD, (*orange, (good, GOOD)))


@dataclass(frozen=True, kw_only=True, slots=True)
class Question:
    """What an operator asks, and all that is needed to understand the answer.

    Attributes:
        title: the question, with its question mark.
        unit: Grafana's id of the unit.
        description: what the number means and what to do when it is bad.
        empty: shown when there is no data, and says what that means.
        thresholds: from which value on it is bad.
        links: where to look next; the logs first.
        decimals: digits after the point, where Grafana's choice is hard to read.
        words: texts for single values, such as 1 for "works".
        names: texts for single legends, such as a component's label.
    """

    title: str
    unit: str
    description: str
    empty: str
    thresholds: Thresholds
    links: Sequence[Link]
    decimals: int | None = None
    words: Mapping[int, tuple[str, str]] = field(default_factory=dict)
    names: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Metrics:
    """A question to Prometheus. ``legend`` is one series' name, with labels in double braces."""

    expression: str
    legend: str


@dataclass(frozen=True, slots=True)
class Lines:
    """A question to Loki."""

    expression: str
    legend: str = ""


Panel = Builder[dashboard.Panel]


class _Ready(Builder[dashboard.Panel]):
    """A finished panel where the SDK wants to finish it itself."""

    def __init__(self, panel: dashboard.Panel) -> None:
        self._panel = panel

    def build(self) -> dashboard.Panel:
        return copy.deepcopy(self._panel)  # a dashboard writes the place into it


def stat(question: Question, *queries: Metrics, width: int = QUARTER, shows_name: bool = False) -> Panel:
    """One number for the time shown, or one for each series."""
    text = common.BigValueTextMode.VALUE_AND_NAME if shows_name else common.BigValueTextMode.AUTO
    builder = (
        stat_builders.Panel()
        .reduce_options(common_builders.ReduceDataOptions().calcs(["lastNotNull"]).fields("").values(values=False))
        .color_mode(common.BigValueColorMode.VALUE)
        .graph_mode(common.BigValueGraphMode.NONE)
        .text_mode(text)
        .datasource(PROMETHEUS)
        .span(width)
        .height(STAT_HEIGHT)
    )
    for letter, query in zip(LETTERS, queries, strict=False):
        builder.with_target(_to_prometheus(query, letter, is_instant=True))
    return _Ready(_answer(builder.build(), question))


def graph(
    question: Question, *queries: Metrics | Lines, width: int = THIRD, stacked: bool = False, bars: bool = False
) -> Panel:
    """Lines over time; the thresholds are dashed lines in it."""
    builder = (
        timeseries_builders.Panel()
        .draw_style(common.GraphDrawStyle.BARS if bars else common.GraphDrawStyle.LINE)
        .line_width(LINE_WIDTH)
        .fill_opacity(FILL_PERCENT)
        .show_points(common.VisibilityMode.AUTO)
        .legend(
            common_builders.VizLegendOptions()
            .display_mode(common.LegendDisplayMode.LIST)
            .placement(common.LegendPlacement.BOTTOM)
            .show_legend(show_legend=True)
            .calcs([])
        )
        .tooltip(
            common_builders.VizTooltipOptions().mode(common.TooltipDisplayMode.MULTI).sort(common.SortOrder.DESCENDING)
        )
        .thresholds_style(common_builders.GraphThresholdsStyleConfig().mode(_drawn(question.thresholds)))
        .axis_soft_min(0)
        .datasource(_source_of(queries))
        .span(width)
        .height(GRAPH_HEIGHT)
    )
    if bars:
        builder.interval(BAR_INTERVAL)
    if stacked:
        builder.stacking(common_builders.StackingConfig().mode(common.StackingMode.NORMAL))
    for letter, query in zip(LETTERS, queries, strict=False):
        builder.with_target(_to_source(query, letter))
    return _Ready(_answer(builder.build(), question, colour=dashboard.FieldColorModeId.PALETTE_CLASSIC))


def table(question: Question, *queries: Metrics, width: int = HALF) -> Panel:
    """One row for each series, as they are now."""
    builder = (
        table_builders.Panel()
        .show_header(show_header=True)
        .datasource(PROMETHEUS)
        .span(width)
        .height(GRAPH_HEIGHT)
        .with_transformation(
            dashboard.DataTransformerConfig(id_val="organize", options={"excludeByName": {"Time": True}})
        )
    )
    for letter, query in zip(LETTERS, queries, strict=False):
        builder.with_target(_to_prometheus(query, letter, is_instant=True).format(prometheus.PromQueryFormat.TABLE))
    return _Ready(_answer(builder.build(), question))


def log_lines(question: Question, query: Lines, width: int = FULL) -> Panel:
    """The lines themselves, newest first; a click opens their fields."""
    builder = (
        logs_builders.Panel()
        .show_time(show_time=True)
        .wrap_log_message(wrap_log_message=True)
        .enable_log_details(enable_log_details=True)
        .prettify_log_message(prettify_log_message=False)
        .sort_order(common.LogsSortOrder.DESCENDING)
        .dedup_strategy(common.LogsDedupStrategy.NONE)
        .datasource(LOKI)
        .span(width)
        .height(LOGS_HEIGHT)
        .with_target(_to_loki(query, LETTERS[0]).max_lines(MOST_LOG_LINES))
    )
    return _Ready(_answer(builder.build(), question))


def _to_prometheus(query: Metrics, letter: str, *, is_instant: bool) -> prometheus_builders.Dataquery:
    asked = prometheus_builders.Dataquery().expr(query.expression).legend_format(query.legend).ref_id(letter)
    asked.datasource(PROMETHEUS).editor_mode(prometheus.QueryEditorMode.CODE)
    return asked.instant() if is_instant else asked.range()


def _to_loki(query: Lines, letter: str) -> loki_builders.Dataquery:
    asked = loki_builders.Dataquery().expr(query.expression).legend_format(query.legend).ref_id(letter)
    return asked.datasource(LOKI).query_type("range")


def _to_source(query: Metrics | Lines, letter: str) -> prometheus_builders.Dataquery | loki_builders.Dataquery:
    return _to_loki(query, letter) if isinstance(query, Lines) else _to_prometheus(query, letter, is_instant=False)


def _source_of(queries: Sequence[Metrics | Lines]) -> common.DataSourceRef:
    return LOKI if isinstance(queries[0], Lines) else PROMETHEUS


def _drawn(thresholds: Thresholds) -> common.GraphThresholdsStyleMode:
    return common.GraphThresholdsStyleMode.DASHED if thresholds.steps else common.GraphThresholdsStyleMode.OFF


def _answer(
    panel: dashboard.Panel,
    question: Question,
    colour: dashboard.FieldColorModeId = dashboard.FieldColorModeId.THRESHOLDS,
) -> dashboard.Panel:
    """Put the question, its explanation and its limits on a panel."""
    panel.title = question.title
    panel.description = question.description
    panel.links = [
        dashboard_builders.DashboardLink(link.title)
        .type(dashboard.DashboardLinkType.LINK)
        .url(link.url)
        .target_blank(target_blank=True)
        .build()
        for link in question.links
    ]
    config = panel.field_config or dashboard.FieldConfigSource()
    config.defaults.unit = question.unit
    config.defaults.no_value = question.empty
    config.defaults.decimals = question.decimals
    config.defaults.color = dashboard.FieldColor(mode=colour)
    config.defaults.thresholds = _steps(question.thresholds)
    config.defaults.mappings = _mappings(question.words)
    config.overrides = [_renamed(label, name) for label, name in question.names.items()]
    panel.field_config = config
    return panel


def _steps(thresholds: Thresholds) -> dashboard.ThresholdsConfig:
    first = dashboard.Threshold(value=None, color=thresholds.base)
    steps = [dashboard.Threshold(value=value, color=colour) for value, colour in thresholds.steps]
    return dashboard.ThresholdsConfig(mode=dashboard.ThresholdsMode.ABSOLUTE, steps=[first, *steps])


def _mappings(words: Mapping[int, tuple[str, str]]) -> list[dashboard.ValueMapping]:
    if not words:
        return []
    results = {
        str(value): dashboard.ValueMappingResult(text=text, color=colour, index=position)
        for position, (value, (text, colour)) in enumerate(words.items())
    }
    return [dashboard.ValueMap(options=results)]


def _renamed(label: str, name: str) -> dashboard.DashboardFieldConfigSourceOverrides:
    return dashboard.DashboardFieldConfigSourceOverrides(
        matcher=dashboard.MatcherConfig(id_val="byName", options=label),
        properties=[dashboard.DynamicConfigValue(id_val="displayName", value=name)],
    )
