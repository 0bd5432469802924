"""Asks a Prometheus over its HTTP API what the panels of a dashboard ask."""

import json
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Callable, Sequence
from typing import Any, Final

from monitoring.dashboards.picture.drawing import Answer
from monitoring.dashboards.picture.lines import Line, counted, matching
from monitoring.dashboards.picture.series import Json, Span, series_of
from monitoring.dashboards.queries import ALL, substitute

ANSWER_SECONDS: Final = 30.0

SCRAPE_SECONDS: Final = 15
LEAST_RATE_INTERVAL_SECONDS: Final = 4 * SCRAPE_SECONDS
"""Grafana's rule: a step and a scrape, so that nothing is lost between two windows, and four scrapes at least."""

Ask = Callable[[str, dict[str, str]], Any]
"""Takes the path behind ``/api/v1/`` and its parameters; gives ``data`` of the answer."""


class PrometheusRefused(Exception):
    """Prometheus did not answer an expression; the message has its words."""


def prometheus_at(base_url: str) -> Ask:
    """Asks the Prometheus at this base URL, never through a proxy. Raises ``PrometheusRefused``."""
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))

    def ask(path: str, parameters: dict[str, str]) -> Any:
        url = f"{base_url.rstrip('/')}/api/v1/{path}?{urllib.parse.urlencode(parameters)}"
        try:
            with opener.open(url, timeout=ANSWER_SECONDS) as answer:
                return json.load(answer)["data"]
        except urllib.error.HTTPError as error:
            raise PrometheusRefused(f"{parameters['query']}: {error.read().decode(errors='replace')}") from error

    return ask


def answer_to(panel: Json, span: Span, ask: Ask, logs: Sequence[Line]) -> Answer:
    """What Prometheus, or in Loki's place the lines at hand, answer to a panel."""
    if panel["datasource"]["uid"] == "loki":
        return _from_lines(panel, span, logs)
    return Answer(
        [
            series
            for target in panel["targets"]
            for series in series_of(panel, target, _results(ask, panel, target, span))
        ]
    )


def _from_lines(panel: Json, span: Span, logs: Sequence[Line]) -> Answer:
    if not logs:
        return Answer(was_asked=False)
    shown = [line for line in logs if span.start <= line.at <= span.end]
    expressions = [substitute(target["expr"]) for target in panel["targets"]]
    if panel["type"] == "logs":
        return Answer(lines=[line for expression in expressions for line in matching(expression, shown)])
    return Answer([series for expression in expressions for series in counted(expression, shown, span)])


def _results(ask: Ask, panel: Json, target: Json, span: Span) -> Sequence[Json]:
    step = span.step_seconds(panel)
    window = max(LEAST_RATE_INTERVAL_SECONDS, round(step) + SCRAPE_SECONDS)
    shown = {**ALL, "__range": f"{max(1, round(span.end - span.start))}s", "__rate_interval": f"{window}s"}
    parameters = {"query": substitute(target["expr"], shown)}
    if target.get("instant"):
        data = ask("query", {**parameters, "time": f"{span.end:.3f}"})
    else:
        times = {"start": f"{span.start:.3f}", "end": f"{span.end:.3f}", "step": f"{step:.3f}"}
        data = ask("query_range", {**parameters, **times})
    results: Sequence[Json] = data["result"]
    return results
