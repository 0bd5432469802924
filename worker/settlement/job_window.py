"""Waiting out the platform's stuck-session job, around which nothing old may be begun or settled.

The database says "not_now" for a session that the job has on its list or is about to put there (docs/reliability.md,
"The price"). Whatever is in hand is kept, and the database is asked again.
"""

from collections.abc import Callable
from typing import Final, Protocol, TypeVar

import structlog

from services.shutdown import sleep_unless

log = structlog.get_logger()

NOT_NOW: Final = "not_now"

LOOK_AGAIN_SECONDS: Final = 15.0
"""The job may be past the session long before its window ends; 200 waiting tasks ask 13 times a second together."""


class MayHaveToWait(Protocol):
    """An answer of the database that may be "not_now"."""

    @property
    def outcome(self) -> str:
        """What the database said."""

    @property
    def retry_after_seconds(self) -> float:
        """When the window is surely over."""


Answer = TypeVar("Answer", bound=MayHaveToWait)


def once_allowed(operation: str, ask: Callable[[], Answer], cancelled: Callable[[], bool]) -> Answer:
    """Ask again and again until the answer is not "not_now".

    Raises:
        ShuttingDown: the process is shutting down.
    """
    answer = ask()
    if answer.outcome == NOT_NOW:
        log.info("waiting_for_the_platforms_job", operation=operation, at_most_seconds=answer.retry_after_seconds)
    while answer.outcome == NOT_NOW:
        sleep_unless(cancelled, min(answer.retry_after_seconds, LOOK_AGAIN_SECONDS))
        answer = ask()
    return answer
