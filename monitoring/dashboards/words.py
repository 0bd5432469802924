"""[pure] What labels mean in words of people who do not know the code."""

from collections.abc import Mapping
from typing import Final

from monitoring.dashboards.panels import BAD, GOOD, WARNING

COMPONENTS: Final[Mapping[str, str]] = {
    "redis": "Platform's queue",
    "broker": "Celery's broker",
    "consumer": "Taking tasks",
    "celery": "Running tasks",
    "database": "Database",
    "storage": "Picture storage",
    "provider": "Image provider",
    "model": "Body measuring",
}

STAGES: Final[Mapping[str, str]] = {
    "queue": "waiting in the queue",
    "download": "downloading the photos",
    "prepare": "preparing the photos",
    "turn": "waiting for a turn at the provider",
    "provider": "the provider makes the picture",
    "store": "storing the picture",
}

UP: Final[Mapping[int, tuple[str, str]]] = {0: ("down", BAD), 1: ("works", GOOD)}
PAUSED: Final[Mapping[int, tuple[str, str]]] = {0: ("not paused", GOOD), 1: ("paused", BAD)}
SET: Final[Mapping[int, tuple[str, str]]] = {0: ("not set up", BAD), 1: ("set up", GOOD)}
YES_NO: Final[Mapping[int, tuple[str, str]]] = {0: ("no", GOOD), 1: ("yes", WARNING)}
