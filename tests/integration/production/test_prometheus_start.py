"""monitoring/prometheus/start.sh: the host's name is filled in, and nothing starts with a name that is none."""

import os
import subprocess
from pathlib import Path
from typing import Final

import pytest
import yaml

from tests.support.production_bundle import REPOSITORY

START: Final = REPOSITORY / "monitoring" / "prometheus" / "start.sh"
EXIT_CONFIGURATION: Final = 78
SHOWS_ITS_ARGUMENTS: Final = "#!/bin/sh\nprintf '%s\\n' \"$@\"\n"
"""Stands in for Prometheus."""


def started(directory: Path, domain: str | None) -> "subprocess.CompletedProcess[str]":
    """start.sh as in the container, with places below ``directory``."""
    program = directory / "prometheus"
    program.write_text(SHOWS_ITS_ARGUMENTS)
    program.chmod(0o755)
    environment = {
        "PATH": os.environ["PATH"],
        "PROMETHEUS_BINARY": str(program),
        "PROMETHEUS_SOURCE": str(START.with_name("prometheus.yml")),
        "PROMETHEUS_RENDERED": str(directory / "rendered.yml"),
        **({} if domain is None else {"DOMAIN": domain}),
    }
    return subprocess.run(["/bin/sh", START], env=environment, capture_output=True, text=True, check=False, timeout=60)


def test_the_hosts_name_is_where_the_probe_needs_it(tmp_path: Path) -> None:
    done = started(tmp_path, "worker.example.com")
    assert done.returncode == 0, done.stderr
    assert f"--config.file={tmp_path / 'rendered.yml'}" in done.stdout.splitlines()
    text = (tmp_path / "rendered.yml").read_text()
    assert "${" not in "\n".join(line for line in text.splitlines() if not line.startswith("#"))
    (site,) = [job for job in yaml.safe_load(text)["scrape_configs"] if job["job_name"] == "site"]
    assert site["params"]["hostname"] == ["worker.example.com"]
    assert site["relabel_configs"][0]["replacement"] == "https://worker.example.com/health"


@pytest.mark.parametrize("domain", [None, "", "Worker.example.com", "a b", "x|y", "$(id)", "https://x.y"])
def test_a_name_that_is_none_is_refused_with_what_to_do(tmp_path: Path, domain: str | None) -> None:
    done = started(tmp_path, domain)
    assert done.returncode == EXIT_CONFIGURATION
    assert "DOMAIN in .env must be" in done.stderr
    assert not (tmp_path / "rendered.yml").exists()
