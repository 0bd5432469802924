"""Plays the platform in the chaos test: charges, inserts and pushes by the plan, and runs the stuck-session job."""

import json
import random
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Final
from uuid import UUID, uuid4

import redis

from models.generation import Channel, SessionRef
from proofs.chaos.evidence import GivenBack, Payer
from proofs.chaos.plan import BAD_PICTURES, GOOD_PICTURE, NIGHTS, PRIVATE_ADDRESS, Delivery, Ending, TaskPlan
from proofs.chaos.stuck_job import StuckJob, shares
from sandbox.pictures.image_host import ImageHost
from sandbox.platform.jobs import fail_failed_push, refund_failed_push
from sandbox.platform.producer import Producer, Store, StoreMode, Submitted

PUSH_RETRY_SECONDS: Final = 0.2
"""Between two tries of a push while Redis is away: the platform tries again as well."""

ACCOUNT_CREDITS: Final = 10_000
"""Enough for a whole run: a session that is refused for lack of credits would never reach the worker."""

PRIVATE_ADDRESS_URL: Final = "http://10.0.0.1/picture.jpg"

UNREADABLE_DELIVERIES: Final = frozenset(
    {Delivery.CUT_SHORT, Delivery.NEWER_VERSION, Delivery.WRONG_FIELDS, Delivery.BAD_AND_GOOD}
)
"""Deliveries whose first element the consumer must bury."""

HUGE_CHARACTERS: Final = 3_000_000
"""Far longer than any task: the worker sets it aside inside Redis without reading it (docs/adr/0014)."""

GARBAGE: Final = ("junk", "[]", "null", "{}", '"a string"', '{"session_id": 7}', "x" * HUGE_CHARACTERS)
"""Elements that are no tasks and name no session."""


@dataclass(frozen=True, slots=True)
class SubmittedTask:
    """A task of the plan, the session it became, and who paid."""

    plan: TaskPlan
    submitted: Submitted
    payer: Payer


class PlatformSide:
    """The platform in one run of the chaos test.

    Args:
        producer: charges, inserts and pushes.
        pictures: serves the inputs.
        picture: a good JPEG.
        random_source: decides how long the pauses of the stuck-session job are.
        postgres_guard: held while a transaction of the platform is open, and by the fault injection while it kills
            Postgres. If the answer to a commit were lost, this test, not the worker, would not know whether a charge
            was made.
        dsn: address of the database at whose midnight the stuck-session job begins.
    """

    def __init__(
        self,
        producer: Producer,
        pictures: ImageHost,
        picture: bytes,
        *,
        random_source: random.Random,
        postgres_guard: threading.Lock,
        dsn: str,
    ) -> None:
        self._producer = producer
        self._pictures = pictures
        self._good_picture = pictures.add("person.jpg", picture)
        self._postgres_guard = postgres_guard
        self._users: dict[int, UUID] = {}
        self._stores: dict[tuple[StoreMode, int], Store] = {}
        self._closing = threading.Event()
        self._push_lock = threading.Lock()
        self._push_thread = ThreadPoolExecutor(1, thread_name_prefix="platform")
        self._night_thread = ThreadPoolExecutor(1, thread_name_prefix="nights")
        self._stuck_job = StuckJob(producer, self._guarded, random_source, dsn)
        self._failed_pushes: dict[SessionRef, GivenBack] = {}
        self.tasks: list[SubmittedTask] = []
        self.buried: set[str] = set()
        """Elements that must be among the dead letters at the end."""

    def submit_all(self, plans: Sequence[TaskPlan], wait_until_due: Callable[[int], None]) -> "Future[None]":
        """Push all tasks that belong to no night, in a thread of its own.

        ``wait_until_due`` is called before each task, with its index.
        """
        return self._push_thread.submit(
            self._submit_all, [plan for plan in plans if plan.ending is None], wait_until_due
        )

    def have_nights(self, plans: Sequence[TaskPlan], wait_for_share: Callable[[float], None]) -> "Future[None]":
        """Push the tasks of each night together and run the stuck-session job on them, in a thread of its own.

        ``wait_for_share`` is called before each night, with the share of the run that must be over.
        """
        old = [plan for plan in plans if plan.ending is not None]
        return self._night_thread.submit(
            self._run_nights, [old[night::NIGHTS] for night in range(NIGHTS)], wait_for_share
        )

    def _run_nights(self, nights: Sequence[Sequence[TaskPlan]], wait_for_share: Callable[[float], None]) -> None:
        self._stuck_job.day()
        for share, plans in zip(shares(nights), nights, strict=True):
            wait_for_share(share)
            if self._closing.is_set():
                return
            endings = {self._submit(plan).session.session_id: plan.ending or Ending.WHOLE for plan in plans}
            self._stuck_job.night(endings)

    def _submit_all(self, plans: Sequence[TaskPlan], wait_until_due: Callable[[int], None]) -> None:
        self._push_garbage()
        for index, plan in enumerate(plans):
            wait_until_due(index)
            if self._closing.is_set():
                return
            self._submit(plan)

    def _submit(self, plan: TaskPlan) -> Submitted:
        """Do with one task what the plan says."""
        with self._postgres_guard:
            submitted = self._charge_and_insert(plan)
        if plan.ending is not None:
            self._stuck_job.make_old(submitted.session.session_id)
        self.tasks.append(SubmittedTask(plan, submitted, _payer(plan)))
        if plan.delivery is Delivery.TAKEN_FOR_FAILED:
            self._push_and_give_up(submitted)
            return submitted
        elements = _elements(plan.delivery, submitted.payload)
        for element in elements:
            self._push(element, is_oldest=plan.ending is not None)
        if plan.delivery in UNREADABLE_DELIVERIES:
            self.buried.add(elements[0])
        return submitted

    def _push_and_give_up(self, submitted: Submitted) -> None:
        """A push that arrived although it raised an error: the platform refunds and fails the session at once."""
        with self._postgres_guard:
            self._push(submitted.payload)
            refund_failed_push(self._producer.execute, submitted)
            fail_failed_push(self._producer.execute, submitted)
        self._failed_pushes[submitted.session] = GivenBack.ONCE

    def _push_garbage(self) -> None:
        """Push every element of :data:`GARBAGE`; each must be buried."""
        for element in GARBAGE:
            self._push(element)
            self.buried.add(element)

    def push_again_when_done(self) -> None:
        """Push a late duplicate of each task that is to get one; its session is completed or failed by now."""
        for task in self.tasks:
            if task.plan.delivery is Delivery.AGAIN_WHEN_DONE:
                self._push(task.submitted.payload)

    def _push(self, element: str, *, is_oldest: bool = False) -> None:
        """Try LPUSH until it succeeds; if Redis's reply is lost, the element is pushed twice, as on the platform."""
        while not self._closing.is_set():
            # One push at a time: after an error all connections are dropped, also one the other thread would be using.
            with self._push_lock:
                try:
                    return self._producer.push(element, is_oldest=is_oldest)
                except redis.RedisError:
                    self._producer.drop_redis_connections()
            time.sleep(PUSH_RETRY_SECONDS)
        return None

    @property
    def timed_out(self) -> dict[SessionRef, GivenBack]:
        """What the stuck-session job gave back, for each session that it ended."""
        return self._stuck_job.ended

    @property
    def given_up(self) -> dict[SessionRef, GivenBack]:
        """The same, with the sessions whose push was taken for failed."""
        return self._failed_pushes | self._stuck_job.ended

    def close(self) -> None:
        """Push nothing more, and wait for both threads to end."""
        self._closing.set()
        self._push_thread.shutdown()
        self._night_thread.shutdown()

    @contextmanager
    def _guarded(self) -> Iterator[None]:
        with self._postgres_guard:
            yield

    def _charge_and_insert(self, plan: TaskPlan) -> Submitted:
        urls = [self._good_picture, self._picture(plan.picture)]
        if plan.mode is None:
            if plan.account not in self._users:
                self._users[plan.account] = self._producer.new_user(balance=ACCOUNT_CREDITS)
            return self._producer.submit_b2c(
                urls,
                user_id=self._users[plan.account],
                prompt=plan.prompt,
                credits_used=plan.credits,
                push=False,
            )
        key = (plan.mode, plan.account)
        if key not in self._stores:
            self._stores[key] = self._producer.new_store(plan.mode, balance=ACCOUNT_CREDITS)
            if plan.mode is StoreMode.ABSORB:
                self._producer.let_shopper_pay_once(self._stores[key], balance=ACCOUNT_CREDITS)
        return self._producer.submit_b2b(
            urls,
            store=self._stores[key],
            prompt=plan.prompt,
            credits_used=plan.credits,
            push=False,
            overage_line_is_lost=plan.overage_line_is_lost,
        )

    def _picture(self, name: str) -> str:
        if name == GOOD_PICTURE:
            return self._good_picture
        if name == PRIVATE_ADDRESS:
            return PRIVATE_ADDRESS_URL
        if name not in BAD_PICTURES:
            raise ValueError(f"no picture is called {name}")
        return self._pictures.fault_url(name)


def _payer(plan: TaskPlan) -> Payer:
    """Who pays for the session of a task."""
    if plan.overage_line_is_lost:
        return Payer.UNPROVEN
    match plan.mode:
        case None:
            return Payer.USER
        case StoreMode.ABSORB:
            return Payer.STORE
        case StoreMode.RESELL:
            return Payer.SHOPPER
        case StoreMode.OVERAGE:
            return Payer.OVERAGE


def _elements(delivery: Delivery, payload: str) -> list[str]:
    """The elements that are pushed for a task, in order; a bad one names the task's real session."""
    content = json.loads(payload)
    owner_key = "store_id" if content["channel"] == Channel.B2B else "user_id"
    with_wrong_fields = json.dumps({**content, "image_urls": []})
    return {
        Delivery.PUSHED: [payload],
        Delivery.TWICE: [payload, payload],
        Delivery.AGAIN_WHEN_DONE: [payload],
        Delivery.NEVER: [],
        Delivery.CUT_SHORT: [payload[: payload.index('"prompt"')]],
        Delivery.NEWER_VERSION: [json.dumps({**content, "version": content["version"] + 1})],
        Delivery.WRONG_FIELDS: [with_wrong_fields],
        Delivery.WRONG_OWNER: [json.dumps({**content, owner_key: str(uuid4())})],
        Delivery.BAD_AND_GOOD: [with_wrong_fields, payload],
    }[delivery]
