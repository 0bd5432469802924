"""Waits while the platform's stuck-session job may be working on a session.

The database answers "not_now" for a session that the job has on its list or may put there soon; such a session must not
be claimed or settled (docs/reliability.md, "The price"). The picture, if there is one, is kept, and the database is
asked again.
"""

from collections.abc import Callable
from typing import Final, Protocol, TypeVar

import structlog

from services.shutdown import sleep_unless

log = structlog.get_logger()

NOT_NOW: Final = "not_now"

LOOK_AGAIN_SECONDS: Final = 15.0
"""Pause between two tries; the job may be done with the session long before its window ends. 200 waiting tasks together
ask 13 times a second."""


class MayHaveToWait(Protocol):
    """An answer of the database whose outcome may be "not_now"."""

    @property
    def outcome(self) -> str:
        """What the database said."""

    @property
    def retry_after_seconds(self) -> float:
        """Seconds after which the window is certainly over."""


Answer = TypeVar("Answer", bound=MayHaveToWait)


def once_allowed(operation: str, ask: Callable[[], Answer], cancelled: Callable[[], bool]) -> Answer:
    """Repeat ``ask`` until the answer is another one than "not_now".

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
