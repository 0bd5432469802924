"""Which build a running worker says it is."""

from pathlib import Path

from prometheus_client import CollectorRegistry

from worker.metrics import Metrics
from worker.series.build_info import COMMIT_VARIABLE, VERSION_VARIABLE, BuildInfo, read_build_info


def test_in_an_image_it_is_what_the_image_was_labelled_with(tmp_path: Path) -> None:
    environ = {VERSION_VARIABLE: "1.4.0", COMMIT_VARIABLE: "0123abcd"}
    assert read_build_info(environ, tmp_path / "pyproject.toml") == BuildInfo("1.4.0", "0123abcd")


def test_in_a_working_copy_it_is_the_projects_version(tmp_path: Path) -> None:
    project = tmp_path / "pyproject.toml"
    project.write_text('[project]\nversion = "1.5.0"\n')
    assert read_build_info({}, project) == BuildInfo("1.5.0", "dev")


def test_nothing_depends_on_it(tmp_path: Path) -> None:
    project = tmp_path / "pyproject.toml"
    project.write_text("no TOML [")
    found = [read_build_info({}, file).version for file in (project, tmp_path / "missing.toml")]
    assert found == ["unknown", "unknown"]


def test_it_is_one_series_with_the_value_1() -> None:
    registry = CollectorRegistry()
    Metrics(registry).worker.show_build(BuildInfo("1.4.0", "0123abcd"))
    assert registry.get_sample_value("wearon_build_info", {"version": "1.4.0", "commit": "0123abcd"}) == 1
