"""What the main process makes of a child that nobody reads any more."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import cast

import pytest
from prometheus_client import CollectorRegistry

from config.settings import Settings
from services.child_process import ChildProcess
from services.platform.supabase_client import SupabaseClient
from worker.executor_state import ExecutorState
from worker.health import HealthBoard
from worker.metrics import Metrics
from worker.supervision.executor import EXIT_NOTICE_SECONDS, Executor

SOON_GONE = 0.2
LIVES_ON = 600.0
"""Seconds."""
LONG_SECONDS = 60.0


@contextmanager
def executor_with(
    child_lives_seconds: float, dead: ExecutorState | None, *, exit_notice_seconds: float = EXIT_NOTICE_SECONDS
) -> Iterator[Executor]:
    """An executor over a child that lives so long; the thread named by its state has ended, the others wait."""
    settings = Settings.model_validate(
        {
            "redis_url": "redis://127.0.0.1:1/0",
            "supabase_url": "http://127.0.0.1:1",
            "supabase_service_role_key": "service-key-1",
            "openai_api_key": "sk-live-1",
        }
    )
    nobody = cast(SupabaseClient, None)
    executor = Executor(
        settings,
        nobody,
        HealthBoard(),
        Metrics(CollectorRegistry()),
        leases=nobody,
        exit_notice_seconds=exit_notice_seconds,
    )
    over = threading.Event()
    for state in (ExecutorState.LINK_DIED, ExecutorState.STDERR_UNREAD):
        reader = threading.Thread(target=over.wait, args=(0.0 if state is dead else LONG_SECONDS,), daemon=True)
        executor._readers[state] = reader
        reader.start()
        if state is dead:
            reader.join(LONG_SECONDS)
    executor._child = child = ChildProcess("tests.support.child", {"CHILD_LIVES_SECONDS": str(child_lives_seconds)})
    executor._consumer_thread = threading.Thread(target=over.wait, daemon=True)
    executor._consumer_thread.start()
    executor._ready.set()
    try:
        yield executor
    finally:
        over.set()
        child.kill_and_wait()
        child.link.close()


@pytest.mark.parametrize("dead", [ExecutorState.LINK_DIED, ExecutorState.STDERR_UNREAD])
def test_a_child_that_nobody_reads_is_no_running_executor(dead: ExecutorState) -> None:
    with executor_with(LIVES_ON, dead, exit_notice_seconds=0.05) as executor:
        assert executor.state() is dead


def test_a_child_whose_readers_live_is_a_running_executor() -> None:
    with executor_with(LIVES_ON, None) as executor:
        assert executor.state() is ExecutorState.RUNNING


def test_a_child_that_closes_its_side_because_it_ends_has_died() -> None:
    with executor_with(SOON_GONE, ExecutorState.LINK_DIED, exit_notice_seconds=LONG_SECONDS) as executor:
        assert executor.state() is ExecutorState.CHILD_DIED
