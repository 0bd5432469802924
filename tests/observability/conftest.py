"""Runs only where it is asked for: ``pytest -m observability tests/observability``, as ``make test-observability``."""

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import pytest

from tests.observability.engine.bed import Bed, open_bed
from tests.observability.engine.packages import Programs, fetch_programs
from tests.observability.engine.report import REPORT
from tests.observability.engine.traffic import make_traffic

MARKER: Final = "observability"
ROOM: Final = Path(__file__).parent

ORDER: Final = (
    *("test_alerts_on_a_well_system", "test_bed", "test_expressions", "test_pictures"),
    *("test_alert_rules", "test_alert_delivery", "test_bridge_delivery"),
)
"""What asks for rates comes right after the traffic; what takes minutes by itself comes last."""

CACHE_VARIABLE: Final = "WEARON_OBSERVABILITY_CACHE"
"""Names a directory that keeps the programs from one run to the next; without it every run fetches its own."""


def pytest_ignore_collect(config: pytest.Config) -> bool | None:
    """``make test`` fetches nothing and takes minutes, not quarters of an hour."""
    return None if config.option.markexpr == MARKER else True


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """All in this room, in their order; other rooms as they are."""
    room = {path for path in {item.path for item in items} if path.is_relative_to(ROOM)}
    ours = [item for item in items if item.path in room]
    for item in ours:
        item.add_marker(MARKER)
    ours.sort(key=lambda item: ORDER.index(item.path.stem) if item.path.stem in ORDER else len(ORDER))
    items[:] = [*ours, *(item for item in items if item.path not in room)]


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """What was proved, and with what."""
    if REPORT.lines:
        terminalreporter.section("what was proved")
        for line in REPORT.lines:
            terminalreporter.line(line)


@pytest.fixture(scope="session")
def programs(tmp_path_factory: pytest.TempPathFactory) -> Programs:
    """Prometheus, promtool and the exporters."""
    cache = os.environ.get(CACHE_VARIABLE)
    directory = Path(cache) if cache else tmp_path_factory.mktemp("programs")
    return fetch_programs(directory, REPORT.say)


@pytest.fixture(scope="session")
def promtool(programs: Programs) -> Path:
    """Prometheus' own checker."""
    return programs.promtool


@pytest.fixture(scope="session")
def quiet_bed(programs: Programs, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Bed]:
    """The worker, its world and everything that watches it, on loopback; nothing has happened yet."""
    with open_bed(tmp_path_factory.mktemp("bed"), programs, REPORT.say) as bed:
        yield bed


@pytest.fixture(scope="session")
def bed(quiet_bed: Bed) -> Bed:
    """The same after real tasks of every kind, and after Prometheus has seen them several times."""
    make_traffic(quiet_bed, REPORT.say)
    return quiet_bed
