"""Everything the running simulator remembers, and how it is set back."""

import random
from dataclasses import dataclass, field
from datetime import UTC, date, datetime
from enum import StrEnum

from sandbox.openai_sim.fault_book import FaultBook
from sandbox.openai_sim.held import HeldRequests
from sandbox.openai_sim.latency import Latency
from sandbox.openai_sim.profiles import ANNOUNCED_SHUTDOWNS
from sandbox.openai_sim.rate_limit import RequestRateLimit
from sandbox.openai_sim.stats import Stats


class ModelList(StrEnum):
    """How ``GET /v1/models`` answers."""

    DATED = "dated"
    """With ``shutdown_date``, as the real API does."""
    UNDATED = "undated"
    """Without the field, as before autumn 2026."""
    MISSING = "missing"
    """404: a compatible gateway without the endpoint."""
    FAILING = "failing"
    """500."""
    WEB_PAGE = "web-page"
    """200 with HTML."""
    SILENT = "silent"
    """Never."""


@dataclass(frozen=True, slots=True)
class SimulatorOptions:
    """How a simulator starts, and what a reset returns to.

    ``requests_per_minute=None`` sets no limit. ``fixed_result=True`` answers with one prepared picture per size, model
    and format, and reads only the headers of uploads: for benchmarks, where the simulator must cost next to nothing.
    """

    latency: Latency = field(default_factory=Latency)
    requests_per_minute: int | None = None
    fixed_result: bool = False
    seed: int = 0


class SimulatorState:
    """The mutable part of one simulator; only its event loop touches it."""

    def __init__(self, options: SimulatorOptions) -> None:
        self.options = options
        self.stats = Stats()
        self.held = HeldRequests()
        self.reset()

    def reset(self) -> None:
        """Back to the start: faults, retired models, settings, rate limit, statistics; nothing is held."""
        self.held.release(len(self.held))
        self.randomness = random.Random(self.options.seed)
        self.latency = self.options.latency
        self.faults = FaultBook(self.randomness)
        self.retired_models: set[str] = set()
        self.shutdown_dates: dict[str, date] = {}
        self.model_list = ModelList.DATED
        self.rate_limit = RequestRateLimit(self.options.requests_per_minute)
        self.stats.reset()

    def announced_shutdowns(self) -> dict[str, date]:
        """What the list of models says."""
        return {**ANNOUNCED_SHUTDOWNS, **self.shutdown_dates}

    def shut_down_models(self) -> set[str]:
        """Models whose scripted date has come; the dates known from the start change nothing by themselves."""
        today = datetime.now(UTC).date()
        return {model for model, day in self.shutdown_dates.items() if day <= today}
