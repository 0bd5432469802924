"""What the parts last said of themselves, so that /health answers without asking anybody (NFR-1.3)."""

import threading

from models.health import HealthReport


class HealthBoard:
    """State of the parts, written by their threads and read by /health. Safe to share between threads."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._redis_connected = False
        self._broker_connected = False
        self._consumer_alive = False
        self._celery_alive = False
        self._model_loaded = False

    def redis_contact(self, *, connected: bool) -> None:
        """The platform's queue answered, or did not."""
        with self._lock:
            self._redis_connected = connected

    def broker_contact(self, *, connected: bool) -> None:
        """Celery's broker answered, or did not; it may be another Redis than the platform's queue (ADR 0011)."""
        with self._lock:
            self._broker_connected = connected

    def executor(self, *, consumer_alive: bool, celery_alive: bool) -> None:
        """What the supervisor sees of the executor."""
        with self._lock:
            self._consumer_alive = consumer_alive
            self._celery_alive = celery_alive

    def model(self, *, loaded: bool) -> None:
        """Whether the size recommendation's pose model is loaded."""
        with self._lock:
            self._model_loaded = loaded

    def report(self) -> HealthReport:
        """The state now."""
        with self._lock:
            return HealthReport(
                model_loaded=self._model_loaded,
                redis_connected=self._redis_connected,
                broker_connected=self._broker_connected,
                consumer_alive=self._consumer_alive,
                celery_alive=self._celery_alive,
            )

    def components(self) -> dict[str, bool]:
        """The parts by name, for the metrics."""
        report = self.report()
        return {
            "model": report.model_loaded,
            "redis": report.redis_connected,
            "broker": report.broker_connected,
            "consumer": report.consumer_alive,
            "celery": report.celery_alive,
        }
