"""[pure] What an expression for Prometheus must keep to, so that no panel shows a number that is not so."""

from collections.abc import Iterator
from datetime import timedelta
from typing import Final

import promql_parser as promql

from monitoring.dashboards import metric_names as names
from monitoring.dashboards.promql import DAY
from monitoring.dashboards.queries import ALL, UnknownVariable, substitute

Path = tuple[promql.Expr, ...]
"""The expressions around one, the outermost first."""

MARKS: Final = {**ALL, "__rate_interval": "61s", "__range": "3601s", "instance": "(chosen)"}
"""Values that nobody writes by hand: what is found in their place was a variable."""

RATE_INTERVAL: Final = promql.parse_duration(MARKS["__rate_interval"])
RANGE: Final = promql.parse_duration(MARKS["__range"])

WINDOWS: Final[dict[str, tuple[timedelta, ...]]] = {
    "rate": (RATE_INTERVAL,),
    "increase": (RATE_INTERVAL, RANGE, promql.parse_duration(DAY)),
}
"""The functions that may read a counter, and their windows."""

COUNTER_SUFFIXES: Final = ("_total", *names.HISTOGRAM_SUFFIXES)

READ_BY_EVERY_WORKER: Final = frozenset(
    {
        names.BACKLOG,
        names.OLDEST_WAITING_SECONDS,
        names.RATE_WINDOW,
        names.RATE_WINDOW_LIMIT,
        names.COMPONENT_UP,
        names.PROVIDER_PAUSED,
        names.MODELS_LEFT,
        names.LEDGER_FAULTS,
        names.LEDGER_AUDIT,
    }
)
"""Gauges that each worker reads from the same place, or that two workers show side by side: a sum counts them twice."""


def faults(expression: str) -> list[str]:
    """What is wrong with an expression, in words; nothing when it is right."""
    try:
        tree = promql.parse(substitute(expression, MARKS))
    except (ValueError, UnknownVariable) as error:
        return [f"Prometheus would not take it: {error}"]
    return [
        *(fault for selector, path in _selectors(tree) for fault in _faults_of_selector(selector, path)),
        *(fault for call in _calls(tree) for fault in _faults_of_window(call)),
    ]


def metrics_in(expression: str) -> set[str]:
    """The metrics an expression asks for; of a histogram's series, the histogram."""
    tree = promql.parse(substitute(expression))
    return {names.family(selector.name or "") for selector, _ in _selectors(tree)}


def _faults_of_selector(selector: promql.VectorSelector, path: Path) -> Iterator[str]:
    name = selector.name or ""
    metric = names.family(name) if names.family(name) in names.KNOWN else name
    if metric not in names.KNOWN:
        yield f"{name}: no such metric in metric_names.py"
        return
    allowed = {*names.KNOWN[metric], *names.TARGET_LABELS}
    matchers = {matcher.name: matcher.value for matcher in selector.matchers.matchers}
    for label in matchers.keys() - allowed:
        yield f"{name}: it has no label {label}"
    if matchers.get("instance", MARKS["instance"]) != MARKS["instance"]:
        yield f'{name}: a single instance is hard-coded; write instance=~"$instance"'
    if metric in names.WORKER and "instance" not in matchers:
        yield f'{name}: the reader\'s choice of a worker is ignored; write instance=~"$instance"'
    if name.endswith(COUNTER_SUFFIXES) and not _is_in_call(path, tuple(WINDOWS)):
        yield f"{name}: a counter's height means nothing; read it by rate() or increase()"
    if metric in READ_BY_EVERY_WORKER and not _is_in_max_or_min(path):
        yield f"{name}: every worker shows it; aggregate it by max() or min()"


def _faults_of_window(call: promql.Call) -> Iterator[str]:
    for argument in call.args:
        if isinstance(argument, promql.MatrixSelector):
            windows = WINDOWS.get(call.func.name)
            if windows is None:
                yield f"{call.func.name}() reads a window; known are {', '.join(WINDOWS)}"
            elif argument.range not in windows:
                yield f"{call.func.name}() has a window of its own; write [$__rate_interval]"


def _is_in_call(path: Path, functions: tuple[str, ...]) -> bool:
    return any(isinstance(outer, promql.Call) and outer.func.name in functions for outer in path)


def _is_in_max_or_min(path: Path) -> bool:
    aggregates = [outer for outer in path if isinstance(outer, promql.AggregateExpr)]
    return bool(aggregates) and str(aggregates[-1].op) in {"max", "min"}


def _selectors(tree: promql.Expr, path: Path = ()) -> Iterator[tuple[promql.VectorSelector, Path]]:
    if isinstance(tree, promql.VectorSelector):
        yield tree, path
    for part in _parts(tree):
        yield from _selectors(part, (*path, tree))


def _calls(tree: promql.Expr) -> Iterator[promql.Call]:
    if isinstance(tree, promql.Call):
        yield tree
    for part in _parts(tree):
        yield from _calls(part)


def _parts(tree: promql.Expr) -> list[promql.Expr]:
    match tree:
        case promql.BinaryExpr():
            return [tree.lhs, tree.rhs]
        case promql.Call():
            return list(tree.args)
        case promql.MatrixSelector():
            return [tree.vector_selector]
        case promql.AggregateExpr() | promql.ParenExpr() | promql.UnaryExpr() | promql.SubqueryExpr():
            return [tree.expr]
        case _:
            return []
