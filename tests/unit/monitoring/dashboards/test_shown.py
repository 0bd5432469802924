"""Nothing is exported that nobody looks at, and nothing is asked for that nobody exports."""

import tomllib
from pathlib import Path
from typing import Final

from prometheus_client import CollectorRegistry

from monitoring.dashboards import metric_names as names
from monitoring.dashboards.shown import NOT_SHOWN, shown_metrics
from size_rec.metrics import SizeMetrics
from worker.metrics import Metrics

REPOSITORY: Final = Path(__file__).resolve().parents[4]
EXPECTED_EMPTY: Final = REPOSITORY / "tests" / "observability" / "expected_empty.toml"
MOST_EMPTY: Final = 10


def exported() -> set[str]:
    """The metrics of a worker that has just started, by the names that Prometheus gives them."""
    registry = CollectorRegistry()
    Metrics(registry, ["a-model"])
    SizeMetrics(registry)
    return {f"{metric.name}_total" if metric.type == "counter" else metric.name for metric in registry.collect()}


def test_every_metric_of_the_worker_is_on_a_panel_or_it_is_said_why_not() -> None:
    assert exported() - shown_metrics() - NOT_SHOWN.keys() == set()


def test_every_metric_of_the_table_is_on_a_panel() -> None:
    assert names.KNOWN.keys() - shown_metrics() == set()


def test_no_metric_is_both_on_a_panel_and_said_to_be_on_none() -> None:
    assert shown_metrics() & NOT_SHOWN.keys() == set()


def test_an_answer_that_may_be_empty_has_a_reason_and_there_are_few() -> None:
    entries = tomllib.loads(EXPECTED_EMPTY.read_text(encoding="utf-8"))["empty"]
    assert len(entries) <= MOST_EMPTY
    assert all(entry["metric"] in names.KNOWN and len(entry["reason"]) > MOST_EMPTY for entry in entries)
