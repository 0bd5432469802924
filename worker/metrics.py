"""The worker's own metrics (docs/metrics.md), kept in the main process.

Alerts are built on these: every series of a closed set is there from the first scrape (ADR 0049), and gauges are asked
at each. The Celery process sends its measurements over the link, so that one ``/metrics`` shows everything and a
restarted child resets nothing.
"""

from collections.abc import Iterable

from prometheus_client import CollectorRegistry, disable_created_metrics

from worker.samples import Sample
from worker.series.generations import GenerationSample, GenerationSeries
from worker.series.provider import ProviderSeries
from worker.series.tasks import TaskSample, TaskSeries
from worker.series.worker import WorkerSeries


class Metrics:
    """All metrics of one worker.

    Args:
        registry: where they are kept.
        models: names of the configured image models.
    """

    def __init__(self, registry: CollectorRegistry, models: Iterable[str] = ()) -> None:
        # Else the library adds to each series another with the time of its birth, which nothing here asks for.
        disable_created_metrics()  # type: ignore[no-untyped-call]
        self.generations = GenerationSeries(registry)
        self.provider = ProviderSeries(registry, tuple(models))
        self.tasks = TaskSeries(registry)
        self.worker = WorkerSeries(registry)

    def record(self, sample: Sample) -> None:
        """Enter one sample."""
        if isinstance(sample, GenerationSample):
            self.generations.record(sample)
        elif isinstance(sample, TaskSample):
            self.tasks.record(sample)
        else:
            self.provider.record(sample)
