"""``make bench BASE=COMMIT``: the commit's files, the figures of both sides."""

import subprocess
from pathlib import Path

import pytest

from proofs.bench.base_tree import BaseUnusable, base_tree, short_name
from proofs.bench.comparison import COST_ROWS, THROUGHPUT_ROWS, Row
from proofs.bench.side import bench_package


def test_a_row_shows_both_medians_and_their_share() -> None:
    row = Row("CPU", lambda run: run["seconds"], lambda seconds: f"{seconds:.1f} s")
    figure = row.figure([{"seconds": 1.0}, {"seconds": 9.0}, {"seconds": 2.0}], [{"seconds": 4.0}], "abc1234")
    assert (figure.measured, figure.reference) == ("2.0 s (0.50 of it)", "4.0 s at abc1234")
    assert figure.met is None


@pytest.mark.parametrize(("ours", "met"), [(0.70, True), (0.71, False)])
def test_an_aim_may_be_a_share_of_the_base(ours: float, met: bool) -> None:
    row = Row("memory", lambda run: run["bytes"], str, aim_share=0.70)
    assert row.figure([{"bytes": ours}], [{"bytes": 1.0}], "abc1234").met is met


@pytest.mark.parametrize(("ours", "met"), [(1.00, True), (1.01, False)])
def test_an_aim_may_be_a_figure_whatever_the_base_has(ours: float, met: bool) -> None:
    row = Row("ratio", lambda run: run["ratio"], str, aim=1.00)
    assert row.figure([{"ratio": ours}], [{"ratio": 0.5}], "abc1234").met is met


def test_every_row_finds_its_figures_in_what_a_side_prints() -> None:
    cost = {"cpu_12_seconds", "bare_12_seconds", "cpu_3_seconds", "bare_3_seconds", "idle_pss_bytes"}
    for row in COST_ROWS:
        row.of(dict.fromkeys(cost, 1.0))
    for row in THROUGHPUT_ROWS:
        row.of({"p95_seconds": 1.0, "peak_pss_bytes": 1.0})


@pytest.mark.parametrize("folder", ["scripts", "proofs"])
def test_the_bench_of_a_tree_is_found_where_it_was_in_its_time(folder: str, tmp_path: Path) -> None:
    (tmp_path / folder / "bench").mkdir(parents=True)
    (tmp_path / folder / "bench" / "stage.py").touch()
    assert bench_package(tmp_path) == f"{folder}.bench"


def test_a_tree_without_a_bench_is_no_base(tmp_path: Path) -> None:
    with pytest.raises(LookupError, match="no bench"):
        bench_package(tmp_path)


def test_a_commit_that_is_not_there_is_said_so() -> None:
    with pytest.raises(BaseUnusable, match="ended with"):
        short_name("no-such-commit")
    with pytest.raises(BaseUnusable, match="ended with"), base_tree("no-such-commit"):
        pytest.fail("there is nothing to measure")


def test_what_was_made_for_the_base_is_gone_even_if_it_cannot_be_installed(repository: Path) -> None:
    with pytest.raises(BaseUnusable, match="make install"), base_tree("HEAD", repository):
        pytest.fail("there is nothing to measure")
    listed = subprocess.check_output(["git", "worktree", "list"], cwd=repository, text=True)
    assert listed.count("\n") == 1


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    """One commit without a Makefile."""
    author = ["-c", "user.name=nobody", "-c", "user.email=nobody@example.com"]
    for command in (["init", "--quiet"], [*author, "commit", "--quiet", "--allow-empty", "--message", "empty"]):
        subprocess.run(["git", *command], cwd=tmp_path, check=True)
    return tmp_path
