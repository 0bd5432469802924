"""When the sandbox starts a part again, and how soon."""

import pytest

from sandbox.lasting.keeping import is_to_be_restarted, restart_delay_seconds


@pytest.mark.parametrize(("failures", "seconds"), [(1, 1), (2, 2), (3, 4), (5, 16), (6, 30), (50, 30), (100_000, 30)])
def test_the_delay_doubles_up_to_half_a_minute(failures: int, seconds: float) -> None:
    assert restart_delay_seconds(failures) == seconds


@pytest.mark.parametrize(
    ("is_worker", "exit_code", "again"),
    [
        (True, 1, True),
        (True, -9, True),
        (True, 0, False),
        (False, None, True),
    ],
)
def test_only_a_worker_that_ended_in_order_stays_stopped(is_worker: bool, exit_code: int | None, again: bool) -> None:
    assert is_to_be_restarted(is_worker=is_worker, exit_code=exit_code) is again
