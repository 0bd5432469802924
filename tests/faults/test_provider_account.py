"""When the account behind the provider is blocked, a model goes away, or a task's own time runs out.

One worker for the module; a task here may take six seconds, and a pause lasts three.
"""

import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import pytest

from config.settings import DEFAULT_IMAGE_MODELS
from models.generation import SessionStatus
from tests.support.worker import Stage, Worker, wait_until

pytest_plugins = ["tests.support.worker_fixtures"]

FIRST, SECOND = DEFAULT_IMAGE_MODELS.split(",")

TASK_LIMIT_SECONDS = 6
PAUSE_SECONDS = 3
BLOCKED, PAUSE = "wearon:provider:blocked", "wearon:provider:pause"

SHUTDOWN = datetime.now(UTC).date() + timedelta(days=20)

AN_HOUR_SECONDS = 3_600

NOT_AVAILABLE = "Try-on is not available right now. Please try again later. You have not been charged."
TOOK_TOO_LONG = "Making your picture took too long. Please try again. You have not been charged."


@pytest.fixture(scope="module")
def worker(stage: Stage) -> Worker:
    """A worker with little patience, whose first model will be shut down in a few weeks."""
    with stage.world.simulator.control() as simulator:
        simulator.shut_down(FIRST, SHUTDOWN)
    worker = stage.worker(TASK_LIMIT_SECONDS=str(TASK_LIMIT_SECONDS), OPENAI_PAUSE_SECONDS=str(PAUSE_SECONDS))
    worker.start()
    return worker


@pytest.fixture(autouse=True)
def _calls_may_be_made(stage: Stage) -> Iterator[None]:
    """No pause is left over from the test before."""
    stage.redis.delete(BLOCKED, PAUSE, "wearon:provider:probe")
    yield
    assert stage.wrong_books() == []


@pytest.mark.parametrize(
    ("marker", "reason"),
    [
        ("quota", "quota_exhausted"),
        ("credit-exhausted", "quota_exhausted"),
        ("spend-limit", "quota_exhausted"),
        ("401", "credentials_rejected"),
        ("403", "credentials_rejected"),
    ],
)
def test_an_account_that_is_blocked_fails_the_task_refunds_it_and_pauses_all_calls(
    stage: Stage, worker: Worker, marker: str, reason: str
) -> None:
    pauses_before = len(worker.lines("provider_calls_paused", reason=reason))
    session = stage.submit(f"[[sim:{marker}]]")
    [row] = stage.wait_for(session)
    assert (row.status, row.error_message) == (SessionStatus.FAILED, NOT_AVAILABLE)
    assert stage.refund(session)["reason"] == reason
    assert len(stage.provider_requests(f"[[sim:{marker}]]")) == 1  # not a rate limit: not tried again
    assert len(worker.lines("provider_calls_paused", reason=reason)) == pauses_before + 1
    assert stage.redis.get(BLOCKED) == reason.encode()


def test_health_names_the_provider_while_calls_are_paused_and_is_well_again_afterwards(
    stage: Stage, worker: Worker
) -> None:
    wait_until(lambda: worker.health()["status"] == "ok", "health has forgotten the test before")
    stage.wait_for(stage.submit("[[sim:quota]] health looks"))
    wait_until(lambda: worker.health()["degraded"] == ["provider"], "health names the provider")
    assert worker.metric("wearon_provider_paused", reason="quota_exhausted") == 1
    assert worker.metric("wearon_provider_paused") == 1, "for no other reason"
    assert worker.wait_for_line("part_down", part="provider", level="error", reason="quota_exhausted")
    [row] = stage.wait_for(stage.submit("ends the pause"))
    assert row.status == SessionStatus.COMPLETED
    wait_until(lambda: worker.health()["status"] == "ok", "health tells that all is well")
    assert worker.metric("wearon_provider_paused") == 0


def test_a_pause_burns_one_task_while_the_others_wait_without_using_up_their_time(stage: Stage, worker: Worker) -> None:
    stage.wait_for(stage.submit("[[sim:quota]] the first"))
    stage.redis.set(PAUSE, "until the test ends it")
    waiting = [stage.submit(f"waits for the end of the pause {number}") for number in range(4)]
    stage.wait_for_status("processing", *waiting)
    all_wait_since = time.monotonic()
    wait_until(
        lambda: time.monotonic() - all_wait_since > TASK_LIMIT_SECONDS, "they have waited longer than a task may take"
    )
    assert stage.provider_requests("waits for the end of the pause") == []
    stage.redis.delete(PAUSE)
    rows = stage.wait_for(*waiting)
    assert [row.status for row in rows] == [SessionStatus.COMPLETED] * 4
    assert len(stage.provider_requests("waits for the end of the pause")) == 4
    assert all((row.processing_time_ms or 0) > TASK_LIMIT_SECONDS * 1000 for row in rows)
    worker.wait_for_line("provider_calls_resumed")


def test_a_task_that_uses_up_its_own_time_fails_and_is_refunded_wherever_it_hangs(stage: Stage, worker: Worker) -> None:
    hanging = {
        "the provider never answers": stage.submit("[[sim:hang]]"),
        "the provider drips": stage.submit("[[sim:slow-drip=60]]"),
        "a picture never comes": stage.platform.submit_b2c([stage.pictures.fault_url("hang")]).session,
    }
    rows = dict(zip(hanging, stage.wait_for(*hanging.values()), strict=True))
    assert {name: (row.status, row.error_message) for name, row in rows.items()} == dict.fromkeys(
        hanging, (SessionStatus.FAILED, TOOK_TOO_LONG)
    )
    assert {stage.refund(session)["reason"] for session in hanging.values()} == {"deadline_exceeded"}
    [after] = stage.wait_for(stage.submit("the worker goes on"))
    assert after.status is SessionStatus.COMPLETED
    wait_until(lambda: not stage.in_flight(worker.executor()), "nothing in flight")


def test_a_models_announced_end_is_a_metric_and_a_line_and_no_request(stage: Stage, worker: Worker) -> None:
    line = worker.wait_for_line("image_model_shutdown_ahead", model=FIRST)
    assert (line["level"], line["shutdown_date"], line["threshold_days"]) == ("warning", SHUTDOWN.isoformat(), 30)
    shutdown = datetime(SHUTDOWN.year, SHUTDOWN.month, SHUTDOWN.day, tzinfo=UTC).timestamp()
    assert worker.metric("wearon_openai_model_shutdown_timestamp_seconds", model=FIRST) == shutdown
    with stage.world.simulator.control() as simulator:
        assert simulator.stats()["model_lists"] == 1, "once at the start"


def test_the_audit_of_the_credits_is_a_metric(worker: Worker) -> None:
    audited_at = "wearon_ledger_audit_last_success_timestamp_seconds"
    wait_until(lambda: worker.metric(audited_at) > 0, "the ledger was audited")
    assert abs(worker.metric(audited_at) - time.time()) < AN_HOUR_SECONDS
    assert worker.metric("wearon_ledger_faults") == 0


def test_a_model_the_account_may_not_use_is_passed_over_within_the_task(stage: Stage, worker: Worker) -> None:
    prompt = f"[[sim:unverified={FIRST}]] the organization is not verified"
    [row] = stage.wait_for(stage.submit(prompt))
    models = [request["fields"]["model"] for request in stage.provider_requests(prompt)]
    refused = worker.wait_for_line("image_model_refused", model=FIRST)
    assert row.status is SessionStatus.COMPLETED
    assert models == [FIRST, SECOND]
    assert "must be verified" in refused["reason"]
    assert not stage.redis.exists(BLOCKED)
    wait_until(
        lambda: worker.metric("wearon_openai_requests_total", model=FIRST, code="model_refused") == 1,
        "the metric tells of it",
    )


def test_with_every_model_refused_calls_pause_and_all_are_asked_again(stage: Stage, worker: Worker) -> None:
    """After it the first model is asked again, although it was passed over before."""
    session = stage.submit("[[sim:unverified]] no model at all")
    [row] = stage.wait_for(session)
    assert (row.status, row.error_message) == (SessionStatus.FAILED, NOT_AVAILABLE)
    assert stage.refund(session)["reason"] == "no_model_left"
    [verified] = stage.wait_for(stage.submit("the organization was verified"))
    [request] = stage.provider_requests("the organization was verified")
    assert verified.status is SessionStatus.COMPLETED
    assert request["fields"]["model"] == FIRST


def test_a_model_that_is_gone_is_replaced_within_the_task_until_none_is_left(stage: Stage, worker: Worker) -> None:
    """Last in the module: the models stay gone for the life of the worker's process."""
    with stage.world.simulator.control() as simulator:
        simulator.retire(FIRST)
    [replaced] = stage.wait_for(stage.submit("the old model is gone"))
    models = [request["fields"]["model"] for request in stage.provider_requests("the old model is gone")]
    gone = worker.wait_for_line("image_model_gone", model=FIRST)
    assert replaced.status is SessionStatus.COMPLETED
    assert models == [FIRST, SECOND]
    assert (gone["level"], gone["next_model"]) == ("error", SECOND)
    wait_until(lambda: worker.metric("wearon_model_gone_total", model=FIRST) == 1, "the metric tells of it")
    wait_until(lambda: worker.metric("wearon_openai_models_left") == 1, "one is left")

    stage.wait_for(stage.submit("with the new model at once"))
    [straight] = stage.provider_requests("with the new model at once")
    assert straight["fields"]["model"] == SECOND

    pauses_before = len(worker.lines("provider_calls_paused", reason="no_model_left"))
    last = stage.submit("[[sim:model-gone]]")
    [row] = stage.wait_for(last)
    assert (row.status, row.error_message) == (SessionStatus.FAILED, NOT_AVAILABLE)
    assert stage.refund(last)["reason"] == "no_model_left"
    worker.wait_for_line("provider_calls_paused", count=pauses_before + 1, reason="no_model_left")
