"""[pure] The five dashboards, and their JSON as Grafana reads it."""

import json
from collections.abc import Callable, Mapping
from typing import Final

from grafana_foundation_sdk.builders import dashboard as builders
from grafana_foundation_sdk.cog.encoder import JSONEncoder
from grafana_foundation_sdk.models import dashboard as models

from monitoring.dashboards import business, celery, fastapi, logs, overview

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
