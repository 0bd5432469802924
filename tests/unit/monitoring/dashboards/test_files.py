"""The committed dashboards are the ones that the Python makes."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from monitoring.dashboards.catalogue import BUILDERS, rendered
from monitoring.dashboards.files import DIRECTORY, path_of, write

NAMES = sorted(BUILDERS)


def dashboard(name: str) -> dict[str, Any]:
    parsed: dict[str, Any] = json.loads(path_of(name).read_text(encoding="utf-8"))
    return parsed


@pytest.mark.parametrize("name", NAMES)
def test_the_committed_file_is_byte_for_byte_what_the_python_makes(name: str) -> None:
    assert path_of(name).read_bytes() == rendered(name).encode(), "run: .venv/bin/python -m monitoring.dashboards"


def test_grafana_finds_the_five_dashboards_and_no_others() -> None:
    assert {path.stem for path in DIRECTORY.glob("*.json")} == set(BUILDERS)


@pytest.mark.parametrize("name", NAMES)
def test_a_dashboard_is_found_under_its_own_name_for_ever(name: str) -> None:
    assert dashboard(name)["uid"] == f"wearon-{name}"


@pytest.mark.parametrize("name", NAMES)
def test_nobody_edits_a_dashboard_in_grafana_where_the_next_deploy_undoes_it(name: str) -> None:
    assert dashboard(name)["editable"] is False


def test_only_files_that_differ_are_written(tmp_path: Path) -> None:
    assert len(write(tmp_path)) == len(BUILDERS)
    path_of("logs", tmp_path).write_text("{}", encoding="utf-8")
    assert write(tmp_path) == [path_of("logs", tmp_path)]


def test_the_command_says_what_it_wrote_and_its_help_how_to_change_a_panel(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "monitoring.dashboards"]
    wrote = subprocess.run([*command, "--directory", tmp_path], capture_output=True, text=True, check=True).stdout
    assert f"wrote {path_of('overview', tmp_path)}" in wrote
    told = subprocess.run([*command, "--help"], capture_output=True, text=True, check=True).stdout
    assert "to change a panel" in told
