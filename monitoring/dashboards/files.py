"""The dashboards as the JSON files that Grafana reads."""

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Final

from grafana_foundation_sdk.builders import dashboard as builders
from grafana_foundation_sdk.cog.encoder import JSONEncoder
from grafana_foundation_sdk.models import dashboard as models

from monitoring.dashboards import business, celery, fastapi, logs, overview

DIRECTORY: Final = Path(__file__).resolve().parents[1] / "grafana" / "provisioning" / "dashboards"
"""Where Grafana's provisioning finds them."""

BUILDERS: Final[Mapping[str, Callable[[], builders.Dashboard]]] = {
    "overview": overview.build,
    "celery": celery.build,
    "fastapi": fastapi.build,
    "logs": logs.build,
    "business": business.build,
}
"""File names without their ending."""

OF_INTERVALS: Final = ("auto", "auto_min", "auto_count")
"""Fields of one kind of variable, which the library gives to all kinds."""


def built(name: str) -> models.Dashboard:
    """A dashboard whose panels have numbers, so that a link to one of them stays right."""
    dashboard = BUILDERS[name]().build()
    dashboard.annotations = models.AnnotationContainer(list_val=[])
    for number, panel in enumerate(dashboard.panels or [], start=1):
        panel.id_val = number
    return dashboard


def rendered(name: str) -> str:
    """The text of one file."""
    document = json.loads(json.dumps(built(name), cls=JSONEncoder))
    for link in document["links"]:
        link.pop("placement")  # the library hides every link in a menu
    for variable in document["templating"]["list"]:
        for key in OF_INTERVALS:
            variable.pop(key)
    return json.dumps(document, indent=2, ensure_ascii=False) + "\n"


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
