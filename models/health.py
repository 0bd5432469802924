"""What the worker says of itself (FR-5)."""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Final, Literal


class Component(StrEnum):
    """A part that the worker needs, by the name it has in /health, in the metrics and in the log."""

    MODEL = "model"
    """The pose model of size recommendation."""
    REDIS = "redis"
    """The platform's queue takes writes."""
    BROKER = "broker"
    """Celery's broker takes writes."""
    CONSUMER = "consumer"
    """The thread that takes tasks."""
    CELERY = "celery"
    """The process that runs tasks."""
    DATABASE = "database"
    """Supabase answers the worker's functions."""
    STORAGE = "storage"
    """Supabase Storage takes pictures."""
    PROVIDER = "provider"
    """The image provider takes requests."""


TRUSTED_UNTIL_THEY_FAIL: Final = frozenset({Component.DATABASE, Component.STORAGE, Component.PROVIDER})
"""Parts that are asked only when there is work: they count as working until something says otherwise."""

NEEDED_WHILE_DRAINING: Final = frozenset({Component.MODEL, Component.REDIS})
"""FR-5.2's own words. A worker that is told to stop takes no tasks by intention, which is no fault."""


@dataclass(frozen=True, slots=True)
class HealthReport:
    """State of the parts, kept fresh in the background.

    Attributes:
        parts: whether each component works.
        starting: the worker is not ready yet; it may be waiting for something that is away.
        draining: it was told to stop and lets running tasks finish.
    """

    parts: Mapping[Component, bool]
    starting: bool = False
    draining: bool = False

    @property
    def degraded(self) -> tuple[Component, ...]:
        """The parts that do not work although they should now."""
        expected = NEEDED_WHILE_DRAINING if self.draining else frozenset(Component)
        return tuple(component for component in Component if component in expected and not self.parts[component])

    @property
    def status(self) -> Literal["ok", "degraded"]:
        """``ok`` when everything that should work does (FR-5.2), else ``degraded`` (FR-5.3)."""
        return "degraded" if self.starting or self.degraded else "ok"
