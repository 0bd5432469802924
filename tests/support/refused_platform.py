"""What the tests of a platform that refuses have in common."""

from typing import Final

from models.generation import SessionRef, SessionStatus
from tests.support.worker import Stage, Worker

AGAIN_SECONDS: Final = 60.0
"""Until everything that waited is done: pauses of up to 10 s, and a busy machine."""

QUEUE_LENGTH: Final = 20
CONCURRENCY: Final = 4


def submit_many(stage: Stage, prompt: str, count: int = QUEUE_LENGTH) -> list[SessionRef]:
    return [stage.submit(f"{prompt} {number}") for number in range(count)]


def assert_all_completed(stage: Stage, sessions: list[SessionRef]) -> None:
    rows = stage.wait_for(*sessions, timeout_seconds=AGAIN_SECONDS)
    assert [row.status for row in rows] == [SessionStatus.COMPLETED] * len(sessions)


def is_degraded(worker: Worker, part: str) -> bool:
    health = worker.health()
    return health["status"] == "degraded" and part in health["degraded"]
