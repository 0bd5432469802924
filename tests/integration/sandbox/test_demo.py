"""The demo as a person runs it: a program of its own, whose words and exit code are believed."""

import os
import re
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import replace
from functools import partial
from pathlib import Path

import psutil
import pytest
from PIL import Image

from sandbox.console.progress import Console
from sandbox.demo.checks import Finding
from sandbox.demo.play import EXIT_AS_EXPECTED, EXIT_NOT_AS_EXPECTED, DemoOptions, demo
from sandbox.demo.steps import SIZED, TROUSERS, DemoFailed, Stage, Step, size_recommendation
from sandbox.openai_sim import running_simulator
from sandbox.servers.node_packages import ensure_node_packages
from tests.conftest import ENVIRONMENT_OF_THE_DEVELOPER

REPOSITORY = Path(__file__).resolve().parents[3]

QUICK = "0.3"
"""Seconds of the simulated provider: enough for `processing` to be seen."""

SIMULATED_KEY = "sk-simulated-0000000000000000"

DEMO_TIMEOUT_SECONDS = 120
"""What the demo promises."""


@pytest.fixture(autouse=True)
def _node_packages() -> None:
    """Installed with the developer's environment: npm may need a proxy from it."""
    ensure_node_packages(ENVIRONMENT_OF_THE_DEVELOPER)


@pytest.fixture
def temporary(tmp_path: Path) -> Path:
    """The directory in which the demo makes its world."""
    directory = tmp_path / "temporary"
    directory.mkdir()
    return directory


def run_demo(
    temporary: Path, results: Path, *arguments: str, environment: Mapping[str, str] | None = None
) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "sandbox", "demo", "--latency", QUICK, "--results", results, *arguments],
        cwd=REPOSITORY,
        env={**os.environ, "TMPDIR": str(temporary), **(environment or {})},
        check=False,
        capture_output=True,
        text=True,
        stdin=subprocess.DEVNULL,
        timeout=DEMO_TIMEOUT_SECONDS,
    )


def processes_of(directory: Path) -> list[str]:
    """Command lines of running programs that name the directory."""
    lines = (" ".join(process.info["cmdline"] or ()) for process in psutil.process_iter(["cmdline"]))
    return [line for line in lines if str(directory) in line]


def formats_in(results: Path) -> dict[str, str | None]:
    """What each file really is, by name."""
    formats = {}
    for path in results.iterdir():
        with Image.open(path) as image:
            image.load()
            formats[path.name] = image.format
    return formats


def test_the_demo_shows_two_try_ons_a_size_and_a_refund_and_leaves_only_the_pictures(
    tmp_path: Path, temporary: Path
) -> None:
    results = tmp_path / "results"

    ended = run_demo(temporary, results)

    summary = ended.stdout[ended.stdout.index("Summary") :]
    assert ended.returncode == EXIT_AS_EXPECTED, ended.stdout + ended.stderr
    # A state that passes between two looks is not seen.
    assert len(re.findall(r"\): (?:queued \d+\.\d s > )?(?:processing \d+\.\d s > )?completed \d+\.\d s", summary)) == 2
    assert len(re.findall(r"tokens +\d+ in, \d+ out; price 0\.\d{6} USD", summary)) == 2
    assert summary.count("credits   10 before, 9 after") == 2
    assert "credits   9 before, 1 charged, 1 refunded, 9 after" in summary
    assert re.search(r"message   We could not make this picture .*\.", summary)
    assert re.search(r"size +(XS|S|M|L|XL|XXL), range \w+ to \w+; true size L\n", summary)
    assert re.search(r"measured +chest +\d+\.\d, waist +\d+\.\d, hip +\d+\.\d, shoulder .*, inseam .* cm\n", summary)
    assert "true      chest 106.3, waist  84.3, hip 102.5, shoulder  40.1, inseam  90.8 cm" in summary
    assert re.search(r"body +\w+; confidence [01]\.\d\d\n", summary)
    assert "Everything was as expected" in summary
    assert "\x1b" not in ended.stdout
    assert formats_in(results) == {"b2b.jpg": "JPEG", "b2c.jpg": "JPEG", "size.png": "PNG"}
    assert list(temporary.iterdir()) == []
    assert processes_of(temporary) == []


def test_the_real_provider_gets_the_two_good_tasks_and_never_the_refused_one(tmp_path: Path, temporary: Path) -> None:
    with running_simulator() as provider:
        environment = {"OPENAI_API_KEY": SIMULATED_KEY, "OPENAI_BASE_URL": provider.base_url}
        ended = run_demo(temporary, tmp_path / "results", "--real", environment=environment)
        stats = provider.stats()

    assert ended.returncode == EXIT_AS_EXPECTED, ended.stdout + ended.stderr
    assert stats["by_status"] == {"200": 2}
    assert provider.base_url in ended.stdout
    assert "true size L" in ended.stdout
    assert SIMULATED_KEY not in ended.stdout


def unexpected(_: Stage) -> list[Finding]:
    return [Finding(("a session",), ("its credit is gone",))]


def cannot_go_on(_: Stage) -> list[Finding]:
    raise DemoFailed("b2c: still processing after 60 s")


def test_a_demo_that_goes_wrong_says_so_keeps_the_logs_and_cleans_up(
    tmp_path: Path, temporary: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(temporary))
    results = tmp_path / "results"
    steps = [Step("one that goes wrong", unexpected), Step("one that breaks off", cannot_go_on)]

    status = demo(Console(sys.stdout), DemoOptions(results=results, latency="0"), steps)

    text = capsys.readouterr().out
    assert status == EXIT_NOT_AS_EXPECTED
    assert "NOT AS EXPECTED: its credit is gone" in text
    assert "The demo could not go on: b2c: still processing after 60 s" in text
    assert str(results / "logs") in text
    assert "worker.log" in {path.name for path in (results / "logs").iterdir()}
    assert list(temporary.iterdir()) == []
    assert processes_of(temporary) == []


def test_a_demo_whose_sizes_are_wrong_or_missing_is_not_as_expected(
    tmp_path: Path, temporary: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """The same worker, asked about a body that is said to be much wider, and about a picture of trousers."""
    monkeypatch.setattr("tempfile.tempdir", str(temporary))
    wider = replace(SIZED, size="XS", measurements=SIZED.measurements.model_copy(update={"waist_cm": 120.0}))
    nobody = replace(SIZED, photo=TROUSERS)
    steps = [Step(name, partial(size_recommendation, known=known)) for name, known in (("a", wider), ("b", nobody))]

    status = demo(Console(sys.stdout), DemoOptions(results=tmp_path / "results", latency="0"), steps)

    text = capsys.readouterr().out
    assert status == EXIT_NOT_AS_EXPECTED
    assert re.search(r"NOT AS EXPECTED: waist is \d+\.\d cm, and truly 120\.0 cm", text)
    assert "NOT AS EXPECTED: size L is more than one from the true XS" in text
    assert "NOT AS EXPECTED: the worker answered 422 no_person: " in text
    assert "token=" not in text
