"""Gathers the evidence of a run from the database, the ledgers, Redis, Storage and the simulator."""

import io
import json
from collections import defaultdict
from collections.abc import Collection, Mapping, Sequence
from typing import Any, Final
from uuid import UUID

import httpx
import psycopg
import redis
from PIL import Image, UnidentifiedImageError
from psycopg.rows import dict_row, scalar_row

from models.generation import Channel, SessionRef, SessionStatus
from proofs.chaos.evidence import BookFault, Evidence, GivenBack, SessionEvidence, WorkerRefund
from proofs.chaos.plan import TASKLESS_DELIVERIES
from proofs.chaos.platform_side import SubmittedTask
from proofs.chaos.provider_watch import ProviderWatch
from sandbox.platform.producer import QUEUE_KEY, Producer
from sandbox.platform.state import WRONG_BALANCES, SessionRow
from sandbox.servers.supabase import BUCKET, LocalSupabase
from sandbox.world import World

IN_FLIGHT_PATTERN: Final = "wearon:tasks:inflight:*"
DEAD_LETTERS_KEY: Final = "wearon:tasks:dead"

REQUEST_TIMEOUT_SECONDS: Final = 10.0

SHOWN_CHARACTERS: Final = 80
"""Of an element that disappeared."""

OPEN_WORK: Final = """
    SELECT (SELECT count(*) FROM generation_sessions WHERE status NOT IN ('completed', 'failed'))
         + (SELECT count(*) FROM store_generation_sessions WHERE status NOT IN ('completed', 'failed'))
         + (SELECT count(*) FROM wearon_worker.claims WHERE executor IS NOT NULL)"""
"""Sessions that somebody waits for, and claims that somebody holds."""

REFUNDS: Final = "SELECT session_id, kind, credits, reason, by_platform FROM wearon_worker.refunds"

BOOKS: Final = """
    SELECT rule, channel, owner_id AS account, session_id, fault FROM wearon_worker_audit('-infinity')"""


def open_work(producer: Producer, queue: "redis.Redis") -> int:
    """Open sessions, held claims, and elements in the queue or in flight; 0 when all is done."""
    return int(producer.value(OPEN_WORK)) + elements_in_redis(queue)


def elements_in_redis(queue: "redis.Redis") -> int:
    """Elements in the platform's queue and in every in-flight list."""
    keys = [QUEUE_KEY, *queue.scan_iter(IN_FLIGHT_PATTERN)]
    lengths: list[Any] = [queue.llen(key) for key in keys]
    return sum(lengths)


def lost_elements(queue: "redis.Redis", expected: Collection[str]) -> list[str]:
    """Bad elements that are not among the dead letters."""
    stored: Any = queue.lrange(DEAD_LETTERS_KEY, 0, -1)
    buried = {_buried_element(queue, json.loads(letter)) for letter in stored}
    return [
        f"a bad element disappeared: {element[:SHOWN_CHARACTERS]!r} ({len(element)} characters)"
        for element in sorted(set(expected) - buried)
    ]


def _buried_element(queue: "redis.Redis", letter: dict[str, Any]) -> str | None:
    """In the letter, or under a key of its own when it is long (docs/adr/0014); ``None`` when it is in neither."""
    if letter["element_key"] is None:
        text: str | None = letter["text"]
        return text
    kept: Any = queue.lindex(letter["element_key"], 0)
    return kept.decode() if kept else None


def collect(
    world: World,
    producer: Producer,
    tasks: Sequence[SubmittedTask],
    *,
    given_up: Mapping[SessionRef, GivenBack],
    provider: ProviderWatch,
    violations_seen: Sequence[str],
) -> Evidence:
    """Everything the audit needs; the workers must have stopped."""
    with psycopg.connect(world.postgres.dsn, row_factory=dict_row) as database:
        refunds = _refunds(database)
        books, wrong_balances = _books(database), _wrong_balances(database)
    calls = provider.calls
    sessions = []
    with _storage(world.supabase) as storage:
        for task in tasks:
            session = task.submitted.session
            row = producer.session(session)
            sessions.append(
                SessionEvidence(
                    number=task.plan.number,
                    session=session,
                    payer=task.payer,
                    account=row.owner_id,
                    credits=row.credits_used,
                    status=row.status,
                    error_message=row.error_message,
                    by_platform=given_up.get(session),
                    can_complete=task.plan.can_complete,
                    was_pushed=task.plan.delivery not in TASKLESS_DELIVERIES,
                    worker_refunds=tuple(refunds[session.session_id]),
                    result_fault=_result_fault(storage, session, row),
                    provider_calls=calls[task.plan.number],
                )
            )
    with redis.Redis.from_url(world.redis.url) as queue:
        left_in_redis = elements_in_redis(queue)
    return Evidence(
        sessions=sessions,
        book_faults=books,
        wrong_balances=wrong_balances,
        left_in_redis=left_in_redis,
        provider_requests=provider.requests,
        peak_requests_per_minute=provider.peak_requests_per_minute,
        violations_seen=violations_seen,
    )


Row = dict[str, Any]


def _refunds(database: psycopg.Connection[Row]) -> dict[UUID, list[WorkerRefund]]:
    refunds: dict[UUID, list[WorkerRefund]] = defaultdict(list)
    for row in database.execute(REFUNDS):
        refunds[row["session_id"]].append(WorkerRefund(row["kind"], row["credits"], row["reason"], row["by_platform"]))
    return refunds


def _books(database: psycopg.Connection[Row]) -> list[BookFault]:
    """What the operator's audit says."""
    return [BookFault(**row) for row in database.execute(BOOKS)]


def _wrong_balances(database: psycopg.Connection[Row]) -> list[str]:
    with database.cursor(row_factory=scalar_row) as cursor:
        return cursor.execute(WRONG_BALANCES.encode()).fetchall()


def _storage(supabase: LocalSupabase) -> httpx.Client:
    key = supabase.service_role_key
    return httpx.Client(
        base_url=supabase.url,
        headers={"apikey": key, "authorization": f"Bearer {key}"},
        timeout=REQUEST_TIMEOUT_SECONDS,
        trust_env=False,
    )


def _result_fault(storage: httpx.Client, session: SessionRef, row: SessionRow) -> str | None:
    """What is wrong with a completed session's picture: where it must lie, what it is, what its link gives."""
    if row.status is not SessionStatus.COMPLETED:
        return None
    if session.channel is Channel.B2C:
        path = f"generated/{row.owner_id}/{session.session_id}.jpg"
    else:
        path = f"stores/{row.owner_id}/generated/{session.session_id}.jpg"
    stored = storage.get(f"/storage/v1/object/{BUCKET}/{path}")
    if not stored.is_success:
        return f"no object is stored (HTTP {stored.status_code})"
    if not row.generated_image_url or path not in row.generated_image_url:
        return "its link leads elsewhere"
    linked = httpx.get(row.generated_image_url, timeout=REQUEST_TIMEOUT_SECONDS, trust_env=False)
    if linked.content != stored.content:
        return f"its link does not give the stored object (HTTP {linked.status_code})"
    return None if _is_jpeg(stored.content) else "the stored object is no JPEG"


def _is_jpeg(content: bytes) -> bool:
    try:
        with Image.open(io.BytesIO(content)) as image:
            image.load()
            return image.format == "JPEG"
    except (UnidentifiedImageError, OSError):
        return False
