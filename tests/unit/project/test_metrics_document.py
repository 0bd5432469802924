"""docs/metrics.md is equal to what a worker shows, in both directions: names, types, labels, and values it lists."""

import re
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

import pytest
from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.parser import text_string_to_metric_families

from config.settings import Settings
from main import metrics_of
from web.app import create_app
from worker.health import HealthBoard

DOCUMENT: Final = (Path(__file__).resolve().parents[3] / "docs" / "metrics.md").read_text(encoding="utf-8")
ROW: Final = re.compile(r"^\| `(\w+)` \| (\w+) \| (.*?) ?\| (.+) \|$", re.MULTILINE)
LISTED: Final = re.compile(r"`[^`]+`(?:, `[^`]+`)*")
"""Nothing but values: then they are all there are."""

MODEL: Final = "gpt-image-2.6-flare"
OF_BUCKETS: Final = "le"

Labels = Mapping[str, frozenset[str] | None]
"""The values of each label; ``None`` where the document gives a rule."""


def labels_in(cell: str) -> Labels:
    """What stands in the column of labels."""
    found: dict[str, frozenset[str] | None] = {}
    for part in filter(None, cell.split("; ")):
        names, _, values = part.partition(": ")
        listed = frozenset(re.findall(r"`([^`]+)`", values)) if LISTED.fullmatch(values) else None
        found |= dict.fromkeys(re.findall(r"`(\w+)`", names), listed)
    return found


WRITTEN: Final = {
    name: (kind, labels_in(cell)) for name, kind, cell, _ in ROW.findall(DOCUMENT.split("\n## What others say")[0])
}


@pytest.fixture(scope="module")
def shown() -> Mapping[str, tuple[str, Mapping[str, set[str]]]]:
    """Type and labels of every metric of a worker that has just started, and has heard of a model's end."""
    settings = Settings(
        _env_file=None,
        redis_url="redis://localhost/0",
        supabase_url="https://project.example",
        supabase_service_role_key="sb_secret_0123456789",
        openai_api_key="sk-test-0123456789",
        openai_image_models=MODEL,
    )
    registry, board = CollectorRegistry(), HealthBoard()
    metrics_of(settings, board, registry).provider.show_model_shutdown(MODEL, datetime(2027, 1, 1, tzinfo=UTC))
    create_app(health=board.report, registry=registry)
    found: dict[str, tuple[str, dict[str, set[str]]]] = {}
    for family in text_string_to_metric_families(generate_latest(registry).decode()):
        labels: dict[str, set[str]] = {}
        for sample in family.samples:
            for name in sample.labels.keys() - {OF_BUCKETS}:
                labels.setdefault(name, set()).add(sample.labels[name])
        name = f"{family.name}_total" if family.type == "counter" else family.name
        found[name] = (family.type, labels)
    return found


def test_every_metric_is_in_the_document_and_no_other(
    shown: Mapping[str, tuple[str, Mapping[str, set[str]]]],
) -> None:
    assert WRITTEN.keys() == shown.keys()


@pytest.mark.parametrize("name", WRITTEN)
def test_type_labels_and_listed_values_are_as_written(
    shown: Mapping[str, tuple[str, Mapping[str, set[str]]]], name: str
) -> None:
    kind, labels = WRITTEN[name]
    really, real_labels = shown[name]
    assert (kind, labels.keys()) == (really, real_labels.keys())
    for label, listed in labels.items():
        assert listed is None or listed == real_labels[label], label
