"""The threads that keep measuring processes at work can be looked after."""

from typing import NoReturn

import pytest

from size_rec.processes import pool as estimator_module
from size_rec.processes.pool import BodyEstimator

WAIT_SECONDS = 30.0


def no_process(_: object) -> NoReturn:
    """A system that starts no more processes."""
    raise OSError("no more processes")


def test_threads_that_keep_trying_are_alive_until_they_are_closed() -> None:
    estimator = BodyEstimator(processes=2, start_measurer=no_process)
    estimator.start()
    alive = estimator.is_alive()
    estimator.close()
    assert (alive, estimator.is_alive()) == (True, False)


@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
def test_a_thread_that_ends_by_an_error_nobody_foresaw_is_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(_: object) -> None:
        raise KeyError("a bug")

    monkeypatch.setattr(estimator_module._Keeper, "_started", broken)
    estimator = BodyEstimator(processes=1)
    estimator.start()
    [keeper] = estimator._keepers
    keeper._thread.join(WAIT_SECONDS)
    assert not estimator.is_alive(), "the supervisor looks at this"
    estimator.close()
