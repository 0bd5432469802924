"""Pictures show what Prometheus answered, under the dashboards' own titles, units, words and limits."""

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any, Final
from xml.etree import ElementTree as ET

import pytest
from grafana_foundation_sdk.models import units

from monitoring.dashboards.catalogue import BUILDERS, rendered
from monitoring.dashboards.picture.__main__ import draw_all
from monitoring.dashboards.picture.asking import PrometheusRefused, answer_to, prometheus_at
from monitoring.dashboards.picture.drawing import NAME, Answer, draw
from monitoring.dashboards.picture.graph import Entry, grid_step, legend_rows, without_holes
from monitoring.dashboards.picture.lines import UnknownLogQL, counted, lines_of, matching
from monitoring.dashboards.picture.series import Span, colouring_of, series_of
from monitoring.dashboards.picture.units import UnknownUnit, with_unit

Json = dict[str, Any]

RECORDED: Final[dict[str, Json]] = json.loads(
    (Path(__file__).resolve().parents[3] / "data" / "dashboards" / "answers.json").read_text()
)
"""Answers of a real Prometheus 2.42, by the beginning of the expression."""

LINES: Final = [
    *lines_of(
        "worker",
        [
            '{"timestamp": "2026-11-29T09:47:47Z", "level": "info", "event": "session_claimed", "session_id": "0c1d"}',
            '{"timestamp": "2026-11-29T09:47:49Z", "level": "error", "event": "run_broke", "session_id": "0c1d"}',
            "Fatal Python error: Segmentation fault",
        ],
        written_at=0.0,
    ),
    *lines_of(
        "nginx",
        [
            '{"timestamp": "2026-11-29T09:47:48+00:00", "level": "info", "event": "http_request", "status": 502}',
            '{"timestamp": "2026-11-29T09:47:50+00:00", "level": "info", "event": "http_request", "status": 200}',
        ],
        written_at=0.0,
    ),
]

NOTHING: Final[Json] = {"resultType": "vector", "result": []}

MOST_BYTES: Final = 200_000
"""A page with five pictures must open quickly."""


def recorded(path: str, parameters: dict[str, str]) -> Json:
    """Stands in for a Prometheus: knows the recorded answers and is empty else."""
    found = (answer for start, answer in RECORDED.items() if parameters["query"].startswith(start))
    return next(found, NOTHING)


def span_of_the_record() -> Span:
    values = RECORDED["60 * sum by (outcome)"]["result"][0]["values"]
    return Span(values[0][0], values[-1][0])


def panels(name: str) -> dict[str, Json]:
    return {panel["title"]: panel for panel in json.loads(rendered(name))["panels"] if panel["type"] != "row"}


def texts(svg: str) -> list[str]:
    return [element.text or "" for element in ET.fromstring(svg).iter("{http://www.w3.org/2000/svg}text")]  # noqa: S314 - our own


def picture_of(name: str, *, logs: bool = False) -> str:
    dashboard = json.loads(rendered(name))
    found = {
        panel["id"]: answer_to(panel, span_of_the_record(), recorded, LINES if logs else ())
        for panel in panels(name).values()
    }
    return draw(dashboard, found, span_of_the_record())


@pytest.mark.parametrize("name", sorted(BUILDERS))
def test_every_title_is_in_the_picture_and_it_says_that_it_is_an_approximation(name: str) -> None:
    shown = texts(picture_of(name))
    assert [title for title in panels(name) if not any(title.startswith(text.rstrip("…")) for text in shown)] == []
    assert NAME in shown


def test_parts_are_shown_in_peoples_words_and_a_number_with_its_unit() -> None:
    shown = texts(picture_of("overview"))
    assert "Celery's broker" in shown
    assert "works" in shown
    assert any(text.endswith("%") for text in shown)


def test_a_limit_is_named_beside_the_lines() -> None:
    dashboard, panel = json.loads(rendered("celery")), panels("celery")["How long does a generation take?"]
    result = {"metric": {}, "values": [[0.0, "12"], [60.0, "14"]]}
    shown = texts(draw(dashboard, {panel["id"]: Answer(series_of(panel, panel["targets"][0], [result]))}, Span(0, 60)))
    assert {"limit 45 s", "P95"} <= set(shown)


def test_a_panel_without_data_says_what_that_means_and_one_that_asks_loki_says_so() -> None:
    assert "the node exporter is not scraped" in texts(picture_of("overview"))
    assert "asks Loki, of which this run has none" in texts(picture_of("logs"))


def test_lines_at_hand_stand_in_lokis_place() -> None:
    shown = texts(picture_of("logs", logs=True))
    assert any("run_broke" in text for text in shown)
    assert any('"status": 502' in text for text in shown)
    assert {"worker", "nginx", "unknown"} <= set(shown)


@pytest.mark.parametrize(
    ("expression", "events"),
    [
        ('{service="worker"}', ["run_broke", "", "session_claimed"]),
        ('{service=~".+", level=~"error|critical"}', ["run_broke"]),
        ('{service=~"worker"} | session_id=~`.*0c1.*` | event=~`.*claim.*` |= ``', ["session_claimed"]),
        ('{service="worker"} |= `Segmentation`', [""]),
        ('{service="nginx"} | json status="status" | status >= 500', ["http_request"]),
        ('{service="work"}', []),
    ],
)
def test_a_query_finds_its_lines_the_newest_first(expression: str, events: list[str]) -> None:
    assert [line.value("event") for line in matching(expression, LINES)] == events


def test_a_line_that_is_no_json_has_the_level_unknown_and_the_time_of_the_line_before() -> None:
    crash = LINES[2]
    assert (crash.value("level"), crash.at) == ("unknown", LINES[1].at)


def test_lines_are_counted_by_a_label() -> None:
    asked = 'sum by (service) (count_over_time({service=~".+", level=~".*"} [5m]))'
    span = Span(LINES[0].at - 10, LINES[0].at + 30)
    assert {series.name: sum(value for _, value in series.points) for series in counted(asked, LINES, span)} == {
        "worker": 3,
        "nginx": 2,
    }


@pytest.mark.parametrize("asked", ['{service="worker"} | logfmt', 'rate({service="worker"}[5m])'])
def test_logql_that_the_pictures_do_not_know_is_refused_and_not_guessed(asked: str) -> None:
    with pytest.raises(UnknownLogQL):
        matching(asked, LINES)


def test_a_count_that_the_pictures_do_not_know_is_refused_and_not_guessed() -> None:
    with pytest.raises(UnknownLogQL):
        counted('max by (service) (count_over_time({service="worker"} [5m]))', LINES, Span(0, 1))


def test_five_files_are_written_none_of_them_large(tmp_path: Path) -> None:
    written = draw_all(recorded, span_of_the_record(), tmp_path)
    assert sorted(path.name for path in written) == sorted(f"dashboard-{name}.svg" for name in BUILDERS)
    assert all(path.stat().st_size < MOST_BYTES for path in written)


def test_a_series_has_the_panels_name_for_it_and_no_points_that_are_no_numbers() -> None:
    panel = panels("celery")["Which stage takes the time (P95)?"]
    result = {"metric": {"stage": "turn"}, "values": [[1.0, "NaN"], [2.0, "0.5"]]}
    (series,) = series_of(panel, panel["targets"][0], [result])
    assert (series.name, series.points) == ("waiting for a turn at the provider", ((2.0, 0.5),))


def test_a_series_of_nothing_but_holes_is_no_series() -> None:
    panel = panels("celery")["How long does a generation take?"]
    assert series_of(panel, panel["targets"][0], [{"metric": {}, "values": [[1.0, "NaN"]]}]) == []


@pytest.mark.parametrize(("value", "colour"), [(96.0, "green"), (95.0, "green"), (92.0, "orange"), (10.0, "red")])
def test_a_number_has_the_colour_of_the_step_it_reaches(value: float, colour: str) -> None:
    assert colouring_of(panels("business")["How many of 100 generations succeed?"]).colour_of(value) == colour


@pytest.mark.parametrize(
    ("value", "unit", "text"),
    [
        (0.0974, units.Seconds, "97.4 ms"),
        (44.9, units.Seconds, "44.9 s"),
        (5400, units.Seconds, "1.5 hours"),
        (0, units.Seconds, "0"),
        (2 * 1024**3, units.BytesIEC, "2 GiB"),
        (12345, units.Short, "12.3 K"),
        (97.35, units.Percent, "97.3%"),
        (0.85, units.PercentUnit, "85%"),
        (0.0415, units.Dollars, "$0.042"),
        (3.2, units.OpsPerMinute, "3.2 /min"),
        (1, units.NoUnit, "1"),
        (float("inf"), units.Short, "∞ Bil"),
    ],
)
def test_numbers_are_written_as_people_read_them(value: float, unit: str, text: str) -> None:
    assert with_unit(value, unit) == text


def test_every_unit_of_the_dashboards_can_be_written() -> None:
    for name in BUILDERS:
        for panel in panels(name).values():
            assert with_unit(1, panel["fieldConfig"]["defaults"]["unit"])


def test_a_unit_that_the_pictures_do_not_know_is_named() -> None:
    with pytest.raises(UnknownUnit, match="furlongs"):
        with_unit(1, "furlongs")


@pytest.mark.parametrize(("highest", "step"), [(0, 0.25), (1, 0.25), (3, 1), (15, 5), (180, 50), (0.07, 0.02)])
def test_the_grid_has_round_steps(highest: float, step: float) -> None:
    assert grid_step(highest, 4) == pytest.approx(step)


def test_a_legend_that_does_not_fit_counts_what_it_leaves_out() -> None:
    entries = [Entry(f"a rather long name {number}", "#fff") for number in range(20)]
    rows = legend_rows(entries, 300)
    shown = sum(len(row) for row in rows) - 1
    assert rows[-1][-1].name == f"and {20 - shown} more"


def test_a_hole_in_the_data_is_a_hole_in_the_line() -> None:
    points = [(0.0, 1.0), (15.0, 1.0), (90.0, 2.0), (105.0, 2.0)]
    assert without_holes(points) == [points[:2], points[2:]]


@contextmanager
def answering(status: int, body: str) -> Iterator[str]:
    """Stands in for a Prometheus on loopback that gives one answer to everything."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(status)
            self.end_headers()
            self.wfile.write(body.encode())

        def log_request(self, code: int | str = "-", size: int | str = "-") -> None:
            """Say nothing."""

    server = HTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def test_an_answer_over_http_is_taken_as_it_is() -> None:
    with answering(200, json.dumps({"status": "success", "data": NOTHING})) as url:
        assert prometheus_at(url)("query", {"query": "up"}) == NOTHING


def test_an_expression_that_prometheus_refuses_is_named_with_its_words() -> None:
    with answering(400, '{"status":"error","error":"parse error"}') as url, pytest.raises(PrometheusRefused) as caught:
        prometheus_at(url)("query", {"query": "sum("})
    assert "sum(" in str(caught.value)
    assert "parse error" in str(caught.value)
