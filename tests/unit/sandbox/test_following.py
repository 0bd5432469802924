"""A session's way from the push to its end, as the demo shows it."""

from uuid import UUID

from models.generation import Channel, SessionRef, SessionStatus
from sandbox.console.following import Journey

PUSHED = Journey("b2c", SessionRef(Channel.B2C, UUID(int=1)), pushed_at=100.0)


def test_each_state_is_kept_with_the_seconds_since_the_push() -> None:
    journey = (
        PUSHED.seen(SessionStatus.QUEUED, 100.0)
        .seen(SessionStatus.PROCESSING, 100.3)
        .seen(SessionStatus.COMPLETED, 104.6)
    )

    assert journey.story() == "queued 0.0 s > processing 0.3 s > completed 4.6 s"


def test_seeing_the_same_state_again_changes_nothing() -> None:
    journey = PUSHED.seen(SessionStatus.QUEUED, 100.0)

    assert journey.seen(SessionStatus.QUEUED, 109.0) is journey


def test_a_session_that_goes_back_to_the_queue_is_seen_twice_in_it() -> None:
    journey = PUSHED
    for second, status in enumerate([SessionStatus.QUEUED, SessionStatus.PROCESSING, SessionStatus.QUEUED]):
        journey = journey.seen(status, 100.0 + second)

    assert journey.story() == "queued 0.0 s > processing 1.0 s > queued 2.0 s"
    assert not journey.is_over


def test_the_current_line_counts_on_until_the_session_is_over() -> None:
    processing = PUSHED.seen(SessionStatus.QUEUED, 100.0).seen(SessionStatus.PROCESSING, 100.3)
    failed = processing.seen(SessionStatus.FAILED, 102.0)

    assert PUSHED.current_line(101.0).split() == ["b2c", "pushed", "...", "1.0", "s"]
    assert processing.current_line(101.5).endswith("queued 0.0 s > processing ... 1.5 s")
    assert failed.current_line(999.0).endswith("queued 0.0 s > processing 0.3 s > failed 2.0 s")
