"""Plays the platform under fire: charges, inserts, pushes whatever the plan says, and runs the platform's own job."""

import json
import random
import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from typing import Final
from uuid import UUID, uuid4

import psycopg
import redis

from models.generation import Channel, SessionRef, SessionStatus
from sandbox.image_host import ImageHost
from sandbox.producer import Producer, Store, StoreMode, Submitted
from scripts.chaos.evidence import Payer
from scripts.chaos.plan import BAD_PICTURES, GOOD_PICTURE, PRIVATE_ADDRESS, Delivery, TaskPlan

PUSH_RETRY_SECONDS: Final = 0.2
"""The platform, too, tries again while Redis is away."""

ACCOUNT_CREDITS: Final = 10_000
"""Nobody runs out: what is refused at the till never reaches the worker."""

PLATFORM_MESSAGE: Final = "This took too long."

PLATFORM_JOB_THREADS: Final = 4
PLATFORM_JOB_DELAY_SECONDS: Final = 1.0
"""At most so long after the session was first seen at work, anywhere in its run."""

PLATFORM_JOB_PATIENCE_SECONDS: Final = 15.0
"""A session that does not start within this is ended as it stands."""

PRIVATE_ADDRESS_URL: Final = "http://10.0.0.1/picture.jpg"

UNREADABLE_DELIVERIES: Final = frozenset(
    {Delivery.CUT_SHORT, Delivery.NEWER_VERSION, Delivery.WRONG_FIELDS, Delivery.BAD_AND_GOOD}
)
"""Their first element is one that the consumer must bury."""

HUGE_CHARACTERS: Final = 3_000_000
"""Far longer than any task: the worker sets it aside inside Redis without reading it (docs/adr/0014)."""

GARBAGE: Final = ("junk", "[]", "null", "{}", '"a string"', '{"session_id": 7}', "x" * HUGE_CHARACTERS)
"""Elements that name no session."""

EXPIRE_USER_SESSION: Final = """
    WITH ended AS (
        UPDATE generation_sessions SET status = 'failed', error_message = %s
        WHERE id = %s AND status NOT IN ('completed', 'failed') RETURNING user_id, credits_used)
    SELECT refund_credits(user_id, credits_used) IS NOT NULL FROM ended"""

EXPIRE_STORE_SESSION: Final = """
    WITH ended AS (
        UPDATE store_generation_sessions SET status = 'failed', error_message = %s
        WHERE id = %s AND status NOT IN ('completed', 'failed')
        RETURNING store_id, shopper_email, credits_used, request_id)
    SELECT CASE
        WHEN shopper_email IS NOT NULL
            THEN refund_store_shopper_credits(store_id, shopper_email, credits_used, request_id) IS NOT NULL
        WHEN EXISTS (SELECT FROM store_credit_transactions t
                     WHERE t.store_id = ended.store_id AND t.request_id = ended.request_id AND t.type = 'deduction')
            THEN refund_store_credits(store_id, credits_used, request_id) IS NOT NULL
        ELSE true END
    FROM ended"""
"""The platform's job on one session, each in one transaction; no row when the session was terminal already."""


@dataclass(frozen=True, slots=True)
class SubmittedTask:
    """A task of the plan, the session it became, and who paid."""

    plan: TaskPlan
    submitted: Submitted
    payer: Payer


class PlatformSide:
    """The platform of one run.

    Args:
        producer: charges, inserts and pushes.
        pictures: serves the inputs.
        picture: a good JPEG.
        random_source: decides when the platform's job strikes.
        postgres_guard: held while a transaction of the platform is open. Whoever kills Postgres holds it too: a lost
            answer to a commit would leave the scenario, not the worker, in doubt about a charge.
    """

    def __init__(
        self,
        producer: Producer,
        pictures: ImageHost,
        picture: bytes,
        random_source: random.Random,
        postgres_guard: threading.Lock,
    ) -> None:
        self._producer = producer
        self._pictures = pictures
        self._good_picture = pictures.add("person.jpg", picture)
        self._random = random_source
        self._guard = postgres_guard
        self._users: dict[int, UUID] = {}
        self._stores: dict[tuple[StoreMode, int], Store] = {}
        self._closing = threading.Event()
        self._pushing = ThreadPoolExecutor(1, thread_name_prefix="platform")
        self._job = ThreadPoolExecutor(PLATFORM_JOB_THREADS, thread_name_prefix="platform-job")
        self._expiries: list[Future[SessionRef | None]] = []
        self.tasks: list[SubmittedTask] = []
        self.buried: set[str] = set()
        """Elements that must be found among the dead letters."""

    def submit_all(self, plans: Sequence[TaskPlan], wait_until_due: Callable[[int], None]) -> "Future[None]":
        """Push everything in a thread of its own; ``wait_until_due`` is asked before each task, with its index."""
        return self._pushing.submit(self._submit_all, plans, wait_until_due)

    def _submit_all(self, plans: Sequence[TaskPlan], wait_until_due: Callable[[int], None]) -> None:
        self._push_garbage()
        for index, plan in enumerate(plans):
            wait_until_due(index)
            if self._closing.is_set():
                return
            self._submit(plan)

    def _submit(self, plan: TaskPlan) -> None:
        """Do with one task what the plan says."""
        with self._guard:
            submitted = self._charge_and_insert(plan)
        self.tasks.append(SubmittedTask(plan, submitted, _payer(plan.mode)))
        elements = _elements(plan.delivery, submitted.payload)
        for element in elements:
            self._push(element)
        if plan.delivery in UNREADABLE_DELIVERIES:
            self.buried.add(elements[0])
        if plan.expires:
            self._expiries.append(self._job.submit(self._expire, submitted.session, self._random.random()))

    def _push_garbage(self) -> None:
        """Elements that are no tasks and name nobody."""
        for element in GARBAGE:
            self._push(element)
            self.buried.add(element)

    def push_again_when_done(self) -> None:
        """Late duplicates of sessions that are terminal."""
        for task in self.tasks:
            if task.plan.delivery is Delivery.AGAIN_WHEN_DONE:
                self._push(task.submitted.payload)

    def _push(self, element: str) -> None:
        """LPUSH until Redis takes it; a lost reply makes a duplicate, as it does on the platform."""
        is_pushed = False
        while not is_pushed and not self._closing.is_set():
            try:
                self._producer.push(element)
                is_pushed = True
            except redis.RedisError:
                self._producer.drop_redis_connections()
                time.sleep(PUSH_RETRY_SECONDS)

    def expired(self) -> set[SessionRef]:
        """Sessions that the platform's job ended; waits until the job has done all it was given."""
        return {session for expiry in self._expiries if (session := expiry.result()) is not None}

    def close(self) -> None:
        """Push nothing more and end the platform's job."""
        self._closing.set()
        self._pushing.shutdown()
        self._job.shutdown(cancel_futures=True)

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
        return self._producer.submit_b2b(
            urls, store=self._stores[key], prompt=plan.prompt, credits_used=plan.credits, push=False
        )

    def _picture(self, name: str) -> str:
        if name == GOOD_PICTURE:
            return self._good_picture
        if name == PRIVATE_ADDRESS:
            return PRIVATE_ADDRESS_URL
        if name not in BAD_PICTURES:
            raise ValueError(f"no picture is called {name}")
        return self._pictures.fault_url(name)

    def _expire(self, session: SessionRef, share_of_delay: float) -> SessionRef | None:
        self._wait_until_at_work(session)
        time.sleep(share_of_delay * PLATFORM_JOB_DELAY_SECONDS)
        query = EXPIRE_USER_SESSION if session.channel is Channel.B2C else EXPIRE_STORE_SESSION
        with self._guard:
            ended = self._producer.value(query, PLATFORM_MESSAGE, session.session_id)
        return session if ended else None

    def _wait_until_at_work(self, session: SessionRef) -> None:
        at_work = {SessionStatus.PROCESSING, SessionStatus.COMPLETED, SessionStatus.FAILED}
        try:
            self._producer.wait_for(session, at_work, timeout_seconds=PLATFORM_JOB_PATIENCE_SECONDS)
        except (TimeoutError, psycopg.OperationalError):
            return  # the job looks at the clock, not at the worker


def _payer(mode: StoreMode | None) -> Payer:
    match mode:
        case None:
            return Payer.USER
        case StoreMode.ABSORB:
            return Payer.STORE
        case StoreMode.RESELL:
            return Payer.SHOPPER
        case StoreMode.OVERAGE:
            return Payer.OVERAGE


def _elements(delivery: Delivery, payload: str) -> list[str]:
    """What is pushed for a task; bad elements name the real session."""
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
