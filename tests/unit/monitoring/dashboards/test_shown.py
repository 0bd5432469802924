"""Nothing is exported that nobody looks at, and nothing is asked for that nobody exports."""

import tomllib
from pathlib import Path
from typing import Final

import pytest
from fastapi import FastAPI
from prometheus_client import CollectorRegistry

from monitoring.dashboards import metric_names as names
from monitoring.dashboards.shown import NOT_SHOWN, shown_metrics
from monitoring.whatsapp_bridge.message_queue import Depth
from monitoring.whatsapp_bridge.metrics import Metrics as BridgeMetrics
from size_rec.metrics import SizeMetrics
from web.http_metrics import instrument
from worker.metrics import Metrics
from worker.series.build_info import read_build_info
from worker.series.memory_gauge import MemoryGauges

REPOSITORY: Final = Path(__file__).resolve().parents[4]
EXPECTED_EMPTY: Final = REPOSITORY / "tests" / "observability" / "expected_empty.toml"
MOST_EMPTY: Final = 10
SHORTEST_REASON: Final = 20


def series_by_metric(registry: CollectorRegistry) -> dict[str, set[str]]:
    """Prometheus' names of the metrics, each with the labels of the series it has."""
    return {
        f"{metric.name}_total" if metric.type == "counter" else metric.name: {
            label for sample in metric.samples for label in sample.labels
        }
        - {"le"}
        for metric in registry.collect()
    }


@pytest.fixture(scope="module")
def exported() -> dict[str, set[str]]:
    """The metrics of a worker that has just started."""
    registry = CollectorRegistry()
    Metrics(registry, ["a-model"]).worker.show_build(read_build_info())
    SizeMetrics(registry)
    MemoryGauges(registry)
    instrument(FastAPI(), registry)
    return series_by_metric(registry)


def test_every_metric_of_the_worker_is_on_a_panel_or_it_is_said_why_not(exported: dict[str, set[str]]) -> None:
    assert exported.keys() - shown_metrics() - NOT_SHOWN.keys() == set()


def test_the_dashboards_know_the_workers_metrics_and_no_others(exported: dict[str, set[str]]) -> None:
    assert names.WORKER.keys() | NOT_SHOWN.keys() == exported.keys()


def test_the_dashboards_know_the_labels_that_the_series_have(exported: dict[str, set[str]]) -> None:
    with_labels = {name: labels for name, labels in exported.items() if labels}
    assert {name: set(names.WORKER[name]) for name in with_labels.keys() - NOT_SHOWN.keys()} == {
        name: labels for name, labels in with_labels.items() if name not in NOT_SHOWN
    }


def test_the_dashboards_know_the_whatsapp_bridges_metrics() -> None:
    waiting = Depth(messages=1, oldest_taken_at_seconds=1.0, last_accepted_at_seconds=1.0)
    bridge = BridgeMetrics(depth=lambda: waiting, can_send=True, now_seconds=lambda: 2.0)
    assert {name for name in names.OTHERS if name.startswith("wearon_whatsapp_")} == series_by_metric(
        bridge.registry
    ).keys()


def test_every_metric_of_the_table_is_on_a_panel() -> None:
    assert names.KNOWN.keys() - shown_metrics() == set()


def test_no_metric_is_both_on_a_panel_and_said_to_be_on_none() -> None:
    assert shown_metrics() & NOT_SHOWN.keys() == set()


def test_an_answer_that_may_be_empty_has_a_reason_and_there_are_few() -> None:
    entries = tomllib.loads(EXPECTED_EMPTY.read_text(encoding="utf-8"))["empty"]
    assert len(entries) <= MOST_EMPTY
    assert all(entry["metric"] in names.KNOWN and len(entry["reason"]) > SHORTEST_REASON for entry in entries)
