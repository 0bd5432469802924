"""The plan of a seed: every task that is pushed and every fault that is injected, in order."""

import random
from collections.abc import Iterator
from dataclasses import dataclass, replace
from enum import StrEnum
from itertools import cycle, islice
from typing import Any, Final

from proofs.chaos.api_edge import EdgeFault
from sandbox.openai_sim.faults import FAULTS
from sandbox.pictures.image_host import FAULT_NAMES
from sandbox.platform.producer import StoreMode

TASKS_PER_ACCOUNT: Final = 3
"""On average; tests that sessions sharing a balance do not affect each other's credits."""

MAX_CREDITS: Final = 3

LOST_ACCOUNTS: Final = 1_000_000
"""Numbers of accounts that nobody shares begin here."""

SPECIAL_DELIVERIES: Final = 3
"""Tasks of each kind of delivery but the plain one."""

NIGHTS: Final = 3
"""How often the platform's stuck-session job runs."""

LOST_OVERAGES: Final = 4
"""Overages whose line the platform could not write, and that fail."""

FAILED_PUSHES: Final = 2
"""For each kind of payer: tasks that arrived although the platform's push raised."""

FIRST_MODEL: Final = "gpt-image-2.6-sunburst"
ALL_MODELS_GONE: Final = "[[sim:model-gone]]"

MARKER_VALUES: Final = {"slow-drip": "60"}
"""Longer than a task may take in a run."""

HARMLESS_FAULTS: Final = frozenset({"no-usage", "usage-without-details", "cached-input", "png-instead"})
"""Faults that do not prevent a picture."""


class Ending(StrEnum):
    """What the platform's stuck-session job does to a session that it lists."""

    WHOLE = "refunded, then failed"
    DIES_HALFWAY = "refunded, and the job died"
    WITHOUT_REFUND = "failed, and the refund did not work"


ENDINGS: Final = (*(Ending.WHOLE,) * 12, *(Ending.DIES_HALFWAY,) * 6, *(Ending.WITHOUT_REFUND,) * 3)
"""For the sessions of all nights together; the job does not list a session that is settled before its night."""


class Delivery(StrEnum):
    """How a task reaches the queue, if it does."""

    PUSHED = "pushed"
    TWICE = "pushed twice"
    AGAIN_WHEN_DONE = "pushed again when done"
    TAKEN_FOR_FAILED = "pushed, and given up by the platform"
    NEVER = "never pushed"
    CUT_SHORT = "cut short"
    NEWER_VERSION = "of a newer version"
    WRONG_FIELDS = "with wrong fields"
    WRONG_OWNER = "naming another owner"
    BAD_AND_GOOD = "beside a bad copy of itself"


TASKLESS_DELIVERIES: Final = frozenset(
    {Delivery.NEVER, Delivery.CUT_SHORT, Delivery.NEWER_VERSION, Delivery.WRONG_FIELDS}
)
"""With these, no task that could be run reaches the queue."""

HOPELESS_DELIVERIES: Final = TASKLESS_DELIVERIES | {Delivery.WRONG_OWNER}

GOOD_PICTURE: Final = "good"
PRIVATE_ADDRESS: Final = "private-address"
BAD_PICTURES: Final = (*(name for name in FAULT_NAMES if name != "no-length"), PRIVATE_ADDRESS)
"""Faults of the picture host, and an address that the worker must refuse to fetch."""


@dataclass(frozen=True, slots=True)
class TaskPlan:
    """One task. ``mode`` is ``None`` for b2c; ``account`` chooses the payer among those of the same kind."""

    number: int
    mode: StoreMode | None
    account: int
    credits: int
    marker: str = ""
    picture: str = GOOD_PICTURE
    delivery: Delivery = Delivery.PUSHED
    ending: Ending | None = None
    """If set, the task belongs to an old session that is open when the platform's job runs."""
    overage_line_is_lost: bool = False

    @property
    def prompt(self) -> str:
        """Names the task to the provider, so that its calls can be counted; the marker asks for a fault."""
        return f"{self.marker} A person in a coat, chaos-{self.number:04d}."

    @property
    def can_complete(self) -> bool:
        """Whether any run of it can end with a picture."""
        return not is_fatal(self.marker) and self.picture == GOOD_PICTURE and self.delivery not in HOPELESS_DELIVERIES


class WorkerFault(StrEnum):
    """Faults injected into a worker."""

    KILL_TREE = "killed with all its processes"
    KILL_MAIN = "main process killed"
    KILL_AT_START = "killed, and killed again while starting"
    KILL_CHILD = "Celery process killed"
    FREEZE = "frozen for longer than its lease"
    TERMINATE = "asked to stop"


WHOLE_KILLS: Final = (WorkerFault.KILL_TREE, WorkerFault.KILL_MAIN, WorkerFault.KILL_AT_START)
"""What counts as a kill of the whole worker; at least one of each."""

OTHER_WORKER_FAULTS: Final = (WorkerFault.KILL_CHILD,) * 3 + (WorkerFault.FREEZE,) * 2 + (WorkerFault.TERMINATE,) * 2


class Outage(StrEnum):
    """Faults injected into the servers around the workers."""

    REDIS_KILLED = "redis killed"
    REDIS_HANGS = "redis hangs"
    SUPABASE_KILLED = "supabase killed"
    SUPABASE_HANGS = "supabase hangs"
    DATABASE_KILLED = "postgres and supabase killed"
    REDIS_FAILS_OVER = "redis replica takes over"


OUTAGES: Final[tuple[Outage | EdgeFault, ...]] = (
    *EdgeFault,
    *(Outage.REDIS_KILLED,) * 3,
    *(Outage.REDIS_FAILS_OVER,) * 2,
    Outage.REDIS_HANGS,
    *(Outage.SUPABASE_KILLED,) * 2,
    Outage.SUPABASE_HANGS,
    Outage.DATABASE_KILLED,
)


@dataclass(frozen=True, slots=True)
class PlannedWorkerFault:
    """A fault, and how long the worker works before it is injected."""

    fault: WorkerFault
    delay_seconds: float


@dataclass(frozen=True, slots=True)
class OutagePlan:
    """An outage and how long it lasts."""

    outage: Outage | EdgeFault
    seconds: float


@dataclass(frozen=True, slots=True)
class ChaosPlan:
    """Everything that a run does on purpose. ``worker_faults`` has one sequence for each worker."""

    tasks: tuple[TaskPlan, ...]
    worker_faults: tuple[tuple[PlannedWorkerFault, ...], ...]
    outages: tuple[OutagePlan, ...]


MAX_DELAY_SECONDS: Final = 5.0
"""A task takes up to about three seconds: a fault meets tasks in every state, and many tasks run between two faults."""

OUTAGE_SECONDS: Final = (0.3, 4.0)
"""Shorter and longer than a lease."""


def make_plan(seed: int, *, tasks: int, kills: int, workers: int) -> ChaosPlan:
    """The plan of a seed: the same seed and numbers make the same plan."""
    random_source = random.Random(seed)
    faults = [*islice(cycle(WHOLE_KILLS), kills), *OTHER_WORKER_FAULTS]
    random_source.shuffle(faults)
    planned = [PlannedWorkerFault(fault, random_source.uniform(0, MAX_DELAY_SECONDS)) for fault in faults]
    outages = random_source.sample(OUTAGES, len(OUTAGES))
    return ChaosPlan(
        tasks=_tasks(random_source, tasks),
        worker_faults=tuple(tuple(planned[worker::workers]) for worker in range(workers)),
        outages=tuple(OutagePlan(outage, random_source.uniform(*OUTAGE_SECONDS)) for outage in outages),
    )


def is_fatal(marker: str) -> bool:
    """Whether no run with this fault can end with a picture."""
    name = marker.removeprefix("[[sim:").removesuffix("]]")
    if not name or name in HARMLESS_FAULTS or name == f"model-gone={FIRST_MODEL}":
        return False
    return not name.endswith("-once")


def _markers() -> Iterator[str]:
    for name in FAULTS:
        if name != "latency":
            value = MARKER_VALUES.get(name)
            yield f"[[sim:{name}]]" if value is None else f"[[sim:{name}={value}]]"
    yield f"[[sim:model-gone={FIRST_MODEL}]]"


def _features() -> Iterator[dict[str, Any]]:
    """What makes a task special: every one of these is in every run."""
    yield from ({"marker": marker} for marker in _markers())
    yield from ({"picture": picture} for picture in BAD_PICTURES)
    for delivery in Delivery:
        if delivery is Delivery.TAKEN_FOR_FAILED:
            yield from [{"delivery": delivery, "mode": mode} for mode in (None, *StoreMode)] * FAILED_PUSHES
        elif delivery is not Delivery.PUSHED:
            yield from [{"delivery": delivery}] * SPECIAL_DELIVERIES
    yield from ({"ending": ending} for ending in ENDINGS)
    yield from [{"overage_line_is_lost": True, "marker": "[[sim:moderation]]"}] * LOST_OVERAGES


def _tasks(random_source: random.Random, count: int) -> tuple[TaskPlan, ...]:
    features = list(_features())
    if count < len(features):
        raise ValueError(f"{count} tasks; every kind of trouble needs {len(features)}")
    features += [{}] * (count - len(features))
    random_source.shuffle(features)
    # First: a process that saw it fails every task until it is killed, so kills must still be to come.
    features.sort(key=lambda feature: feature.get("marker") != ALL_MODELS_GONE)
    payers = cycle((None, StoreMode.ABSORB, None, StoreMode.RESELL, StoreMode.OVERAGE))
    # Random pairs of payer and trouble; over several seeds every pair comes up.
    modes = random_source.sample(tuple(islice(payers, count)), count)
    tasks = (
        replace(
            TaskPlan(
                number=number,
                mode=mode,
                account=random_source.randrange(1 + modes.count(mode) // TASKS_PER_ACCOUNT),
                credits=random_source.randint(1, MAX_CREDITS),
            ),
            **feature,
        )
        for number, (mode, feature) in enumerate(zip(modes, features, strict=True))
    )
    return tuple(_as_the_platform_charges(task) for task in tasks)


def _as_the_platform_charges(task: TaskPlan) -> TaskPlan:
    """Its job and its failed pushes give b2c users one credit; an overage is logged as one. Whatever the row says."""
    if task.ending is not None:
        # What the platform loses shows on the account, so that nobody else's fault hides behind it.
        own_account = LOST_ACCOUNTS + task.number if task.ending is Ending.WITHOUT_REFUND else task.account
        return replace(task, mode=None, account=own_account, credits=1)
    if task.overage_line_is_lost:
        return replace(task, mode=StoreMode.OVERAGE, credits=1)
    if task.mode is StoreMode.OVERAGE or task.delivery is Delivery.TAKEN_FOR_FAILED:
        return replace(task, credits=1)
    return task
