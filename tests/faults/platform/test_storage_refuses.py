"""Storage takes no pictures, for good, from nobody, or for a moment: under load."""

import psycopg
import pytest

from services.platform.storage_gate import LOOK_SECONDS
from tests.support.platform_acts import give_up
from tests.support.platform_faults import bucket_limited, bucket_renamed
from tests.support.platform_proxy import UPLOAD, PlatformProxy, Reply, page, storage_error
from tests.support.refused_platform import AGAIN_SECONDS, CONCURRENCY, assert_all_completed, is_degraded, submit_many
from tests.support.worker import HELD, Stage, Worker, wait_until

pytest_plugins = ["tests.support.worker_fixtures"]


@pytest.mark.parametrize("fault", ["no bucket", "wrong type", "size limit"])
def test_while_storage_refuses_for_good_no_picture_is_bought_and_those_in_hand_are_kept(
    stage: Stage, worker: Worker, proxy: PlatformProxy, fault: str
) -> None:
    dsn = stage.world.postgres.dsn
    refusing, words = {
        "no bucket": (bucket_renamed(dsn), "Bucket not found"),
        "wrong type": (bucket_limited(dsn, types=["image/png"]), "image/jpeg is not supported"),
        "size limit": (bucket_limited(dsn, size_bytes=100), "exceeded the maximum allowed size"),
    }[fault]
    before, still_before = (len(worker.lines(f"storage_{words}")) for words in ("refuses_pictures", "still_refuses"))
    with refusing:
        in_hand = submit_many(stage, f"{HELD} {fault}: bought", CONCURRENCY - 1)
        stage.wait_until_held(len(in_hand))
        stage.release()
        refused = worker.wait_for_line("storage_refuses_pictures", count=before + 1)
        later = submit_many(stage, f"{fault}: not yet")
        wait_until(lambda: is_degraded(worker, "storage"), "the health check tells")
        worker.wait_for_line("storage_still_refuses", count=still_before + 1)
        bought = len(stage.provider_requests(f"{fault}: "))
    assert (refused["level"], words in refused["detail"]) == ("error", True)
    assert_all_completed(stage, [*in_hand, *later])
    assert bought <= CONCURRENCY
    assert len(stage.provider_requests(f"{fault}: bought")) == len(in_hand), "no picture was bought twice"


@pytest.mark.parametrize("status", [401, 402, 403])
def test_while_storage_lets_nobody_in_what_others_settled_is_let_go(
    stage: Stage, worker: Worker, proxy: PlatformProxy, status: int
) -> None:
    before = len(worker.lines("settled_by_others_while_waiting"))
    proxy.answer(UPLOAD, storage_error(status, "Unauthorized", "not now"))
    settled = submit_many(stage, f"{HELD} HTTP {status}", CONCURRENCY - 1)
    stage.wait_until_held(len(settled))
    stage.release()
    wait_until(lambda: is_degraded(worker, "storage"), "the health check tells")
    assert len(stage.in_flight(worker.executor())) == len(settled), "all wait"
    waiting = submit_many(stage, f"not taken {status}")
    for session in settled:
        with psycopg.connect(stage.world.postgres.dsn, options="-c search_path=public") as connection:
            assert give_up(connection, session)
    wait_until(
        lambda: len(worker.lines("settled_by_others_while_waiting")) == before + len(settled),
        "they are let go",
        LOOK_SECONDS + AGAIN_SECONDS,
    )
    assert stage.provider_requests(f"not taken {status}") == []
    proxy.forward_all()
    assert_all_completed(stage, waiting)


@pytest.mark.parametrize(
    "reply",
    [storage_error(423, "ResourceLocked", "locked"), storage_error(409, "TransactionError", "again"), page(502)],
    ids=["locked", "transaction", "gateway"],
)
def test_a_paid_picture_is_offered_again_after_a_passing_refusal(
    stage: Stage, worker: Worker, proxy: PlatformProxy, *, reply: Reply
) -> None:
    proxy.answer(UPLOAD, reply, times=3)
    session = stage.submit("a passing refusal")
    assert_all_completed(stage, [session])
    assert stage.claim(session)["attempt"] == 1
