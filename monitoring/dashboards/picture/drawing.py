"""[pure] Draws a dashboard: its panels where Grafana puts them, with what Prometheus answered."""

import textwrap
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final

from monitoring.dashboards.picture import svg
from monitoring.dashboards.picture.graph import draw_graph
from monitoring.dashboards.picture.lines import Line
from monitoring.dashboards.picture.look import COLOURS, FAINT, GROUND, LEVELS, PANEL, QUIET, SMALL, TEXT, TINY, TITLE
from monitoring.dashboards.picture.series import Colouring, Json, Series, Span, colouring_of
from monitoring.dashboards.picture.svg import Box
from monitoring.dashboards.picture.units import with_unit

WIDTH: Final = 1200.0
COLUMN: Final = WIDTH / 24
"""Grafana's grid has 24 columns."""
ROW: Final = 30.0
"""One step of the grid's height."""
GAP: Final = 4.0
HEAD: Final = 56.0
TITLE_HEIGHT: Final = 24.0
LINE_HEIGHT: Final = 18.0
LARGEST_NUMBER: Final = 30.0
BOLD_CHARACTER_WIDTH: Final = 0.66
ACCENT_HEIGHT: Final = 3.0

NOT_ASKED: Final = "asks Loki, of which this run has none"
CLOCK_WIDTH: Final = 60.0

NAME: Final = "approximation of Grafana, drawn from the run's data"


@dataclass(frozen=True, slots=True)
class Answer:
    """What came back for a panel: series, or lines of a log; ``was_asked`` is false where nobody could be asked."""

    series: Sequence[Series] = ()
    lines: Sequence[Line] = ()
    was_asked: bool = True


def draw(dashboard: Json, answers: Mapping[int, Answer], shown: Span) -> str:
    """The SVG of a dashboard; ``answers`` has what was answered to each panel, by the panel's number."""
    bottom = max(panel["gridPos"]["y"] + panel["gridPos"]["h"] for panel in dashboard["panels"])
    when = f"{_moment(shown.start)} to {_moment(shown.end)} UTC"
    root = svg.picture(WIDTH, HEAD + bottom * ROW + GAP, GROUND)
    svg.text(root, (12, 26), dashboard["title"], 20, TEXT, font_weight="600")
    svg.text(root, (12, 46), dashboard["description"], SMALL, QUIET)
    svg.text(root, (WIDTH - 12, 26), when, SMALL, QUIET, text_anchor="end")
    svg.text(root, (WIDTH - 12, 46), NAME, SMALL, FAINT, text_anchor="end")
    for panel in dashboard["panels"]:
        if panel["type"] == "row":
            svg.text(root, (12, HEAD + panel["gridPos"]["y"] * ROW + 21), panel["title"], 15, TEXT, font_weight="600")
        else:
            _draw_panel(root, panel, answers.get(panel["id"], Answer()), shown)
    return svg.written(root)


def _draw_panel(root: svg.Element, panel: Json, answer: Answer, shown: Span) -> None:
    place = panel["gridPos"]
    box = Box(
        place["x"] * COLUMN + GAP / 2,
        HEAD + place["y"] * ROW + GAP / 2,
        place["w"] * COLUMN - GAP,
        place["h"] * ROW - GAP,
    )
    svg.rectangle(root, box, PANEL, rx="2")
    title = svg.fitted(panel["title"], TITLE, box.width - 16)
    svg.text(root, (box.x + 8, box.y + 17), title, TITLE, TEXT, font_weight="500")
    inner = Box(box.x + 8, box.y + TITLE_HEIGHT, box.width - 16, box.height - TITLE_HEIGHT - 6)
    if not answer.series and not answer.lines:
        _draw_empty(root, inner, panel["fieldConfig"]["defaults"]["noValue"] if answer.was_asked else NOT_ASKED)
    elif panel["type"] == "stat":
        _draw_numbers(root, inner, panel, answer.series)
    elif panel["type"] == "table":
        _draw_table(root, inner, panel, answer.series)
    elif panel["type"] == "logs":
        _draw_lines(root, inner, answer.lines)
    else:
        draw_graph(root, inner, panel, answer.series, (shown.start, shown.end))


def _draw_empty(root: svg.Element, box: Box, words: str) -> None:
    lines = textwrap.wrap(words, svg.fitting(TITLE, box.width))
    foot = box.y + box.height / 2 + 4 - LINE_HEIGHT * (len(lines) - 1) / 2
    for number, line in enumerate(lines):
        place = (box.x + box.width / 2, foot + number * LINE_HEIGHT)
        svg.text(root, place, line, TITLE, QUIET, text_anchor="middle")


def _draw_numbers(root: svg.Element, box: Box, panel: Json, series: Sequence[Series]) -> None:
    colouring = colouring_of(panel)
    has_names = panel["options"]["textMode"] == "value_and_name"
    width = box.width / len(series)
    for position, one in enumerate(series):
        words, colour = _in_words(panel, colouring, one.last or 0.0)
        size = min(LARGEST_NUMBER, (width - 8) / (max(1, len(words)) * BOLD_CHARACTER_WIDTH))
        middle = box.x + (position + 0.5) * width
        foot = box.y + box.height / 2 + (2 if has_names else size / 3)
        svg.text(root, (middle, foot), words, size, COLOURS[colour], text_anchor="middle", font_weight="600")
        if has_names:
            name = svg.fitted(one.name, SMALL, width - 4)
            svg.text(root, (middle, foot + LINE_HEIGHT + 4), name, SMALL, QUIET, text_anchor="middle")
        accent = Box(middle - width / 2 + 2, box.y + box.height, width - 4, ACCENT_HEIGHT)
        svg.rectangle(root, accent, COLOURS[colour])


def _draw_table(root: svg.Element, box: Box, panel: Json, series: Sequence[Series]) -> None:
    colouring = colouring_of(panel)
    fitting = max(1, int(box.height / LINE_HEIGHT))
    shown = series if len(series) <= fitting else series[: fitting - 1]
    for position, one in enumerate(shown):
        foot = box.y + (position + 0.75) * LINE_HEIGHT
        words, colour = _in_words(panel, colouring, one.last or 0.0)
        name = svg.fitted(one.name, SMALL, box.width - svg.width_of(words, SMALL) - 8)
        svg.text(root, (box.x, foot), name, SMALL, TEXT)
        svg.text(root, (box.x + box.width, foot), words, SMALL, COLOURS[colour], text_anchor="end")
    if len(shown) < len(series):
        foot = box.y + (len(shown) + 0.75) * LINE_HEIGHT
        svg.text(root, (box.x, foot), f"and {len(series) - len(shown)} more", SMALL, QUIET)


def _draw_lines(root: svg.Element, box: Box, lines: Sequence[Line]) -> None:
    for number, line in enumerate(lines[: int(box.height / LINE_HEIGHT)]):
        foot = box.y + (number + 0.75) * LINE_HEIGHT
        svg.rectangle(root, Box(box.x, foot - 10, 3, 13), LEVELS.get(line.value("level"), FAINT))
        words = svg.fitted(line.text, TINY, box.width - CLOCK_WIDTH - 10)
        svg.text(root, (box.x + 9, foot), _moment(line.at).split()[-1], TINY, QUIET)
        svg.text(root, (box.x + 9 + CLOCK_WIDTH, foot), words, TINY, TEXT)


def _in_words(panel: Json, colouring: Colouring, value: float) -> tuple[str, str]:
    defaults = panel["fieldConfig"]["defaults"]
    if value in colouring.words:
        return colouring.words[value]
    return with_unit(value, defaults["unit"], defaults.get("decimals")), colouring.colour_of(value)


def _moment(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, UTC).strftime("%d %b %H:%M:%S")
