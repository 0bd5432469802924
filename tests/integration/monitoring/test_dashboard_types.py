"""Grafana's own types take the dashboards; a field that Grafana does not know is found."""

from pathlib import Path

import pytest

from monitoring.dashboards.catalogue import BUILDERS, rendered
from tests.support.dashboard_types import complaints


def test_grafanas_types_take_every_dashboard(tmp_path: Path) -> None:
    assert complaints({name: rendered(name) for name in BUILDERS}, tmp_path) == []


@pytest.mark.parametrize(
    ("right", "wrong"),
    [
        ('"graphTooltip"', '"graphTolltip"'),
        ('"mode": "absolute"', '"mode": "relative"'),
        ('"noValue"', '"emptyValue"'),
    ],
)
def test_a_slip_is_found(tmp_path: Path, right: str, wrong: str) -> None:
    text = rendered("logs")
    assert right in text
    assert complaints({"logs": text.replace(right, wrong, 1)}, tmp_path)
