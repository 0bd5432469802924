"""What can be counted or timed: a closed set, so that a misspelt measurement does not pass the type checker.

They are made wherever something happens, in either process, and entered into the metrics by the main process
(worker/metrics.py). Over the link an enumeration's member comes as its plain value, which is equal to it.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final, Literal, get_args

from models.failures import AccountBlocked, BadTask, Failure, kinds_below
from models.generation import Channel
from models.stages import Stage
from worker.elements import RejectionReason

REFUND_KINDS: Final = (
    "user_credit",
    "store_credit",
    "shopper_credit",
    "store_overage",
    "nothing_charged",
    "unproven_charge",
    "already_refunded",
)
"""What ``wearon_worker_fail_v2`` answers: the kinds of ``wearon_worker.refunds``, and that it was done before."""

FAILURE_REASONS: Final = (
    *kinds_below(Failure),
    *(f"{BadTask.kind}:{rejection}" for rejection in get_args(RejectionReason)),
)
"""Why a generation can have failed."""

BURIAL_REASONS: Final = (BadTask.kind, *get_args(RejectionReason))
"""Why an element can be a dead letter."""

OTHER_PAUSE: Final = "other"
"""A pause for a kind of failure that only a worker of another version knows."""

PAUSE_REASONS: Final = (AccountBlocked.kind, *kinds_below(AccountBlocked), OTHER_PAUSE)
"""Why calls to the provider can be paused."""

RecoveryAction = Literal["handed_back", "settled_lost_session"]
UnforeseenPlace = Literal["run", "link", "bad_elements"]


@dataclass(frozen=True, slots=True)
class GenerationEnded:
    """A session was settled by us; ``reason`` is the failure's kind, empty for a completed one."""

    channel: Channel
    outcome: Literal["completed", "failed"]
    reason: str = ""


@dataclass(frozen=True, slots=True)
class GenerationTimed:
    """From the platform's request to the finished picture (NFR-1.1)."""

    channel: Channel
    seconds: float


@dataclass(frozen=True, slots=True)
class StagesTimed:
    """A run ended its task; the seconds it spent in each stage that it came to."""

    seconds: dict[Stage, float]


@dataclass(frozen=True, slots=True)
class PictureBilled:
    """The provider made a picture: what it bills, whatever becomes of the picture.

    ``tokens`` by the kinds that have a price each (``models.image_models.TOKEN_KINDS``); ``cost_dollars`` is our
    estimate.
    """

    channel: Channel
    model: str
    tokens: dict[str, int]
    cost_dollars: float


@dataclass(frozen=True, slots=True)
class ChargeUndone:
    """What a failed session's charge was, as it was undone or recorded."""

    kind: str


@dataclass(frozen=True, slots=True)
class ProviderAsked:
    """One request to the image provider; ``code`` is ``ok``, ``model_gone``, ``model_refused`` or the failure's
    kind."""

    model: str
    code: str


@dataclass(frozen=True, slots=True)
class ModelRetired:
    """The provider no longer has the model."""

    model: str


@dataclass(frozen=True, slots=True)
class ModelsUsable:
    """Names of the configured models that can be used now."""

    models: list[str]


@dataclass(frozen=True, slots=True)
class LetterBuried:
    """A queue element became a dead letter."""

    reason: str


@dataclass(frozen=True, slots=True)
class TasksRecovered:
    """Tasks of a dead executor handed back, or sessions settled that had lost their task."""

    action: RecoveryAction
    count: int = 1


@dataclass(frozen=True, slots=True)
class SettlementRefused:
    """The database refused to settle a session that has lost its task: it stays open, and the charge with it."""


@dataclass(frozen=True, slots=True)
class ErrorUnforeseen:
    """An error that nobody foresaw was survived; the log has its traceback."""

    where: UnforeseenPlace


Sample = (
    GenerationEnded
    | GenerationTimed
    | StagesTimed
    | PictureBilled
    | ChargeUndone
    | ProviderAsked
    | ModelRetired
    | ModelsUsable
    | LetterBuried
    | TasksRecovered
    | SettlementRefused
    | ErrorUnforeseen
)

RecordSample = Callable[[Sample], None]
"""Takes one measurement; given to whoever has something to count."""
