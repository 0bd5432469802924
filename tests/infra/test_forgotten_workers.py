"""celery-exporter forgets the workers that deploys have replaced (danihodovic/celery-exporter #267)."""

import json
from typing import Final

from tests.infra.engine.host import Host
from tests.infra.engine.rig import Rig
from tests.infra.engine.scraping import query, value
from tests.infra.engine.waiting import wait_for

STAND_INS: Final = ("nginx", "redis", "python", "provider", "platform", "celery-exporter")

MOST_HOST_NAMES: Final = 5
FORGOTTEN_WITHIN_SECONDS: Final = 240.0
"""CE_PURGE_OFFLINE_WORKER_METRICS is 120 s, counted from the last sign of life; Prometheus sees it a scrape later."""

POLL_SECONDS: Final = 3.0
PER_SCRAPE: Final = 'scrape_samples_scraped{job="celery-exporter"}'


def test_after_all_these_deploys_celery_exporters_series_are_few(rig: Rig, host: Host) -> None:
    """They are named by containers and queues, of which every deploy brings new ones."""
    host.wait_healthy("celery-exporter")
    wait_for(
        "the workers that are gone are forgotten",
        lambda: len(names(host, "hostname", "celery_worker_up")) < MOST_HOST_NAMES,
        seconds=FORGOTTEN_WITHIN_SECONDS,
        poll_seconds=POLL_SECONDS,
    )
    hosts = len(names(host, "hostname", "celery_worker_up"))
    queues = names(host, "queue_name", "celery_queue_length")
    assert len(queues) < MOST_HOST_NAMES, queues
    rig.report.proved(
        "celery-exporter after every deploy of this run",
        f"{hosts} host name(s), {len(queues)} queue(s), {value(host, PER_SCRAPE):.0f} series a scrape",
        stand_ins=STAND_INS,
    )


def names(host: Host, label: str, metric: str) -> set[str]:
    """The values that a label has now."""
    return {json.loads(series)[label] for series in query(host, f"count by ({label}) ({metric})")}
