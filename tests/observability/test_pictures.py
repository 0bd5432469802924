"""The pictures in the documents: drawn from what the run's Prometheus and logs have, as an approximation of Grafana."""

import os
import time
from pathlib import Path
from typing import Final

from monitoring.dashboards.picture.__main__ import draw_all, read_logs
from monitoring.dashboards.picture.asking import prometheus_at
from monitoring.dashboards.picture.series import Span
from tests.observability.engine.bed import Bed
from tests.observability.engine.report import REPORT

KEPT_IN: Final = "WEARON_PICTURES"
"""Names a directory that keeps them: ``WEARON_PICTURES=docs/images make test-observability`` draws the documents'."""

SHOWN_SECONDS: Final = 300.0
LARGEST_BYTES: Final = 200_000


def test_each_dashboard_is_drawn_from_the_run_and_says_it_is_no_screenshot(bed: Bed, tmp_path: Path) -> None:
    end = time.time()
    span = Span(end - SHOWN_SECONDS, end)
    logs = [f"worker={bed.worker.log_path}", f"grafana-whatsapp-webhook={bed.bridge.log_file}"]
    kept = os.environ.get(KEPT_IN)
    drawn = draw_all(prometheus_at(bed.prometheus.url), span, Path(kept) if kept else tmp_path, read_logs(logs, span))
    for path in drawn:
        assert "approximation" in path.read_text()
        assert path.stat().st_size < LARGEST_BYTES
    REPORT.proved(f"{len(drawn)} dashboards drawn from this run")
