"""What /health says of the parts."""

from itertools import product

import pytest

from models.health import HealthReport
from worker.health import HealthBoard


@pytest.mark.parametrize(("model", "redis", "broker", "consumer", "celery"), list(product([True, False], repeat=5)))
def test_the_status_is_ok_only_when_every_part_works(
    *, model: bool, redis: bool, broker: bool, consumer: bool, celery: bool
) -> None:
    report = HealthReport(
        model_loaded=model,
        redis_connected=redis,
        broker_connected=broker,
        consumer_alive=consumer,
        celery_alive=celery,
    )
    assert report.status == ("ok" if model and redis and broker and consumer and celery else "degraded")


def test_nothing_works_before_it_says_so() -> None:
    assert HealthBoard().report() == HealthReport(
        model_loaded=False, redis_connected=False, broker_connected=False, consumer_alive=False, celery_alive=False
    )


def test_each_part_reports_for_itself() -> None:
    board = HealthBoard()
    board.redis_contact(connected=True)
    assert board.components() == {
        "model": False,
        "redis": True,
        "broker": False,
        "consumer": False,
        "celery": False,
    }
    board.broker_contact(connected=True)
    board.executor(consumer_alive=True, celery_alive=False)
    assert board.components() == {"model": False, "redis": True, "broker": True, "consumer": True, "celery": False}
    board.executor(consumer_alive=False, celery_alive=True)
    assert board.components() == {"model": False, "redis": True, "broker": True, "consumer": False, "celery": True}
    board.model(loaded=True)
    assert board.components() == {"model": True, "redis": True, "broker": True, "consumer": False, "celery": True}


def test_a_part_that_fails_degrades_the_whole_and_may_recover() -> None:
    board = HealthBoard()
    board.redis_contact(connected=True)
    board.broker_contact(connected=True)
    board.executor(consumer_alive=True, celery_alive=True)
    board.model(loaded=True)
    statuses = [board.report().status]
    board.redis_contact(connected=False)
    statuses.append(board.report().status)
    board.redis_contact(connected=True)
    statuses.append(board.report().status)
    assert statuses == ["ok", "degraded", "ok"]
