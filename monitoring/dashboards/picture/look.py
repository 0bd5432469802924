"""[pure] Colours and sizes of the pictures, close to Grafana's dark ones."""

from typing import Final

GROUND: Final = "#111217"
PANEL: Final = "#181b1f"
TEXT: Final = "#d8d9da"
QUIET: Final = "#9fa3a9"
FAINT: Final = "#6e737a"
GRID: Final = "#2a2d33"

TITLE: Final = 13.0
SMALL: Final = 12.0
TINY: Final = 11.0

COLOURS: Final = {"green": "#73bf69", "orange": "#ff9830", "red": "#f2495c", "blue": "#5794f2"}
"""Grafana's names of colours that the dashboards use."""

PALETTE: Final = (
    *("#73bf69", "#f2cc0c", "#8ab8ff", "#ff780a", "#f2495c", "#5794f2", "#b877d9", "#6ed0e0"),
    *("#e0b400", "#c4162a", "#37872d", "#1f60c4", "#fa6400", "#8f3bb8", "#96d98d", "#ffee52"),
)
"""Of lines, in their order."""

LEVELS: Final = {
    "debug": "#8ab8ff",
    "info": "#73bf69",
    "warning": "#f2cc0c",
    "error": "#f2495c",
    "critical": "#b877d9",
}
"""Of log lines; any other is grey."""
