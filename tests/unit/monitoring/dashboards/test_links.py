"""Whoever looks at a panel at night finds the logs of those minutes and the page that says what to do."""

import json
from pathlib import Path
from typing import Any, Final

import pytest

from monitoring.alerting.rules import RULES
from monitoring.dashboards import limits
from monitoring.dashboards.catalogue import BUILDERS, rendered
from monitoring.dashboards.links import DOCUMENTS_URL, dashboard, logs_of

DOCS: Final = Path(__file__).resolve().parents[4] / "docs"
RULE: Final = {rule.uid: rule for rule in RULES}

HOUR: Final = 3600
DAY: Final = 24 * HOUR
GIBIBYTE: Final = 1024**3


def links(name: str) -> list[dict[str, Any]]:
    document = json.loads(rendered(name))
    return [link for part in (document, *document["panels"]) for link in part.get("links", []) if "url" in link]


@pytest.mark.parametrize("name", sorted(BUILDERS))
def test_every_link_to_a_document_leads_to_one(name: str) -> None:
    pages = {link["url"].removeprefix(f"{DOCUMENTS_URL}/") for link in links(name) if DOCUMENTS_URL in link["url"]}
    assert pages
    assert [page for page in sorted(pages) if not (DOCS / page.split("#")[0]).exists()] == []


@pytest.mark.parametrize("name", sorted(BUILDERS))
def test_every_link_to_a_dashboard_leads_to_one_of_ours_at_the_same_time(name: str) -> None:
    inside = [link["url"] for link in links(name) if link["url"].startswith("/d/")]
    assert {url.split("?")[0].removeprefix("/d/wearon-") for url in inside} <= set(BUILDERS)
    assert all("${__url_time_range}" in url for url in inside)


def test_a_link_to_the_logs_names_the_service_and_the_level() -> None:
    assert logs_of("worker", "error").url == "/d/wearon-logs?${__url_time_range}&var-service=worker&var-level=error"
    assert logs_of("nginx").url == "/d/wearon-logs?${__url_time_range}&var-service=nginx"


def test_a_link_to_another_dashboard_keeps_what_was_chosen() -> None:
    assert dashboard("Tasks", "wearon-celery").url == "/d/wearon-celery?${__url_time_range}&${__all_variables}"


@pytest.mark.parametrize(
    ("alert", "limit"),
    [
        ("error-rate", limits.FAILURE_ALERT_PERCENT),
        ("cpu-high", limits.CPU_PERCENT),
        ("host-memory", limits.HOST_MEMORY_PERCENT),
        ("worker-memory", limits.MEMORY_PERCENT),
        ("disk-low", limits.DISK_BYTES / GIBIBYTE),
        ("certificate-expires", limits.CERTIFICATE_SECONDS / DAY),
        ("renewal-silent", limits.NIGHTLY_SECONDS / HOUR),
        ("backup-old", limits.NIGHTLY_SECONDS / HOUR),
        ("model-retires", limits.MODEL_SHUTDOWN_SECONDS / DAY),
        ("ledger-audit-silent", limits.AUDIT_SECONDS / HOUR),
        ("bridge-queue-old", limits.MESSAGE_OLD_SECONDS),
    ],
)
def test_a_panel_is_red_where_the_alert_fires(alert: str, limit: float) -> None:
    assert RULE[alert].threshold == limit
