"""Asks the provider once a day which of the configured models it will shut down, and warns in time.

It has a thread of its own: no task and no start waits for it, and an error here is only one log line a day.
"""

import time
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from typing import Final

import structlog

from config.settings import Settings
from services.providers.openai.model_list import ModelListUnusable, ShutdownDates, ask_shutdown_dates
from worker.metrics import Metrics
from worker.supervision.rounds import Rounds

log = structlog.get_logger()

ROUND_SECONDS: Final = 3_600.0
"""Between two checks of the dates, and between two attempts while the provider gives no list."""

ASK_SECONDS: Final = 24 * 3_600.0
"""Between two requests for the list: a shutdown is announced months ahead."""

COMPLAIN_SECONDS: Final = 24 * 3_600.0
"""Between two log lines about a missing or unusable list."""

WARN_DAYS: Final = (90, 30, 7)
"""Days before a shutdown on which it is logged. The provider announces it at least three months ahead."""

LAST_WARNING_DAYS: Final = 7
"""From this many days on, the log line is an error."""

SECONDS_PER_DAY: Final = 86_400


def passed_threshold(days_left: float) -> int | None:
    """The nearest of ``WARN_DAYS`` that has been reached, or None [pure]."""
    return min((days for days in WARN_DAYS if days_left <= days), default=None)


class ModelWatch:
    """``round`` is one check.

    Args:
        models: names, as configured.
        ask: asks the provider.
        show: enters a model's shutdown into the metrics; ``None`` when there is none announced.
        monotonic, now: clocks; replaced in tests.
    """

    def __init__(
        self,
        models: Sequence[str],
        *,
        ask: Callable[[], ShutdownDates],
        show: Callable[[str, datetime | None], None],
        monotonic: Callable[[], float] = time.monotonic,
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self._models = tuple(models)
        self._ask = ask
        self._show = show
        self._monotonic = monotonic
        self._now = now
        self._asked_at: float | None = None
        self._complained_at: float | None = None
        self._shutdowns: dict[str, datetime] = {}
        self._told: dict[str, int] = {}

    def round(self) -> None:
        """Ask for the list if it is due, then warn of near shutdowns. Raises nothing."""
        try:
            if self._is_over(self._asked_at, ASK_SECONDS):
                self._ask_once()
            self._warn()
        except ModelListUnusable as error:
            self._complain("openai_model_list_unusable", reason=str(error))
        except Exception as error:  # a bug; the thread goes on, because its end would end the worker
            self._complain("openai_model_watch_broke", reason=f"{type(error).__name__}: {error}")

    def _ask_once(self) -> None:
        dates = self._ask()
        self._asked_at = self._monotonic()
        self._shutdowns = {model: dates.by_model[model] for model in self._models if model in dates.by_model}
        for model in self._models:
            self._show(model, self._shutdowns.get(model))
        if not dates.told:
            self._complain("openai_model_list_undated", reason="the list of models has no shutdown dates")

    def _warn(self) -> None:
        for model, shutdown in self._shutdowns.items():
            days_left = (shutdown - self._now()).total_seconds() / SECONDS_PER_DAY
            threshold = passed_threshold(days_left)
            if threshold is None or threshold >= self._told.get(model, threshold + 1):
                continue
            self._told[model] = threshold
            say = log.error if threshold <= LAST_WARNING_DAYS else log.warning
            say(
                "image_model_shutdown_ahead",
                model=model,
                shutdown_date=shutdown.date().isoformat(),
                days_left=int(days_left),
                threshold_days=threshold,
                configured=list(self._models),
            )

    def _complain(self, event: str, *, reason: str) -> None:
        if self._is_over(self._complained_at, COMPLAIN_SECONDS):
            self._complained_at = self._monotonic()
            log.warning(event, reason=reason)

    def _is_over(self, since: float | None, seconds: float) -> bool:
        return since is None or self._monotonic() - since >= seconds


def model_watch(settings: Settings, metrics: Metrics) -> Rounds:
    """The watch over the configured models, ready to be started."""
    watch = ModelWatch(
        [model.name for model in settings.image_models],
        ask=lambda: ask_shutdown_dates(settings.openai_base_url, settings.openai_api_key.get_secret_value()),
        show=metrics.provider.show_model_shutdown,
    )
    return Rounds("model-watch", ROUND_SECONDS, watch.round, expected=())
