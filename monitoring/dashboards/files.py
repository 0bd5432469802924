"""The files in which the dashboards are committed."""

from pathlib import Path
from typing import Final

from monitoring.dashboards.catalogue import BUILDERS, rendered

DIRECTORY: Final = Path(__file__).resolve().parents[1] / "grafana" / "provisioning" / "dashboards"
"""Where Grafana's provisioning finds them."""


def path_of(name: str, directory: Path = DIRECTORY) -> Path:
    """Where a dashboard's file lies."""
    return directory / f"{name}.json"


def write(directory: Path = DIRECTORY) -> list[Path]:
    """Write every file that differs; returns those."""
    directory.mkdir(parents=True, exist_ok=True)
    changed: list[Path] = []
    for name in BUILDERS:
        path, text = path_of(name, directory), rendered(name)
        if not path.exists() or path.read_text(encoding="utf-8") != text:
            path.write_text(text, encoding="utf-8")
            changed.append(path)
    return changed
