"""What can be counted or timed: a closed set, so that a misspelt measurement does not pass the type checker.

They are made wherever something happens, in either process, and entered into the metrics by the main process
(worker/metrics.py).
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True, slots=True)
class GenerationEnded:
    """A session was settled by us; ``reason`` is the failure's kind, empty for a completed one."""

    outcome: Literal["completed", "failed"]
    reason: str = ""


@dataclass(frozen=True, slots=True)
class GenerationTimed:
    """From the platform's request to the finished picture (NFR-1.1)."""

    seconds: float


@dataclass(frozen=True, slots=True)
class ChargeUndone:
    """What a failed session's charge was, as it was undone or recorded."""

    kind: str


@dataclass(frozen=True, slots=True)
class ProviderAsked:
    """One request to the image provider; ``code`` is ``ok``, ``model_gone`` or the failure's kind."""

    model: str
    code: str


@dataclass(frozen=True, slots=True)
class ModelRetired:
    """The provider no longer has the model."""

    model: str


@dataclass(frozen=True, slots=True)
class TurnTaken:
    """A task had its turn at the provider after waiting this long."""

    waited_seconds: float


@dataclass(frozen=True, slots=True)
class LetterBuried:
    """A queue element became a dead letter."""

    reason: str


@dataclass(frozen=True, slots=True)
class TasksRecovered:
    """Tasks of a dead executor handed back, or sessions settled that had lost their task."""

    action: Literal["handed_back", "settled_lost_session"]
    count: int = 1


Measurement = (
    GenerationEnded
    | GenerationTimed
    | ChargeUndone
    | ProviderAsked
    | ModelRetired
    | TurnTaken
    | LetterBuried
    | TasksRecovered
)

Measure = Callable[[Measurement], None]
"""Takes one measurement; given to whoever has something to count."""
