"""[pure] Numbers as people read them, for the units that the dashboards use."""

import math
from collections.abc import Callable, Sequence
from typing import Final

from grafana_foundation_sdk.models import units

Scale = Sequence[tuple[float, str]]
"""From which size on a name is used, the largest first."""

TIME: Final[Scale] = (
    (7 * 86400, " weeks"),
    (86400, " days"),
    (3600, " hours"),
    (60, " min"),
    (1, " s"),
    (1e-3, " ms"),
    (1e-6, " µs"),
)
BYTES: Final[Scale] = ((2**40, " TiB"), (2**30, " GiB"), (2**20, " MiB"), (2**10, " KiB"), (1, " B"))
COUNT: Final[Scale] = ((1e9, " Bil"), (1e6, " Mil"), (1e3, " K"), (1, ""))

SIGNIFICANT_DIGITS: Final = 3

SUFFIXES: Final = {
    units.Percent: "%",
    units.OpsPerMinute: " /min",
    units.RequestsPerMinute: " req/min",
}


class UnknownUnit(ValueError):
    """A panel has a unit that the pictures do not know."""


def with_unit(value: float, unit: str, decimals: int | None = None) -> str:
    """The value in the unit that Grafana knows by this id. Raises ``UnknownUnit``."""
    if unit in SUFFIXES:
        return f"{_rounded(value, decimals)}{SUFFIXES[unit]}"
    if unit not in WRITERS:
        raise UnknownUnit(f"unit {unit}: add it to {__name__}")
    return WRITERS[unit](value, decimals)


def _scaled(scale: Scale) -> Callable[[float, int | None], str]:
    def write(value: float, decimals: int | None) -> str:
        for size, name in scale:
            if abs(value) >= size:
                return f"{_rounded(value / size, decimals)}{name}"
        return f"{_rounded(value, decimals)}{scale[-1][1] if value else ''}"

    return write


def _rounded(value: float, decimals: int | None) -> str:
    if math.isinf(value):
        return "∞" if value > 0 else "-∞"
    if decimals is not None:
        return f"{value:.{decimals}f}"
    before_point = len(str(int(abs(value)))) if abs(value) >= 1 else 0
    text = f"{value:.{max(0, SIGNIFICANT_DIGITS - before_point)}f}"
    return text.rstrip("0").rstrip(".") if "." in text else text


WRITERS: Final[dict[str, Callable[[float, int | None], str]]] = {
    units.NoUnit: _rounded,
    units.Short: _scaled(COUNT),
    units.Seconds: _scaled(TIME),
    units.BytesIEC: _scaled(BYTES),
    units.PercentUnit: lambda value, decimals: f"{_rounded(100 * value, decimals)}%",
    units.Dollars: lambda value, decimals: f"${_rounded(value, decimals)}",
}
