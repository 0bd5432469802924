"""The shipped Prometheus configuration on real programs: everything is scraped, in the form that Prometheus wants."""

import subprocess
from pathlib import Path
from typing import Final

import httpx
import pytest

from sandbox.plain_http import NO_AUTHORITIES
from tests.observability.engine.bed import Bed
from tests.observability.engine.report import REPORT

NOT_HERE: Final = {
    "grafana": "needs its image",
    "loki": "needs its image",
    "alloy": "needs its image",
}
"""Jobs that nobody answers for without an image registry; make test-infra has stand-ins for them."""


def test_prometheus_takes_the_configuration(bed: Bed, promtool: Path) -> None:
    checked = subprocess.run(
        [promtool, "check", "config", bed.prometheus.configuration_path], capture_output=True, text=True, check=False
    )
    assert checked.returncode == 0, checked.stdout + checked.stderr


def test_every_job_is_answered_for_but_those_that_need_an_image(bed: Bed) -> None:
    assert set(bed.unanswered) == set(NOT_HERE)


def test_every_target_is_up(bed: Bed) -> None:
    down = {
        target["labels"]["job"]: target["lastError"] for target in bed.prometheus.targets() if target["health"] != "up"
    }
    assert down == {}
    REPORT.proved(f"{len(bed.prometheus.targets())} targets are up in a real Prometheus")


@pytest.mark.parametrize("job", ["worker", "grafana-whatsapp-webhook"])
def test_names_units_and_types_are_as_prometheus_wants_them(bed: Bed, promtool: Path, job: str) -> None:
    url = next(target["scrapeUrl"] for target in bed.prometheus.targets() if target["labels"]["job"] == job)
    text = httpx.get(url, trust_env=False, timeout=30.0, verify=NO_AUTHORITIES).text
    checked = subprocess.run([promtool, "check", "metrics"], input=text, capture_output=True, text=True, check=False)
    assert (checked.returncode, checked.stdout + checked.stderr) == (0, "")


def test_the_site_is_asked_over_tls_by_its_name_and_the_certificate_s_end_is_seen(bed: Bed) -> None:
    assert [series["value"][1] for series in bed.prometheus.query('probe_success{job="site"}')] == ["1"]
    (left,) = bed.prometheus.query('probe_ssl_earliest_cert_expiry{job="site"} - time()')
    assert float(left["value"][1]) > 0
