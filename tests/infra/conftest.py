"""Runs only where it is asked for: ``pytest -m infra tests/infra``, as ``make test-infra`` does."""

from collections.abc import Iterator
from pathlib import Path
from typing import Final

import pytest

from tests.infra.engine.report import Report, table
from tests.infra.engine.rig import Rig, running_rig

MARKER: Final = "infra"
ROOM: Final = Path(__file__).parent

REPORT: Final = Report()
PARTS: Final[list[str]] = []
"""The table's lines, once the run knows them."""


def pytest_ignore_collect(config: pytest.Config) -> bool | None:
    """``make test`` must neither need Docker nor touch it."""
    return None if config.option.markexpr == MARKER else True


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """All in this room."""
    for item in items:
        if item.path.is_relative_to(ROOM):
            item.add_marker(MARKER)


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """What was proved, and with what."""
    terminalreporter.section("what was proved")
    for line in (*REPORT.lines, "", *PARTS):
        terminalreporter.line(line)


@pytest.fixture(scope="session")
def rig() -> Iterator[Rig]:
    """Engine, network, internet and images."""
    with running_rig(REPORT) as bed:
        PARTS.extend(table(bed.parts))
        yield bed
