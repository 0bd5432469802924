"""[pure] Would Grafana take these files, and would the rules in them work?

Grafana stops provisioning at the first file it does not take, and takes silently what cannot work: a rule without a
runbook, a label whose ``$`` is read as a variable of the environment, a query that filters by itself. The cases are
those of the loader's own tests, and ours.
"""

import re
from collections import Counter
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final
from zoneinfo import available_timezones

import promql_parser

from monitoring.alerting.known_metrics import KNOWN_METRICS, OF_EVERY_TARGET
from monitoring.alerting.rule import RUNBOOKS_URL

File = Mapping[str, Any]

DURATION: Final = re.compile(r"(?:0s|(?=\d)(?:\d+w)?(?:\d+d)?(?:\d+h)?(?:\d+m)?(?:\d+s)?)")
UID: Final = re.compile(r"[a-zA-Z0-9_-]{1,40}")
"""Grafana takes no longer one."""

NO_DATA_STATES: Final = frozenset({"Alerting", "NoData", "OK", "KeepLast"})
ERROR_STATES: Final = frozenset({"Alerting", "Error", "OK", "KeepLast"})
THRESHOLDS: Final = frozenset({"gt", "lt"})
ANNOTATIONS: Final = ("summary", "description", "value_text", "runbook_url")
SEVERITIES: Final = frozenset({"critical", "warning", "heartbeat"})
VARIABLE: Final = re.compile(r"\{\{ \$(?:labels\.[a-z_]+|values\.[A-Z]) \}\}")
"""The only use of ``$`` in an annotation; every version of Grafana leaves it alone."""

RECEIVER_SETTING: Final[Mapping[str, str]] = {"webhook": "url", "email": "addresses"}
"""Without it Grafana refuses the contact point."""

COMPARISONS: Final = frozenset({">", "<", ">=", "<=", "==", "!="})


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What the files refer to and do not hold.

    Attributes:
        datasources: uids of the provisioned data sources.
        runbooks: uids for which docs/runbooks/ has a page.
        metrics: metrics that exist, with the job of each.
    """

    datasources: Collection[str]
    runbooks: Collection[str]
    metrics: Mapping[str, str]


def surroundings(runbooks: Collection[str]) -> Surroundings:
    """Those of this repository."""
    return Surroundings(datasources=frozenset({"prometheus", "loki"}), runbooks=runbooks, metrics=KNOWN_METRICS)


def faults(files: Mapping[str, File], around: Surroundings) -> list[str]:
    """Everything that is wrong with the four files, each in one line; empty when all is well."""
    points, times = files["contact-points.yml"], files["mute-timings.yml"]
    return [
        *(f"{name}: apiVersion must be 1" for name, file in files.items() if file.get("apiVersion") != 1),
        *_rule_file_faults(files["rules.yml"], around),
        *_contact_point_faults(points),
        *_mute_timing_faults(times),
        *_policy_faults(
            files["policies.yml"],
            receivers={point.get("name") for point in points.get("contactPoints", [])},
            intervals={time.get("name") for time in times.get("muteTimes", [])},
        ),
    ]


# --- Rules ------------------------------------------------------------------------------------------------------------


def _rule_file_faults(file: File, around: Surroundings) -> Iterator[str]:
    groups = file.get("groups", [])
    rules = [rule for group in groups for rule in group.get("rules", [])]
    for group in groups:
        name = group.get("name") or "?"
        if not str(group.get("name") or "").strip():
            yield "a group has no name"
        if not str(group.get("folder") or "").strip():
            yield f"group {name}: no folder"
        if not is_duration(group.get("interval")):
            yield f"group {name}: interval {group.get('interval')!r} is no duration"
    for what in ("uid", "title"):
        for value, count in Counter(str(rule.get(what)) for rule in rules).items():
            if count > 1:
                yield f"{count} rules have the {what} {value!r}"
    for rule in rules:
        for fault in rule_faults(rule, around):
            yield f"rule {rule.get('uid') or rule.get('title') or '?'}: {fault}"


def rule_faults(rule: File, around: Surroundings) -> Iterator[str]:
    """What is wrong with one rule."""
    yield from _name_faults(rule)
    yield from _state_faults(rule)
    yield from _query_faults(rule, around)
    yield from _label_faults(rule)
    yield from _annotation_faults(rule, around)


def _name_faults(rule: File) -> Iterator[str]:
    if not UID.fullmatch(str(rule.get("uid") or "")):
        yield f"uid {rule.get('uid')!r} is missing, or more than 40 letters, digits, - and _"
    if not str(rule.get("title") or "").strip():
        yield "no title"


def _state_faults(rule: File) -> Iterator[str]:
    if not is_duration(rule.get("for")):
        yield f"for: {rule.get('for')!r} is no duration"
    if rule.get("noDataState") not in NO_DATA_STATES:
        yield f"noDataState {rule.get('noDataState')!r} is none of {sorted(NO_DATA_STATES)}"
    if rule.get("execErrState") not in ERROR_STATES:
        yield f"execErrState {rule.get('execErrState')!r} is none of {sorted(ERROR_STATES)}"


def _query_faults(rule: File, around: Surroundings) -> Iterator[str]:
    queries = {query.get("refId"): query for query in rule.get("data", [])}
    condition = queries.get(rule.get("condition"))
    if condition is None:
        yield f"condition {rule.get('condition')!r} is none of its queries"
    else:
        yield from _condition_faults(condition, queries)
    for ref, query in queries.items():
        uid = query.get("datasourceUid")
        if uid != "__expr__" and uid not in around.datasources:
            yield f"query {ref}: there is no data source with the uid {uid!r}"
        elif uid != "__expr__":
            yield from (f"query {ref}: {fault}" for fault in _asked_faults(query, around))


def _condition_faults(condition: File, queries: Mapping[Any, File]) -> Iterator[str]:
    model = condition.get("model", {})
    if condition.get("datasourceUid") != "__expr__" or model.get("type") != "threshold":
        yield "the condition is no threshold: a query as condition has no data while all is well"
        return
    if model.get("expression") not in queries:
        yield f"the threshold compares {model.get('expression')!r}, which is none of its queries"
    evaluators = [each.get("evaluator", {}) for each in model.get("conditions", [])]
    if len(evaluators) != 1 or evaluators[0].get("type") not in THRESHOLDS:
        yield f"the threshold has to be one of {sorted(THRESHOLDS)}"
    elif not [number for number in evaluators[0].get("params", []) if isinstance(number, int | float)]:
        yield "the threshold has no number"


def _asked_faults(query: File, around: Surroundings) -> Iterator[str]:
    model, span = query.get("model", {}), query.get("relativeTimeRange", {})
    if model.get("instant") is not True or model.get("range") is True:
        yield "it is no instant query: Grafana alerts on single values only"
    if not span.get("from", 0) > span.get("to", 0) >= 0:
        yield "its time range is empty"
    if "${" in str(model.get("expr")):
        yield "the expression holds ${, which a query does not replace"
    if query.get("datasourceUid") == "prometheus":
        yield from promql_faults(str(model.get("expr", "")), around.metrics)


def promql_faults(expression: str, metrics: Mapping[str, str]) -> Iterator[str]:
    """What is wrong with a PromQL expression: grammar, unknown metrics, metrics of another job, a filter outside."""
    try:
        parsed = promql_parser.parse(expression)
    except ValueError as error:
        yield f"{expression!r} is no PromQL: {error}"
        return
    if isinstance(parsed, promql_parser.BinaryExpr) and str(parsed.op) in COMPARISONS and not _is_bool(parsed):
        yield "a comparison filters its answer, which is then missing while all is well; compare in the threshold"
    for selector in _selectors(parsed):
        yield from _selector_faults(selector, metrics)


def _is_bool(comparison: promql_parser.BinaryExpr) -> bool:
    return bool(comparison.modifier is not None and comparison.modifier.return_bool)


def _selector_faults(selector: promql_parser.VectorSelector, metrics: Mapping[str, str]) -> Iterator[str]:
    jobs = [matcher for matcher in selector.matchers.matchers if matcher.name == "job"]
    expected = metrics.get(selector.name or "")
    if expected is None:
        yield f"there is no metric {selector.name!r}"
    elif not jobs:
        yield f"{selector.name} has to be asked with its job"
    elif expected != OF_EVERY_TARGET and [matcher.value for matcher in jobs] != [expected]:
        yield f"{selector.name} comes from the job {expected!r}, not from {jobs[0].value!r}"


def _selectors(expression: promql_parser.Expr) -> list[promql_parser.VectorSelector]:
    """Every metric that an expression names."""
    match expression:
        case promql_parser.VectorSelector():
            return [expression]
        case promql_parser.MatrixSelector():
            return [expression.vector_selector]
        case promql_parser.BinaryExpr():
            return [*_selectors(expression.lhs), *_selectors(expression.rhs)]
        case promql_parser.Call():
            return [selector for argument in expression.args for selector in _selectors(argument)]
        case (
            promql_parser.AggregateExpr()
            | promql_parser.ParenExpr()
            | promql_parser.UnaryExpr()
            | promql_parser.SubqueryExpr()
        ):
            return _selectors(expression.expr)
    return []


def _label_faults(rule: File) -> Iterator[str]:
    labels = rule.get("labels", {})
    if labels.get("severity") not in SEVERITIES:
        yield f"severity {labels.get('severity')!r} is none of {sorted(SEVERITIES)}"
    for name, value in labels.items():
        if "$" in str(value).replace("$$", ""):
            yield f"label {name}: a single $ is read as a variable of Grafana's environment; write $$"


def _annotation_faults(rule: File, around: Surroundings) -> Iterator[str]:
    annotations = rule.get("annotations", {})
    for name in ANNOTATIONS:
        if not str(annotations.get(name) or "").strip():
            yield f"no annotation {name}"
    for name, text in annotations.items():
        if "$" in VARIABLE.sub("", str(text)):
            yield f"annotation {name}: only {{{{ $labels.x }}}} and {{{{ $values.A }}}} may have a $"
    if annotations.get("runbook_url") != f"{RUNBOOKS_URL}/{rule.get('uid')}.md":
        yield f"runbook_url is not {RUNBOOKS_URL}/{rule.get('uid')}.md"
    if rule.get("uid") not in around.runbooks:
        yield f"docs/runbooks/{rule.get('uid')}.md is missing"


# --- Contact points, times, policy ------------------------------------------------------------------------------------


def _contact_point_faults(file: File) -> Iterator[str]:
    uids = Counter(
        str(receiver.get("uid") or "").strip()
        for point in file.get("contactPoints", [])
        for receiver in point.get("receivers", [])
    )
    yield from (f"{count} receivers have the uid {uid!r}" for uid, count in uids.items() if uid and count > 1)
    for point in file.get("contactPoints", []):
        name = str(point.get("name") or "").strip()
        if not name:
            yield "a contact point has no name"
        if not point.get("receivers"):
            yield f"contact point {name}: no receivers"
        for receiver in point.get("receivers", []):
            yield from (f"contact point {name}: {fault}" for fault in _receiver_faults(receiver))


def _receiver_faults(receiver: File) -> Iterator[str]:
    kind, settings = str(receiver.get("type")), receiver.get("settings") or {}
    if not str(receiver.get("uid") or "").strip():
        yield "a receiver has no uid"
    if kind not in RECEIVER_SETTING:
        yield f"type {kind!r} is none of {sorted(RECEIVER_SETTING)}"
    elif not settings.get(RECEIVER_SETTING[kind]):
        yield f"{RECEIVER_SETTING[kind]} is missing"
    secret = settings.get("hmacConfig", {}).get("secret", "${}")
    if not re.fullmatch(r"\$\{\w*\}", secret):
        yield "the secret stands in the file; write ${NAME}"


def _mute_timing_faults(file: File) -> Iterator[str]:
    names = Counter(str(time.get("name") or "").strip() for time in file.get("muteTimes", []))
    yield from (f"{count} mute timings are called {name!r}" for name, count in names.items() if count > 1)
    if "" in names:
        yield "a mute timing has no name"
    for time in file.get("muteTimes", []):
        for interval in time.get("time_intervals", []):
            yield from (f"mute timing {time.get('name')}: {fault}" for fault in _interval_faults(interval))


def _interval_faults(interval: File) -> Iterator[str]:
    if interval.get("location") not in available_timezones():
        yield f"location {interval.get('location')!r} is no time zone"
    for times in interval.get("times", []):
        for edge in ("start_time", "end_time"):
            if not re.fullmatch(r"(?:[01]\d|2[0-3]):[0-5]\d|24:00", str(times.get(edge))):
                yield f"{edge} {times.get(edge)!r} is no time of day"


def _policy_faults(file: File, *, receivers: Collection[Any], intervals: Collection[Any]) -> Iterator[str]:
    trees = file.get("policies", [])
    if len(trees) != 1:
        yield f"{len(trees)} policy trees; the last one silently replaces the others"
    for tree in trees:
        if any(
            tree.get(key) for key in ("object_matchers", "continue", "mute_time_intervals", "active_time_intervals")
        ):
            yield "the root policy has to take everything at any time"
        yield from _route_faults(tree, receivers, intervals)


def _route_faults(route: File, receivers: Collection[Any], intervals: Collection[Any]) -> Iterator[str]:
    where = f"route to {route.get('receiver')!r}"
    if route.get("receiver") not in receivers:
        yield f"{where}: there is no such contact point"
    for key in ("group_wait", "group_interval", "repeat_interval"):
        if not is_duration(route.get(key)) or (key != "group_wait" and route[key] == "0s"):
            yield f"{where}: {key} {route.get(key)!r} is no duration"
    for key in ("mute_time_intervals", "active_time_intervals"):
        yield from (
            f"{where}: there is no mute timing {name!r}" for name in route.get(key, []) if name not in intervals
        )
    for matcher in route.get("object_matchers", []):
        if len(matcher) != 3 or matcher[1] not in {"=", "!=", "=~", "!~"}:  # noqa: PLR2004
            yield f"{where}: {matcher!r} is no matcher"
    for below in route.get("routes", []):
        yield from _route_faults(below, receivers, intervals)


def is_duration(text: object) -> bool:
    """Whether Prometheus reads it as a span of time: ``5m``, ``1h30m``, ``2d``, ``0s``."""
    return isinstance(text, str) and text != "" and DURATION.fullmatch(text) is not None
