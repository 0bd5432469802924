"""Series about the image provider: requests, what they cost, which models are left, and whether calls may go on."""

from collections.abc import Sequence
from datetime import datetime
from typing import assert_never

from prometheus_client import CollectorRegistry, Counter, Gauge

from models.generation import Channel
from models.image_models import TOKEN_KINDS
from services.providers.attempt_codes import ATTEMPT_CODES
from worker.samples import OTHER_PAUSE, PAUSE_REASONS, ModelRetired, ModelsUsable, PictureBilled, ProviderAsked
from worker.series.fresh_gauge import WATCHED_FRESH_SECONDS, FreshGauge

ProviderSample = ProviderAsked | PictureBilled | ModelRetired | ModelsUsable


class ProviderSeries:
    """Entered with ``record``, and with ``show_…`` what somebody asked for.

    Args:
        registry: where they are kept.
        models: names of the configured image models.
    """

    def __init__(self, registry: CollectorRegistry, models: Sequence[str]) -> None:
        self._requests = Counter(
            "wearon_openai_requests", "Requests to the image provider.", ["model", "code"], registry=registry
        )
        self._tokens = Counter(
            "wearon_openai_tokens", "Tokens that the provider bills.", ["model", "kind"], registry=registry
        )
        self._cost = Counter(
            "wearon_openai_cost_dollars",
            "What the pictures cost, in US dollars: an estimate, the provider's bill decides.",
            ["channel", "model"],
            registry=registry,
        )
        self._models_gone = Counter(
            "wearon_model_gone", "Image models the provider no longer has.", ["model"], registry=registry
        )
        self._models_left = Gauge(
            "wearon_openai_models_left", "Configured models that the provider still lets us use.", registry=registry
        )
        self._model_shutdown = Gauge(
            "wearon_openai_model_shutdown_timestamp_seconds",
            "When the provider will shut a configured model down, where it has announced it.",
            ["model"],
            registry=registry,
        )
        self._paused = Gauge(
            "wearon_provider_paused", "1 while calls to the provider are paused for it.", ["reason"], registry=registry
        )
        self.rate_window = FreshGauge(
            registry,
            "wearon_rate_window_requests",
            "Turns that all workers took at the provider in the last 60 s; absent while unknown.",
            fresh_seconds=WATCHED_FRESH_SECONDS,
        )
        self.rate_window_limit = Gauge(
            "wearon_rate_window_limit_requests",
            "How many turns all workers may take at the provider in 60 s.",
            registry=registry,
        )
        self._model_usable = Gauge(
            "wearon_openai_model_usable",
            "1 for a configured model that the provider lets us use now, else 0.",
            ["model"],
            registry=registry,
        )
        self._models = tuple(models)
        self._show_usable(self._models)
        self._start_at_zero(models)
        self.show_pause(None)

    def _start_at_zero(self, models: Sequence[str]) -> None:
        for model in models:
            self._models_gone.labels(model)
            for code in ATTEMPT_CODES:
                self._requests.labels(model, code)
            for kind in TOKEN_KINDS:
                self._tokens.labels(model, kind)
            for channel in Channel:
                self._cost.labels(channel, model)

    def record(self, sample: ProviderSample) -> None:
        """Enter one sample."""
        match sample:
            case ProviderAsked(model, code):
                self._requests.labels(model, code).inc()
            case PictureBilled(channel, model, tokens, cost_dollars):
                for kind, count in tokens.items():
                    self._tokens.labels(model, kind).inc(count)
                self._cost.labels(channel, model).inc(cost_dollars)
            case ModelRetired(model):
                self._models_gone.labels(model).inc()
            case ModelsUsable(models):
                self._show_usable(models)
            case _:
                assert_never(sample)

    def _show_usable(self, models: Sequence[str]) -> None:
        self._models_left.set(len(models))
        for model in self._models:
            self._model_usable.labels(model).set(model in models)

    def show_pause(self, reason: str | None) -> None:
        """Enter for which kind of failure calls to the provider are paused; ``None``: they are not."""
        paused_for = reason if reason is None or reason in PAUSE_REASONS else OTHER_PAUSE
        for each in PAUSE_REASONS:
            self._paused.labels(each).set(each == paused_for)

    def show_model_shutdown(self, model: str, shutdown: datetime | None) -> None:
        """Enter when a model will be gone; without a date it has no series."""
        if shutdown is None:
            self._model_shutdown.remove(model)
        else:
            self._model_shutdown.labels(model).set(shutdown.timestamp())
