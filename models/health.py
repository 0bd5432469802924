"""What the worker says of itself (FR-5)."""

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True, slots=True)
class HealthReport:
    """State of the parts, kept fresh in the background; ``status`` is ``ok`` only when all hold (FR-5.2, FR-5.3)."""

    model_loaded: bool
    redis_connected: bool
    broker_connected: bool
    consumer_alive: bool
    celery_alive: bool

    @property
    def status(self) -> Literal["ok", "degraded"]:
        """``ok`` when every part works, else ``degraded``."""
        parts = (
            self.model_loaded,
            self.redis_connected,
            self.broker_connected,
            self.consumer_alive,
            self.celery_alive,
        )
        return "ok" if all(parts) else "degraded"
