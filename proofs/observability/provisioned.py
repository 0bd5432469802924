"""[pure] The provisioned files as Grafana reads them: environment replaced, policies inherited, durations as spans."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, Final

UNITS: Final[Mapping[str, timedelta]] = {
    "w": timedelta(weeks=1),
    "d": timedelta(days=1),
    "h": timedelta(hours=1),
    "m": timedelta(minutes=1),
    "s": timedelta(seconds=1),
}

ROOT_KEY: Final = "{}"
"""How Alertmanager writes the route that takes everything."""


@dataclass(frozen=True, slots=True)
class ProvisionedRule:
    """A rule of ``rules.yml``.

    Attributes:
        uid, title, folder, group: names.
        datasource_uid: what is asked.
        expression: the query.
        above: whether a value above the threshold is bad; else one below.
        threshold: of the condition.
        interval: between two evaluations.
        hold: ``for``.
        keep_firing: ``keepFiringFor``.
        no_data: ``noDataState``.
        error: ``execErrState``.
        labels, annotations: as templates.
    """

    uid: str
    title: str
    folder: str
    group: str
    datasource_uid: str
    expression: str
    above: bool
    threshold: float
    interval: timedelta
    hold: timedelta
    keep_firing: timedelta
    no_data: str
    error: str
    labels: Mapping[str, str]
    annotations: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Matcher:
    """A condition on a label."""

    label: str
    operator: str
    value: str

    def matches(self, labels: Mapping[str, str]) -> bool:
        """Whether an alert with these labels meets it; a label that is missing is the empty text."""
        there = labels.get(self.label, "")
        if self.operator in {"=~", "!~"}:
            return bool(re.fullmatch(self.value, there)) == (self.operator == "=~")
        return (there == self.value) == (self.operator == "=")

    def __str__(self) -> str:
        return f'{self.label}{self.operator}"{self.value}"'


@dataclass(frozen=True, slots=True)
class PolicyRoute:
    """A branch of the notification policy, with what it inherits."""

    key: str
    receiver: str
    matchers: Sequence[Matcher]
    group_by: Sequence[str]
    group_wait: timedelta
    group_interval: timedelta
    repeat_interval: timedelta
    goes_on: bool
    muted_during: Sequence[str]
    active_during: Sequence[str]
    routes: Sequence["PolicyRoute"]


@dataclass(frozen=True, slots=True)
class LocalSpan:
    """A part of the week in local time; an empty set of weekdays is all of them."""

    begin_minute: int
    end_minute: int
    weekdays: frozenset[int]
    location: str


@dataclass(frozen=True, slots=True)
class Provisioned:
    """All four files."""

    rules: Sequence[ProvisionedRule]
    root: PolicyRoute
    intervals: Mapping[str, Sequence[LocalSpan]]
    receivers: Mapping[str, Sequence[Mapping[str, Any]]]


def read(files: Mapping[str, Mapping[str, Any]]) -> Provisioned:
    """What the four files say, by their names."""
    return Provisioned(
        rules=[_rule(rule, group) for group in files["rules.yml"]["groups"] for rule in group["rules"]],
        root=_route(files["policies.yml"]["policies"][0], None),
        intervals={
            time["name"]: [span for interval in time["time_intervals"] for span in _spans(interval)]
            for time in files["mute-timings.yml"]["muteTimes"]
        },
        receivers={point["name"]: point["receivers"] for point in files["contact-points.yml"]["contactPoints"]},
    )


def span(text: str) -> timedelta:
    """``1h30m`` as a span of time."""
    return sum((int(number) * UNITS[unit] for number, unit in re.findall(r"(\d+)([wdhms])", text)), timedelta(0))


def _rule(rule: Mapping[str, Any], group: Mapping[str, Any]) -> ProvisionedRule:
    queries = {query["refId"]: query for query in rule["data"]}
    condition = queries[rule["condition"]]["model"]
    asked = queries[condition["expression"]]
    evaluator = condition["conditions"][0]["evaluator"]
    return ProvisionedRule(
        uid=rule["uid"],
        title=rule["title"],
        folder=group["folder"],
        group=group["name"],
        datasource_uid=asked["datasourceUid"],
        expression=asked["model"]["expr"],
        above=evaluator["type"] == "gt",
        threshold=float(evaluator["params"][0]),
        interval=span(group["interval"]),
        hold=span(rule["for"]),
        keep_firing=span(rule.get("keepFiringFor", "0s")),
        no_data=rule["noDataState"],
        error=rule["execErrState"],
        # Labels lose one of two $ when the environment is replaced in them; annotations have none that is replaced.
        labels={name: value.replace("$$", "$") for name, value in rule["labels"].items()},
        annotations=rule["annotations"],
    )


def _route(route: Mapping[str, Any], parent: PolicyRoute | None) -> PolicyRoute:
    matchers = [Matcher(*matcher) for matcher in route.get("object_matchers", [])]
    made = PolicyRoute(
        key=ROOT_KEY if parent is None else f"{parent.key}/{{{','.join(map(str, matchers))}}}",
        receiver=route["receiver"],
        matchers=matchers,
        group_by=route.get("group_by", parent.group_by if parent else []),
        group_wait=span(route["group_wait"]),
        group_interval=span(route["group_interval"]),
        repeat_interval=span(route["repeat_interval"]),
        goes_on=route.get("continue", False),
        muted_during=route.get("mute_time_intervals", []),
        active_during=route.get("active_time_intervals", []),
        routes=[],
    )
    below = [_route(each, made) for each in route.get("routes", [])]
    return PolicyRoute(
        made.key, made.receiver, made.matchers, made.group_by, made.group_wait, made.group_interval,
        made.repeat_interval, made.goes_on, made.muted_during, made.active_during, below,
    )  # fmt: skip


WEEKDAYS: Final = ("monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday")


def _spans(interval: Mapping[str, Any]) -> list[LocalSpan]:
    weekdays = frozenset(day for text in interval.get("weekdays", []) for day in _weekdays(text))
    times = interval.get("times", [{"start_time": "00:00", "end_time": "24:00"}])
    return [
        LocalSpan(_minute(each["start_time"]), _minute(each["end_time"]), weekdays, interval["location"])
        for each in times
    ]


def _weekdays(text: str) -> range:
    first, _, last = text.partition(":")
    return range(WEEKDAYS.index(first), WEEKDAYS.index(last or first) + 1)


def _minute(text: str) -> int:
    hours, minutes = text.split(":")
    return int(hours) * 60 + int(minutes)
