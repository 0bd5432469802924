"""[pure] Log lines as a Loki would have them, and the little LogQL that the dashboards ask: for pictures only.

Alloy and Loki run from images, which a test run does not have. The lines are the run's own, with the labels that Alloy
gives them; whatever the dashboards ask beyond this little LogQL is refused, never guessed.
"""

import json
import re
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from monitoring.dashboards.picture.series import Series, Span

SELECTOR: Final = re.compile(r"\{([^}]*)\}")
MATCHER: Final = re.compile(r'(\w+)(=~|=)"([^"]*)"')
FIELD: Final = re.compile(r"\| (\w+)=~`([^`]*)`")
CONTAINS: Final = re.compile(r"\|= `([^`]*)`")
EXTRACTED: Final = re.compile(r'\| json (\w+)="\1"')
AT_LEAST: Final = re.compile(r"\| (\w+) >= (\d+)")
COUNT: Final = re.compile(r"sum by \((\w+)\) \(count_over_time\((.*) \[\w+\]\)\)")

COLUMNS: Final = 40
"""Of a graph that counts lines."""

NO_JSON: Final = "unknown"
"""The level that Alloy gives to a line that is no JSON."""


class UnknownLogQL(ValueError):
    """The dashboards ask more than the pictures understand."""


@dataclass(frozen=True, slots=True)
class Line:
    """One line of a log.

    Attributes:
        at: seconds since 1970.
        service: of the compose file.
        text: as it was written.
        fields: of its JSON; none of a line that is no JSON.
    """

    at: float
    service: str
    text: str
    fields: dict[str, Any]

    def value(self, name: str) -> str:
        """Of a label or a field; empty without one."""
        if name == "service":
            return self.service
        return str(self.fields.get(name, NO_JSON if name == "level" else ""))


def lines_of(service: str, texts: Iterable[str], written_at: float) -> list[Line]:
    """The lines of one service; a line without a time of its own has the one before, the first ``written_at``."""
    found: list[Line] = []
    for text in texts:
        fields = _fields_of(text)
        before = found[-1].at if found else written_at
        found.append(Line(_moment_of(fields, before), service, text.rstrip("\n"), fields))
    return found


def matching(expression: str, lines: Sequence[Line]) -> list[Line]:
    """The lines that a query for lines finds, newest first. Raises ``UnknownLogQL``."""
    selector = SELECTOR.match(expression)
    if selector is None:
        raise UnknownLogQL(expression)
    rest = expression[selector.end() :]
    fields, words, limits = FIELD.findall(rest), CONTAINS.findall(rest), AT_LEAST.findall(rest)
    for known in (FIELD, CONTAINS, EXTRACTED, AT_LEAST):
        rest = known.sub("", rest)
    if rest.strip():
        raise UnknownLogQL(f"{rest.strip()} in {expression}")
    patterns = [(name, value if way == "=~" else re.escape(value)) for name, way, value in MATCHER.findall(selector[1])]
    found = [
        line
        for line in lines
        if all(re.fullmatch(pattern, line.value(name)) for name, pattern in [*patterns, *fields])
        and all(word in line.text for word in words)
        and all(_number(line.value(name)) >= int(least) for name, least in limits)
    ]
    return sorted(found, key=lambda line: line.at, reverse=True)


def counted(expression: str, lines: Sequence[Line], span: Span) -> list[Series]:
    """The series that a query for numbers of lines finds. Raises ``UnknownLogQL``."""
    asked = COUNT.fullmatch(expression)
    if asked is None:
        raise UnknownLogQL(expression)
    width = (span.end - span.start) / COLUMNS
    counts: dict[str, Counter[int]] = {}
    for line in matching(asked[2], lines):
        if span.start <= line.at < span.end:
            counts.setdefault(line.value(asked[1]), Counter())[int((line.at - span.start) / width)] += 1
    return [
        Series(name, tuple((span.start + (column + 0.5) * width, float(found[column])) for column in range(COLUMNS)))
        for name, found in sorted(counts.items())
    ]


def _fields_of(text: str) -> dict[str, Any]:
    try:
        fields = json.loads(text)
    except ValueError:
        return {}
    return fields if isinstance(fields, dict) else {}


def _moment_of(fields: dict[str, Any], otherwise: float) -> float:
    try:
        return datetime.fromisoformat(str(fields["timestamp"])).timestamp()
    except (KeyError, ValueError):
        return otherwise


def _number(text: str) -> int:
    return int(text) if text.isdecimal() else -1
