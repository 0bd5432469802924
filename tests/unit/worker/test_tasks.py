"""What the Celery task makes of a run's result, with a real Celery application."""

from collections.abc import Callable, Iterable
from uuid import uuid4

import pytest
from celery import Celery
from celery.exceptions import Retry

from worker.celery_app import TASK_NAME
from worker.execution.run import Finished, Postponed, Returned, RunResult
from worker.execution.tasks import DispatchRegister, register_generate_task
from worker.link import Event, RunBroke, RunFinished, RunPostponed, RunReturned, RunStarted
from worker.samples import ErrorUnforeseen

NOBODY_LISTENS = "redis://127.0.0.1:1/0"
"""A broker that refuses the connection at once."""

DELAY_SECONDS = 10.0


class Runs:
    """Answers with the scripted results, one a run, and remembers the elements."""

    def __init__(self, results: Iterable[RunResult | BaseException]) -> None:
        self.elements: list[bytes] = []
        self._results = iter(results)

    def __call__(self, element: bytes) -> RunResult:
        self.elements.append(element)
        result = next(self._results)
        if isinstance(result, BaseException):
            raise result
        return result


def celery_app(
    runs: Runs, said: list[Event], register: DispatchRegister | None = None, broker: str = NOBODY_LISTENS
) -> Celery:
    app = Celery("test", broker=broker, set_as_current=False)
    app.conf.update(task_publish_retry=False, broker_transport_options={"max_retries": 1, "interval_start": 0})
    register_generate_task(app, run=runs, tell=said.append, register=register or DispatchRegister())
    return app


@pytest.mark.parametrize(("result", "event"), [(Finished(), RunFinished), (Returned(), RunReturned)])
def test_the_end_of_a_run_is_told(result: RunResult, event: Callable[[str], Event]) -> None:
    said: list[Event] = []
    runs = Runs([result])
    celery_app(runs, said).tasks[TASK_NAME].apply(args=['{"ü": 1}'], task_id="d1", throw=True)
    assert said == [RunStarted("d1"), event("d1")]
    assert runs.elements == ['{"ü": 1}'.encode()], "the element arrives byte by byte as it was in the queue"


def test_a_postponed_run_is_run_again_by_celery() -> None:
    said: list[Event] = []
    runs = Runs([Postponed(DELAY_SECONDS), Finished()])
    # Celery runs an eager task's retry at once.
    celery_app(runs, said).tasks[TASK_NAME].apply(args=["{}"], task_id="d1")
    assert said == [RunStarted("d1"), RunPostponed("d1", DELAY_SECONDS), RunStarted("d1"), RunFinished("d1")]


def test_a_postponed_run_waits_as_long_as_it_asked_for() -> None:
    task = celery_app(Runs([Postponed(DELAY_SECONDS)]), [], broker="memory://localhost").tasks[TASK_NAME]
    task.push_request(id="d1", args=["{}"], kwargs={}, called_directly=False, is_eager=False, retries=0)
    try:
        with pytest.raises(Retry) as retry:
            task.run("{}")
    finally:
        task.pop_request()
    assert retry.value.when == retry.value.sig.options["countdown"] == DELAY_SECONDS


@pytest.mark.parametrize("result", [Finished(), Returned()])
def test_a_message_delivered_again_after_its_end_does_nothing(result: RunResult) -> None:
    said: list[Event] = []
    runs = Runs([result])
    task = celery_app(runs, said).tasks[TASK_NAME]
    task.apply(args=["{}"], task_id="d1", throw=True)
    del said[:]
    task.apply(args=["{}"], task_id="d1", throw=True)
    assert (said, len(runs.elements)) == ([], 1)


def test_a_message_delivered_again_during_its_run_does_nothing() -> None:
    said: list[Event] = []
    register = DispatchRegister()
    register.begin("d1")
    celery_app(Runs([]), said, register).tasks[TASK_NAME].apply(args=["{}"], task_id="d1", throw=True)
    assert said == []


def test_a_run_that_raises_gives_its_slot_back_and_does_nothing_when_it_is_delivered_again() -> None:
    said: list[Event] = []
    runs = Runs([KeyError("outcome")])
    task = celery_app(runs, said).tasks[TASK_NAME]
    for _ in range(2):
        task.apply(args=["{}"], task_id="d1", throw=True)
    assert said == [RunStarted("d1"), ErrorUnforeseen("run"), RunBroke("d1", "KeyError")]
    assert len(runs.elements) == 1


def test_a_run_that_is_ended_from_outside_gives_its_slot_back_and_ends() -> None:
    said: list[Event] = []
    task = celery_app(Runs([SystemExit()]), said).tasks[TASK_NAME]
    with pytest.raises(SystemExit):
        task.run("{}")
    assert [type(event) for event in said] == [RunStarted, ErrorUnforeseen, RunBroke]


def test_the_same_element_dispatched_twice_runs_twice() -> None:
    # The claim in the database tells the two apart from there on.
    said: list[Event] = []
    runs = Runs([Finished(), Finished()])
    task = celery_app(runs, said).tasks[TASK_NAME]
    for dispatch_id in ("d1", "d2"):
        task.apply(args=["{}"], task_id=dispatch_id, throw=True)
    assert len(runs.elements) == 2


def test_a_retry_the_broker_does_not_take_goes_back_to_the_main_process() -> None:
    said: list[Event] = []
    task = celery_app(Runs([Postponed(DELAY_SECONDS)]), said).tasks[TASK_NAME]
    task.push_request(id="d1", args=["{}"], kwargs={}, called_directly=False, is_eager=False, retries=0)
    try:
        task.run("{}")
    finally:
        task.pop_request()
    assert said == [RunStarted("d1"), RunPostponed("d1", DELAY_SECONDS), RunReturned("d1")]


def test_the_register_forgets_the_oldest_ends_first() -> None:
    register = DispatchRegister(remembered=2)
    oldest, older, newest = (str(uuid4()) for _ in range(3))
    for dispatch_id in (oldest, older, newest):
        assert register.begin(dispatch_id)
        register.end(dispatch_id)
    assert [register.begin(dispatch_id) for dispatch_id in (newest, older, oldest)] == [False, False, True]


def test_a_postponed_dispatch_may_come_again() -> None:
    register = DispatchRegister()
    register.begin("d1")
    assert not register.begin("d1")
    register.postpone("d1")
    assert register.begin("d1")
