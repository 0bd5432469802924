"""What Alloy makes of real lines of the containers, by a model of its stages (no Alloy runs here)."""

import json
import re
from typing import Any, Final

import pytest

from tests.support.alloy_model import Entry, UnknownStage, shipped, stages
from tests.support.tracked import REPOSITORY

CONFIGURATION: Final = (REPOSITORY / "monitoring" / "alloy" / "config.alloy").read_text()
LINES: Final[list[dict[str, str]]] = [
    json.loads(line) for line in (REPOSITORY / "tests" / "data" / "container_lines.jsonl").read_text().splitlines()
]
"""Of the stack on an engine: the worker's, nginx's and what Debian's Redis, Prometheus and exporters write."""

LEVELS: Final = {"debug", "info", "warning", "error", "critical", "unknown"}


def of(service: str, line: str) -> Entry:
    """What reaches Loki of a line."""
    labels = {"service": service, "container": f"wearon-{service}-1", "filename": "of no use"}
    return shipped(CONFIGURATION, line, labels)


def json_lines(service: str) -> list[dict[str, Any]]:
    return [json.loads(it["line"]) for it in LINES if it["service"] == service and it["line"].startswith("{")]


@pytest.mark.parametrize("at", range(len(LINES)))
def test_every_line_survives_as_it_is_with_three_labels_and_a_known_level(at: int) -> None:
    entry = of(**LINES[at])
    assert entry.line == LINES[at]["line"]
    assert set(entry.labels) == {"service", "container", "level"}
    assert entry.labels["level"] in LEVELS


def test_a_line_that_is_no_json_is_kept_with_an_unknown_level_and_the_engines_time() -> None:
    plain = [it for it in LINES if not it["line"].startswith("{")]
    assert {it["service"] for it in plain} >= {"redis", "nginx", "redis-exporter", "nginx-exporter"}
    entries = [of(**it) for it in plain]
    assert {entry.labels["level"] for entry in entries} == {"unknown"}
    assert {entry.timestamp for entry in entries} == {None}


def test_the_workers_lines_can_be_searched_by_request_session_and_event() -> None:
    (line, *_) = [it for it in json_lines("worker") if it.get("session_id") and it.get("request_id")]
    entry = of("worker", json.dumps(line))
    assert entry.labels["level"] == line["level"]
    assert entry.timestamp == line["timestamp"]
    assert entry.structured_metadata == {name: line[name] for name in ("request_id", "session_id", "event")}


def test_nginxs_lines_have_the_request_id_by_which_the_workers_are_found() -> None:
    (line,) = json_lines("nginx")
    entry = of("nginx", json.dumps(line))
    assert entry.structured_metadata == {"request_id": line["request_id"], "event": "http_request"}
    assert entry.timestamp == line["timestamp"]


def test_the_time_of_a_line_is_in_the_form_that_is_read() -> None:
    """RFC 3339, with or without parts of a second."""
    assert re.search(r'format\s+= "RFC3339Nano"', CONFIGURATION)
    form = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d{1,9})?(Z|[+-]\d\d:\d\d)")
    times = [entry.timestamp for it in LINES if (entry := of(**it)).timestamp]
    assert len(times) > 3
    assert all(form.fullmatch(time) for time in times)


@pytest.mark.parametrize(
    ("written", "level"),
    [
        ("INFO", "info"),
        ("warn", "warning"),
        ("Error", "error"),
        ("eror", "error"),
        ("fatal", "critical"),
        ("dbug", "debug"),
        ("notice-7f3a", "unknown"),
        (7, "unknown"),
        (None, "unknown"),
    ],
)
def test_levels_are_a_closed_set_however_a_program_spells_them(written: object, level: str) -> None:
    assert of("grafana", json.dumps({"level": written, "msg": "x"})).labels["level"] == level


@pytest.mark.parametrize("line", ["", "null", "[1, 2]", '"text"', '{"level":', "\x00", '{"request_id": null}'])
def test_odd_lines_survive(line: str) -> None:
    entry = of("worker", line)
    assert (entry.line, entry.labels["level"], dict(entry.structured_metadata)) == (line, "unknown", {})


def test_no_label_has_a_value_for_each_request() -> None:
    named = " ".join(body for name, body in stages(CONFIGURATION) if name == "labels")
    assert not re.search("request_id|session_id|event", named)


def test_a_stage_that_the_model_does_not_know_is_noticed() -> None:
    changed = CONFIGURATION.replace("  stage.labels {", "  stage.drop {")
    with pytest.raises(UnknownStage, match=r"stage\.drop"):
        shipped(changed, "{}", {})
