"""[pure] Draws lines or bars over time, with the panel's thresholds and a legend."""

import math
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from itertools import pairwise
from typing import Final

from monitoring.dashboards.picture import svg
from monitoring.dashboards.picture.look import COLOURS, GRID, PALETTE, QUIET, TINY
from monitoring.dashboards.picture.series import Json, Point, Series, colouring_of
from monitoring.dashboards.picture.svg import Box
from monitoring.dashboards.picture.units import with_unit

AXIS_WIDTH: Final = 72.0
AXIS_HEIGHT: Final = 18.0
LEGEND_LINE: Final = 16.0
MOST_LEGEND_LINES: Final = 4
SWATCH: Final = 18.0
INTERVALS: Final = 4
"""Between the lines of the grid, about."""
ROUND_STEPS: Final = (1.0, 2.0, 2.5, 5.0, 10.0)
BAR_SHARE: Final = 0.8
GAP_STEPS: Final = 2.5
"""A hole of more steps than this is a hole and no line."""


@dataclass(frozen=True, slots=True)
class Entry:
    """A name in the legend with its colour; a limit's line is dashed."""

    name: str
    colour: str
    is_limit: bool = False


@dataclass(frozen=True, slots=True)
class Plane:
    """Turns times and values into places."""

    box: Box
    start: float
    end: float
    top: float

    def x(self, at: float) -> float:
        """Of a time."""
        return self.box.x + (at - self.start) / (self.end - self.start) * self.box.width

    def y(self, value: float) -> float:
        """Of a value; what is above the top ends there."""
        return self.box.y + self.box.height * (1 - min(value, self.top) / self.top)


def draw_graph(root: svg.Element, box: Box, panel: Json, series: Sequence[Series], times: tuple[float, float]) -> None:
    """Into the box; ``times`` are its left and right edge."""
    lines = [Entry(one.name, colour) for one, colour in zip(series, _colours(len(series)), strict=True)]
    rows = legend_rows([*_limits(panel), *lines], box.width)
    plot = Box(
        box.x + AXIS_WIDTH,
        box.y + 4,
        box.width - AXIS_WIDTH - 6,
        box.height - AXIS_HEIGHT - LEGEND_LINE * len(rows) - 4,
    )
    custom = panel["fieldConfig"]["defaults"]["custom"]
    is_stacked = custom.get("stacking", {}).get("mode") == "normal"
    step = grid_step(_highest(series, is_stacked=is_stacked), INTERVALS)
    plane = Plane(plot, *times, top=step * max(1, math.ceil(_highest(series, is_stacked=is_stacked) / step)))
    _draw_axes(root, plane, panel, step)
    _draw_thresholds(root, plane, panel)
    if custom["drawStyle"] == "bars":
        _draw_bars(root, plane, series)
    else:
        for colour, one in zip(_colours(len(series)), series, strict=True):
            _draw_line(root, plane, one.points, colour)
    _draw_legend(root, Box(box.x, plot.y + plot.height + AXIS_HEIGHT, box.width, 0), rows)


def grid_step(highest: float, intervals: int) -> float:
    """A round number that goes about so many times into the highest value."""
    if highest <= 0:
        return 1.0 / intervals
    rough = highest / intervals
    magnitude = 10.0 ** math.floor(math.log10(rough))
    return next(nice * magnitude for nice in ROUND_STEPS if nice * magnitude >= rough * (1 - 1e-9))


def legend_rows(entries: Sequence[Entry], width: float) -> list[list[Entry]]:
    """As many to a row as fit; what does not fit into the last row is counted there."""
    rows: list[list[Entry]] = [[]]
    used = 0.0
    for position, entry in enumerate(entries):
        needed = _legend_width(entry.name)
        if rows[-1] and used + needed > width:
            if len(rows) == MOST_LEGEND_LINES:
                rows[-1][-1] = Entry(f"and {len(entries) - position + 1} more", QUIET)
                return rows
            rows.append([])
            used = 0.0
        rows[-1].append(replace(entry, name=svg.fitted(entry.name, TINY, width - SWATCH)))
        used += needed
    return rows


def _legend_width(name: str) -> float:
    return SWATCH + svg.width_of(name, TINY) + 10


def _highest(series: Sequence[Series], *, is_stacked: bool) -> float:
    if not is_stacked:
        return max(_finite(value) for one in series for _, value in one.points)
    sums: dict[float, float] = defaultdict(float)
    for one in series:
        for at, value in one.points:
            sums[at] += _finite(value)
    return max(sums.values())


def _finite(value: float) -> float:
    return value if math.isfinite(value) else 0.0


def _draw_axes(root: svg.Element, plane: Plane, panel: Json, step: float) -> None:
    box = plane.box
    unit = panel["fieldConfig"]["defaults"]["unit"]
    for position in range(round(plane.top / step) + 1):
        value = position * step
        y = plane.y(value)
        svg.line(root, (box.x, y), (box.x + box.width, y), GRID)
        label = svg.fitted(with_unit(value, unit), TINY, AXIS_WIDTH)
        svg.text(root, (box.x - 6, y + 4), label, TINY, QUIET, text_anchor="end")
    foot = box.y + box.height + 13
    middle = (plane.start + plane.end) / 2
    for at, anchor in ((plane.start, "start"), (middle, "middle"), (plane.end, "end")):
        clock = datetime.fromtimestamp(at, UTC).strftime("%H:%M:%S")
        svg.text(root, (plane.x(at), foot), clock, TINY, QUIET, text_anchor=anchor)


def _draw_thresholds(root: svg.Element, plane: Plane, panel: Json) -> None:
    box = plane.box
    for limit, colour in colouring_of(panel).steps[1:]:
        if limit <= plane.top:
            y = plane.y(limit)
            svg.line(root, (box.x, y), (box.x + box.width, y), COLOURS[colour], stroke_dasharray="6 4")


def _limits(panel: Json) -> list[Entry]:
    unit = panel["fieldConfig"]["defaults"]["unit"]
    return [
        Entry(f"limit {with_unit(limit, unit)}", COLOURS[colour], is_limit=True)
        for limit, colour in colouring_of(panel).steps[1:]
    ]


def _draw_line(root: svg.Element, plane: Plane, points: Sequence[Point], colour: str) -> None:
    for part in without_holes(points):
        places = [(plane.x(at), plane.y(value)) for at, value in part]
        if len(places) == 1:
            svg.dot(root, *places[0], colour)
        else:
            svg.polyline(root, places, colour)


def without_holes(points: Sequence[Point]) -> list[list[Point]]:
    """The points in parts, each without a hole."""
    steps = [after[0] - before[0] for before, after in pairwise(points)]
    widest = GAP_STEPS * min(steps, default=0.0)
    parts = [[points[0]]]
    for step, point in zip(steps, points[1:], strict=True):
        if step > widest:
            parts.append([])
        parts[-1].append(point)
    return parts


def _draw_bars(root: svg.Element, plane: Plane, series: Sequence[Series]) -> None:
    times = sorted({at for one in series for at, _ in one.points})
    gaps = [after - before for before, after in pairwise(times)]
    between = min(gaps, default=plane.end - plane.start)
    width = max(1.0, (plane.x(plane.start + between) - plane.box.x) * BAR_SHARE)
    feet: dict[float, float] = defaultdict(float)
    for colour, one in zip(_colours(len(series)), series, strict=True):
        for at, value in one.points:
            if value > 0:
                head = plane.y(feet[at] + value)
                left = max(plane.box.x, plane.x(at) - width / 2)
                right = min(plane.box.x + plane.box.width, plane.x(at) + width / 2)
                svg.rectangle(root, Box(left, head, right - left, plane.y(feet[at]) - head), colour)
                feet[at] += value


def _draw_legend(root: svg.Element, box: Box, rows: Sequence[Sequence[Entry]]) -> None:
    for number, row in enumerate(rows):
        x = box.x
        y = box.y + LEGEND_LINE * (number + 0.75)
        for entry in row:
            dashes = {"stroke_dasharray": "5 3"} if entry.is_limit else {"stroke_width": "3"}
            svg.line(root, (x, y - 4), (x + SWATCH - 5, y - 4), entry.colour, **dashes)
            svg.text(root, (x + SWATCH, y), entry.name, TINY, QUIET)
            x += _legend_width(entry.name)


def _colours(count: int) -> list[str]:
    return [PALETTE[position % len(PALETTE)] for position in range(count)]
