"""The rules fit what is around them: exported metrics, jobs of Prometheus, and what compose gives to Grafana."""

import re
from pathlib import Path
from typing import Any

import pytest
from prometheus_client import CollectorRegistry

from monitoring.alerting.__main__ import FOLDER
from monitoring.alerting.known_metrics import KNOWN_METRICS
from monitoring.alerting.rule import Source
from monitoring.alerting.rules import RULES
from monitoring.alerting.rules.pictures import WAITING
from monitoring.alerting.rules.whatsapp import COMPONENT
from monitoring.whatsapp_bridge.answers import Result
from monitoring.whatsapp_bridge.metrics import OUTCOMES, WEBHOOKS
from services.queue.task_queue import QUEUE_KEY
from tests.support.yaml_files import read_yaml
from worker.metrics import Metrics

REPOSITORY = Path(__file__).resolve().parents[4]
NAME = re.compile(r"\b(?:wearon|node|probe|celery|loki)_\w+|\bup\b(?=\{)")


def asked() -> set[str]:
    """Every metric that a rule names."""
    return {name for rule in RULES if rule.source.value == "prometheus" for name in NAME.findall(rule.expression)}


def test_the_list_of_metrics_holds_what_the_rules_ask_for_and_nothing_else() -> None:
    assert asked() == set(KNOWN_METRICS)


@pytest.mark.parametrize(
    ("job", "sources"),
    [
        ("worker", ["worker", "services", "size_rec", "web"]),
        ("grafana-whatsapp-webhook", ["monitoring/whatsapp_bridge"]),
        ("node-exporter", ["scripts"]),
    ],
)
def test_our_own_metrics_are_exported_under_these_names(job: str, sources: list[str]) -> None:
    written = "\n".join(
        path.read_text(encoding="utf-8")
        for source in sources
        for path in sorted((REPOSITORY / source).rglob("*"))
        if path.suffix in {".py", ".sh"}
    )
    wanted = [name for name, of in KNOWN_METRICS.items() if of == job and name.startswith("wearon_")]
    assert wanted
    # A counter is made without the ending that its series get.
    assert [name for name in wanted if not re.search(rf"\b{name.removesuffix('_total')}(?:_total)?\b", written)] == []


def test_labels_in_the_rules_are_labels_of_the_series() -> None:
    registry = CollectorRegistry()
    Metrics(registry, ["m"])
    labels = {sample.name: set(sample.labels) for metric in registry.collect() for sample in metric.samples}
    assert {"outcome"} <= labels["wearon_generation_total"]
    assert {"reason"} <= labels["wearon_dead_letters_total"]
    assert {"kind"} <= labels["wearon_refund_total"]


def compose() -> dict[str, Any]:
    services: dict[str, Any] = read_yaml(REPOSITORY / "compose" / "services.yml")["services"]
    return services


def test_grafana_is_given_a_value_for_everything_in_the_contact_points_which_is_never_empty() -> None:
    variables = re.findall(r"\$\{(\w+)\}", (FOLDER / "contact-points.yml").read_text())
    given = compose()["grafana"]["environment"]
    assert variables
    # Grafana provisions no alert at all when an address is empty.
    assert [name for name in variables if not re.search(r":[-?][^}]", str(given.get(name, "")))] == []


def test_the_contact_point_leads_to_the_service_of_the_bridge() -> None:
    url = re.search(r"url: http://([\w-]+):(\d+)/grafana", (FOLDER / "contact-points.yml").read_text())
    assert url is not None
    assert url[1] in compose()


def test_the_words_of_the_bridge_are_those_that_it_counts_by() -> None:
    known = {*OUTCOMES, *WEBHOOKS, *(result.value for result in Result)}
    named = {
        word
        for rule in RULES
        if rule.component == COMPONENT
        for words in re.findall(r'(?:result|outcome)=~"([^"]+)"', rule.expression)
        for word in words.split("|")
    }
    assert named
    assert named <= known


def test_the_list_that_is_watched_is_the_platforms_queue() -> None:
    assert f'queue_name="{QUEUE_KEY}"' in WAITING


def test_jobs_in_the_rules_are_jobs_of_prometheus() -> None:
    configuration = read_yaml(REPOSITORY / "monitoring" / "prometheus" / "prometheus.yml")
    jobs = {job["job_name"] for job in configuration["scrape_configs"]}
    assert {job for job in KNOWN_METRICS.values() if job != "*"} <= jobs
    assert {"prometheus"} <= jobs


def test_our_own_metrics_are_in_the_operators_table() -> None:
    table = (REPOSITORY / "docs" / "metrics.md").read_text(encoding="utf-8")
    assert [name for name in KNOWN_METRICS if name.startswith("wearon_") and f"| `{name}` |" not in table] == []


def test_nginx_writes_what_the_rule_on_its_log_asks_for() -> None:
    [rule] = [rule for rule in RULES if rule.source is Source.LOKI]
    written = (REPOSITORY / "nginx" / "snippets" / "logging.conf").read_text(encoding="utf-8")
    assert '"event":"http_request"' in written
    assert 'event="http_request"' in rule.expression
    # A number without quotes: Loki compares it, and a text in its place would fail the whole query.
    assert re.search(r'"status":\$\w+,', written)
    assert "status >= 500" in rule.expression
