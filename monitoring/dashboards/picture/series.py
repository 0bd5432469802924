"""[pure] What a panel shows, read from a dashboard's JSON and Prometheus' answers."""

import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import promql_parser

Json = Mapping[str, Any]

PLACEHOLDER: Final = re.compile(r"\{\{\s*(\w+)\s*\}\}")

Point = tuple[float, float]
"""Time in seconds since 1970, and value."""


POINTS: Final = 120
"""Of a line: more than a small picture can show makes it large only."""

LEAST_STEP: Final = "1s"


@dataclass(frozen=True, slots=True)
class Span:
    """The time that a picture shows, in seconds since 1970."""

    start: float
    end: float

    def step_seconds(self, panel: Json) -> float:
        """Between two points of the panel's lines, or two of its bars."""
        least = promql_parser.parse_duration(panel.get("interval", LEAST_STEP)).total_seconds()
        return max(least, (self.end - self.start) / POINTS)


@dataclass(frozen=True, slots=True)
class Series:
    """One line of a graph, or one number: the last point."""

    name: str
    points: tuple[Point, ...]

    @property
    def last(self) -> float | None:
        """The newest value that is a number."""
        return self.points[-1][1] if self.points else None


@dataclass(frozen=True, slots=True)
class Colouring:
    """Thresholds and the words for single values.

    Attributes:
        steps: from which value on which colour, the lowest first.
        words: text and colour by value.
    """

    steps: tuple[tuple[float, str], ...]
    words: Mapping[float, tuple[str, str]]

    def colour_of(self, value: float) -> str:
        """As Grafana colours it."""
        if value in self.words:
            return self.words[value][1]
        return [colour for limit, colour in self.steps if value >= limit][-1]


def colouring_of(panel: Json) -> Colouring:
    """From the panel's field configuration."""
    defaults = panel["fieldConfig"]["defaults"]
    steps = tuple(
        (-math.inf if step["value"] is None else float(step["value"]), str(step["color"]))
        for step in defaults["thresholds"]["steps"]
    )
    words = {
        float(value): (str(result["text"]), str(result["color"]))
        for mapping in defaults.get("mappings", [])
        for value, result in mapping["options"].items()
    }
    return Colouring(steps, words)


def series_of(panel: Json, target: Json, results: Sequence[Json]) -> list[Series]:
    """The series in Prometheus' answer to one target, under the names that the panel gives them."""
    names = _renamed(panel)
    found = []
    for result in results:
        legend = _legend(target["legendFormat"], result["metric"])
        values = result["values"] if "values" in result else [result["value"]]
        points = tuple((float(at), float(text)) for at, text in values if not math.isnan(float(text)))
        if points:
            found.append(Series(names.get(legend, legend), points))
    return sorted(found, key=lambda series: series.name)


def _legend(form: str, labels: Mapping[str, str]) -> str:
    return PLACEHOLDER.sub(lambda match: labels.get(match[1], ""), form)


def _renamed(panel: Json) -> dict[str, str]:
    return {
        override["matcher"]["options"]: change["value"]
        for override in panel["fieldConfig"].get("overrides", [])
        for change in override["properties"]
        if change["id"] == "displayName"
    }
