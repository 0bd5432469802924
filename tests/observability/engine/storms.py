"""Lanes for error storms: each a stand-in of a worker that counts with the worker's own code, and a real Prometheus."""

import random
import threading
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from types import TracebackType
from typing import Final, Self
from wsgiref.simple_server import WSGIServer

from prometheus_client import CollectorRegistry, start_http_server

from models.generation import Channel
from proofs.observability.evaluator import SHIPPED_FILES, Evaluator, EvaluatorThread
from sandbox.servers.processes import LOOPBACK
from tests.observability.engine.bed import shipped_configuration
from tests.observability.engine.prometheus import Prometheus
from tests.observability.engine.shipped import on_loopback
from worker.metrics import Metrics
from worker.samples import GenerationEnded

TASK_EVERY_SECONDS: Final = 2.0
"""30 generations a minute, a tenth of what the worker may make: a storm takes longer to be seen the less there is."""

EVALUATION_SECONDS: Final = 30.0


class StandInWorker:
    """Ends a generation every two seconds, and from ``storm`` on with a failure; real counters, no pictures."""

    def __init__(self) -> None:
        registry = CollectorRegistry()
        self._metrics = Metrics(registry, ["gpt-image-2.6-sunburst"])
        self._server: WSGIServer
        self._server, _ = start_http_server(0, LOOPBACK, registry)
        self._storm = threading.Event()
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._work, daemon=True)

    @property
    def address(self) -> str:
        """What Prometheus scrapes."""
        return f"{LOOPBACK}:{self._server.server_port}"

    def storm(self) -> None:
        """From now on everything fails."""
        self._storm.set()

    def _work(self) -> None:
        while not self._over.wait(TASK_EVERY_SECONDS):
            failed = self._storm.is_set()
            ended = (
                GenerationEnded(Channel.B2C, "failed", "provider_unavailable")
                if failed
                else GenerationEnded(Channel.B2C, "completed")
            )
            self._metrics.record(ended)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._over.set()
        self._thread.join()
        self._server.shutdown()
        self._server.server_close()


@dataclass(slots=True)
class Lane:
    """One storm: a stand-in worker, a Prometheus with the shipped intervals, an evaluator of ours.

    Attributes:
        number: of the lane; its name goes as the host's name into the message.
        storm_after_seconds: when the storm begins.
        phase: when, within the evaluation interval, the evaluator begins.
    """

    number: int
    directory: Path
    program: Path
    webhook_url: str
    secret: str = field(repr=False)
    storm_after_seconds: float
    phase: timedelta
    worker: StandInWorker = field(init=False)
    prometheus: Prometheus = field(init=False)
    evaluator: EvaluatorThread = field(init=False)

    @property
    def host(self) -> str:
        """The name in its messages."""
        return f"lane-{self.number:02}.example.com"

    def __enter__(self) -> Self:
        self.worker = StandInWorker().__enter__()
        self.prometheus = Prometheus(self.directory, self.program)
        itself = f"{LOOPBACK}:{self.prometheus.port}"
        targets = {"worker": [self.worker.address], "prometheus": [itself]}
        configuration, _ = on_loopback(shipped_configuration(), targets, {})
        self.prometheus.configure(configuration)
        self.prometheus.start()
        self.evaluator = EvaluatorThread(
            Evaluator(
                SHIPPED_FILES,
                self.prometheus.url,
                self.webhook_url,
                self.secret,
                external_url=f"https://{self.host}/grafana/",
                phase=self.phase,
                only=frozenset({"error-rate"}),
            )
        ).__enter__()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.evaluator.__exit__(kind, error, trace)
        self.prometheus.stop()
        self.worker.__exit__(kind, error, trace)


def draw(chance: random.Random, *, quiet_seconds: float, spread_seconds: float) -> tuple[float, timedelta]:
    """When a lane's storm begins, and the phase of its evaluations: neither in step with anything."""
    begins = quiet_seconds + chance.uniform(0, spread_seconds)
    return begins, timedelta(seconds=chance.uniform(0, EVALUATION_SECONDS))
