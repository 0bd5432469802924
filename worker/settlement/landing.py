"""Repeats a call to the platform until it succeeds, however long that takes.

tenacity counts and waits; the caller decides which failures may be repeated.
"""

import random
import time
from collections.abc import Callable
from typing import Final, TypeVar

import structlog
import tenacity

from models.failures import PlatformFailure, PlatformUnavailable

log = structlog.get_logger()

FIRST_RETRY_SECONDS: Final = 0.2
LONGEST_RETRY_SECONDS: Final = 10.0
"""Pauses between tries. Short at first, so that a refund after a short interruption takes less than a second; then
longer, so that a database in trouble gets few calls."""

SHORTEST_SHARE: Final = 0.5
"""Jitter: a pause lasts between this share and all of the planned time, so that 200 threads do not retry together."""

Answer = TypeVar("Answer")
MayRepeat = Callable[[PlatformFailure], bool]

_growing: Final = tenacity.wait_exponential(multiplier=FIRST_RETRY_SECONDS, max=LONGEST_RETRY_SECONDS)


def is_away(failure: PlatformFailure) -> bool:
    """Whether the platform is unreachable; then every call may be repeated."""
    return isinstance(failure, PlatformUnavailable)


def until_it_lands(
    operation: str,
    call: Callable[[], Answer],
    sleep: Callable[[float], None] = time.sleep,
    *,
    may_repeat: MayRepeat = is_away,
) -> Answer:
    """Repeat ``call`` with growing, jittered pauses, for as long as it takes.

    Args:
        operation: for the log.
        call: what is repeated; any error other than a ``PlatformFailure`` ends the repeating.
        sleep: replaced in tests.
        may_repeat: whether to try again after this failure.

    Raises:
        PlatformFailure: the first one that ``may_repeat`` does not allow to be repeated.
    """
    retrying = tenacity.Retrying(
        retry=tenacity.retry_if_exception(lambda error: isinstance(error, PlatformFailure) and may_repeat(error)),
        stop=tenacity.stop_never,
        wait=_jittered,
        before_sleep=lambda state: _tell(operation, state),
        sleep=sleep,
        reraise=True,
    )
    return retrying(call)


def _jittered(state: tenacity.RetryCallState) -> float:
    return _growing(state) * random.uniform(SHORTEST_SHARE, 1.0)  # noqa: S311 - jitter, not cryptography


def _tell(operation: str, state: tenacity.RetryCallState) -> None:
    failure = state.outcome.exception() if state.outcome is not None else None
    if isinstance(failure, PlatformFailure):
        log.warning(
            "platform_away",
            operation=operation,
            reason=failure.reason,
            detail=failure.detail,
            attempt=state.attempt_number,
            retry_seconds=round(state.upcoming_sleep, 1),
        )
