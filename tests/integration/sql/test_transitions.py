"""Every function of the worker's SQL, from every state a session can be in: a table, and each call made twice."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any
from uuid import uuid4

import pytest

from models.generation import Channel, SessionRef, SessionStatus
from sandbox.platform.producer import Producer
from tests.support.ledger_audit import ledger_faults
from tests.support.platform_acts import give_up
from tests.support.worker_sql import IMAGE_URL, MESSAGE, Answer, Run, Superuser, WorkerSql
from worker.settlement.policy import ATTEMPT_LIMIT


@dataclass(frozen=True, slots=True)
class Scene:
    """One session, brought into a state; ``ours`` is the run that acts in the test."""

    sql: WorkerSql
    root: Superuser
    session: SessionRef
    ours: Run

    def somebody_else(self) -> Run:
        """A live executor's run that holds the claim."""
        return self.sql.claimed(self.session)

    def ours_claimed(self) -> None:
        assert self.sql.claim(self.ours)["outcome"] == "claimed"

    def ours_dies(self) -> None:
        judge = self.sql.executor()
        self.root.may_judge(judge)
        self.root.lease_ran_out(self.ours.executor)
        assert self.sql.recover(judge, holders=[self.ours.executor]) == {self.ours.executor}


@pytest.fixture(params=list(Channel), ids=lambda channel: channel.value)
def scene(request: pytest.FixtureRequest, platform: Producer, sql: WorkerSql, root: Superuser) -> Scene:
    submit = platform.submit_b2c if request.param is Channel.B2C else platform.submit_b2b
    session = submit([], push=False).session
    return Scene(sql, root, session, Run(session, sql.executor(), uuid4()))


def untouched(_: Scene) -> None:
    """Queued, never claimed."""


def ours(scene: Scene) -> None:
    scene.ours_claimed()


def by_our_executor_in_another_run(scene: Scene) -> None:
    scene.sql.claimed(scene.session, scene.ours.executor)


def by_somebody_alive(scene: Scene) -> None:
    scene.somebody_else()


def by_somebody_dead(scene: Scene) -> None:
    """Declared dead, the claim still in the name of the dead: a claim may land while death is being declared."""
    other = scene.somebody_else()
    scene.root.execute("UPDATE wearon_worker.executors SET dead_at = now() WHERE executor = %s", other.executor)


def released_by_us(scene: Scene) -> None:
    scene.ours_claimed()
    scene.sql.release(scene.ours)


def we_died(scene: Scene) -> None:
    """Declared dead and recovered; this run is a process that wakes up again."""
    scene.ours_claimed()
    scene.ours_dies()


def we_died_and_somebody_took_it(scene: Scene) -> None:
    we_died(scene)
    scene.somebody_else()


def completed_by_us(scene: Scene) -> None:
    scene.ours_claimed()
    scene.sql.complete(scene.ours)


def completed_by_another_run(scene: Scene) -> None:
    scene.sql.complete(scene.somebody_else())


def failed_by_us(scene: Scene) -> None:
    scene.ours_claimed()
    scene.sql.fail(scene.session, scene.ours.fence)


def failed_by_another_run(scene: Scene) -> None:
    scene.sql.fail(scene.session, scene.somebody_else().fence)


def failed_by_nobody(scene: Scene) -> None:
    """By recovery or because of a bad element, without a run."""
    scene.sql.fail(scene.session, None)


def expired_by_the_platform(scene: Scene) -> None:
    assert give_up(scene.root.connection, scene.session)


def expired_by_the_platform_while_ours(scene: Scene) -> None:
    scene.ours_claimed()
    assert give_up(scene.root.connection, scene.session)


def deleted(scene: Scene) -> None:
    """The platform deletes a person's data while we work."""
    scene.ours_claimed()
    owner = columns_of(scene)
    for table in ("generation_sessions", "store_generation_sessions"):
        scene.root.execute(f"DELETE FROM {table} WHERE id = %s", scene.session.session_id)  # noqa: S608 - constants
    scene.root.execute("DELETE FROM user_credits WHERE user_id = %s", owner.get("user_id"))
    scene.root.execute("DELETE FROM stores WHERE id = %s", owner.get("store_id"))


OPERATIONS: dict[str, Callable[[Scene], Answer]] = {
    "claim": lambda scene: scene.sql.claim(scene.ours),
    "release": lambda scene: scene.sql.release(scene.ours),
    "complete": lambda scene: scene.sql.complete(scene.ours),
    "fail": lambda scene: scene.sql.fail(scene.session, scene.ours.fence),
    "fail as nobody": lambda scene: scene.sql.fail(scene.session, None),
}

STAYS = None
CLAIMED, RELEASED = ("claimed", "processing"), ("released", "queued")
COMPLETED, FAILED = ("completed", "completed"), ("failed", "failed")
OWNED, LOST, SETTLED = ("owned", STAYS), ("lost", STAYS), ("settled", STAYS)
DEAD, MISSING = ("executor_dead", STAYS), ("missing", STAYS)

# What our run is told, and the status after it.
# state                                  claim    release   complete   fail     fail as nobody
TRANSITIONS: dict[Callable[[Scene], None], tuple[tuple[str, str | None], ...]] = {
    untouched:                          (CLAIMED, LOST,     LOST,      LOST,    FAILED),
    ours:                               (CLAIMED, RELEASED, COMPLETED, FAILED,  OWNED),
    by_our_executor_in_another_run:     (OWNED,   LOST,     LOST,      LOST,    OWNED),
    by_somebody_alive:                  (OWNED,   LOST,     LOST,      LOST,    OWNED),
    by_somebody_dead:                   (CLAIMED, LOST,     LOST,      LOST,    FAILED),
    released_by_us:                     (CLAIMED, RELEASED, LOST,      LOST,    FAILED),
    we_died:                            (DEAD,    RELEASED, LOST,      LOST,    FAILED),
    we_died_and_somebody_took_it:       (DEAD,    LOST,     LOST,      LOST,    OWNED),
    completed_by_us:                    (SETTLED, SETTLED,  COMPLETED, SETTLED, SETTLED),
    completed_by_another_run:           (SETTLED, SETTLED,  SETTLED,   SETTLED, SETTLED),
    failed_by_us:                       (SETTLED, SETTLED,  SETTLED,   FAILED,  SETTLED),
    failed_by_another_run:              (SETTLED, SETTLED,  SETTLED,   SETTLED, SETTLED),
    failed_by_nobody:                   (SETTLED, SETTLED,  SETTLED,   SETTLED, SETTLED),
    expired_by_the_platform:            (SETTLED, SETTLED,  SETTLED,   SETTLED, SETTLED),
    expired_by_the_platform_while_ours: (SETTLED, SETTLED,  SETTLED,   SETTLED, SETTLED),
    deleted:                            (MISSING, MISSING,  MISSING,   MISSING, MISSING),
}  # fmt: skip

CASES = [
    pytest.param(state, operation, outcome, status, id=f"{operation} | {state.__name__}")
    for state, row in TRANSITIONS.items()
    for operation, (outcome, status) in zip(OPERATIONS, row, strict=True)
]


def without_refund(answer: Answer) -> Answer:
    return {key: value for key, value in answer.items() if key != "refund"}


def columns_of(scene: Scene) -> dict[str, Any]:
    """The session's row; empty when there is none."""
    rows = scene.root.rows(
        "SELECT to_jsonb(s) FROM generation_sessions s WHERE id = %s"
        " UNION ALL SELECT to_jsonb(s) FROM store_generation_sessions s WHERE id = %s",
        *[scene.session.session_id] * 2,
    )
    columns: dict[str, Any] = rows[0][0] if rows else {}
    return columns


def status_of(scene: Scene) -> str | None:
    status: str | None = columns_of(scene).get("status")
    return status


def without_claims(rows: list[str]) -> list[str]:
    return [row for row in rows if not row.startswith("wearon_worker.claims ")]


@pytest.mark.parametrize(("state", "operation", "outcome", "status"), CASES)
def test_from_every_state_every_call_does_one_thing_and_doing_it_again_changes_nothing(
    scene: Scene, state: Callable[[Scene], None], operation: str, outcome: str, status: str | None
) -> None:
    state(scene)
    before, status_before = scene.root.everything(), status_of(scene)

    answer = OPERATIONS[operation](scene)

    assert answer["outcome"] == outcome
    assert status_of(scene) == (status or status_before)
    after = scene.root.everything()
    if status is STAYS:
        assert without_claims(before) == without_claims(after)
    if outcome == "settled":
        assert answer["status"] == status_before
    assert ledger_faults(scene.root.connection) == []

    repeated = OPERATIONS[operation](scene)

    if operation == "fail as nobody" and outcome == "failed":
        assert repeated == {"outcome": "settled", "status": "failed"}
    else:
        assert without_refund(repeated) == without_refund(answer), "a lost reply changes the answer"
        assert repeated.get("refund", {}).get("credits", 0) == 0, "money twice"
    assert scene.root.everything() == after, "a lost reply costs something"


class TestClaim:
    def test_it_answers_what_the_run_needs_to_know(self, scene: Scene) -> None:
        answer = scene.sql.claim(scene.ours)
        assert (answer["attempt"], answer["rate_limited"]) == (1, 0)
        row = columns_of(scene)
        assert answer["owner_id"] == row.get("user_id", row.get("store_id"))

    @pytest.mark.parametrize(
        ("state", "same_executor"), [(by_our_executor_in_another_run, True), (by_somebody_alive, False)]
    )
    def test_an_owned_session_says_whether_this_executor_runs_it_already(
        self, scene: Scene, state: Callable[[Scene], None], same_executor: bool
    ) -> None:
        state(scene)
        assert scene.sql.claim(scene.ours) == {"outcome": "owned", "same_executor": same_executor}

    def test_an_executor_that_never_registered_can_claim_nothing(self, scene: Scene) -> None:
        unknown = Run(scene.session, uuid4(), uuid4())
        assert scene.sql.claim(unknown) == {"outcome": "executor_dead"}

    def test_the_first_run_after_the_attempt_limit_is_ours_only_to_fail(self, scene: Scene) -> None:
        for attempt in range(1, ATTEMPT_LIMIT + 1):
            run = scene.sql.claimed(scene.session)
            assert scene.root.claim_row(scene.session)["attempt"] == attempt
            scene.sql.retire(run.executor)
            assert status_of(scene) == "queued"
        answer = scene.sql.claim(scene.ours)
        assert (answer["outcome"], answer["attempt"]) == ("exhausted", ATTEMPT_LIMIT + 1)
        assert scene.sql.claim(scene.ours) == answer
        assert status_of(scene) == "queued", "nobody is told that it runs"
        assert scene.sql.fail(scene.session, scene.ours.fence)["outcome"] == "failed"
        assert ledger_faults(scene.root.connection) == []

    def test_a_worker_that_dies_before_it_can_fail_an_exhausted_session_does_not_give_it_another_run(
        self, scene: Scene
    ) -> None:
        for _ in range(ATTEMPT_LIMIT + 1):
            run = Run(scene.session, scene.sql.executor(), uuid4())
            last = scene.sql.claim(run)
            scene.sql.retire(run.executor)
        assert last["outcome"] == "exhausted"
        assert scene.sql.claim(scene.ours)["outcome"] == "exhausted"

    def test_a_run_that_was_handed_back_uses_up_no_attempt(self, scene: Scene) -> None:
        for _ in range(ATTEMPT_LIMIT * 3):
            scene.sql.release(scene.sql.claimed(scene.session))
        assert scene.sql.claim(scene.ours)["attempt"] == 1

    def test_a_legacy_pending_row_is_claimed_like_a_queued_one(
        self, platform: Producer, sql: WorkerSql, root: Superuser
    ) -> None:
        session = platform.submit_b2c([], push=False).session
        platform.set_status(session, SessionStatus.PENDING)
        assert session in sql.unowned()
        sql.complete(sql.claimed(session))
        assert platform.session(session).status is SessionStatus.COMPLETED
        assert ledger_faults(root.connection) == []

    def test_two_channels_do_not_share_a_session_id(self, platform: Producer, sql: WorkerSql, root: Superuser) -> None:
        b2c, b2b = platform.submit_b2c([], push=False).session, platform.submit_b2b([], push=False).session
        root.execute("UPDATE store_generation_sessions SET id = %s WHERE id = %s", b2c.session_id, b2b.session_id)
        b2b = SessionRef(Channel.B2B, b2c.session_id)
        runs = [sql.claimed(b2c), sql.claimed(b2b)]
        assert sql.complete(runs[0])["outcome"] == "completed"
        assert sql.fail(b2b, runs[1].fence)["refund"] == {"kind": "store_credit", "credits": 1}

    def test_an_unknown_channel_is_refused(self, sql: WorkerSql) -> None:
        with pytest.raises(Exception, match="unknown channel b2x"):
            sql.call(
                "claim", channel="b2x", session_id=uuid4(), executor=uuid4(), fence=uuid4(), attempt_limit=ATTEMPT_LIMIT
            )


class TestRelease:
    def test_only_the_provider_s_rate_limit_is_counted_and_a_repeated_call_once(self, scene: Scene) -> None:
        for rate_limited in (True, False, True):
            run = scene.sql.claimed(scene.session)
            for _ in range(2):
                assert scene.sql.release(run, rate_limited=rate_limited) == {"outcome": "released"}
        assert scene.sql.claim(scene.ours)["rate_limited"] == 2


class TestWhatAPersonSees:
    def test_a_completed_row_has_the_picture_and_the_figures_and_nothing_else_changed(self, scene: Scene) -> None:
        scene.ours_claimed()
        before = columns_of(scene)
        scene.sql.complete(scene.ours)
        after = columns_of(scene)
        assert after.pop("completed_at") is not None
        changed = {name: value for name, value in after.items() if value != before[name]}
        assert changed == {
            "status": "completed",
            "generated_image_url": IMAGE_URL,
            "processing_time_ms": 21_500,
            "input_tokens": 3_200,
            "output_tokens": 1_056,
            "estimated_cost_usd": 0.04225,
        }

    def test_a_failed_row_has_the_message_and_nothing_else_changed(self, scene: Scene) -> None:
        before = columns_of(scene)
        scene.ours_claimed()
        scene.sql.fail(scene.session, scene.ours.fence)
        changed = {name: value for name, value in columns_of(scene).items() if value != before[name]}
        assert changed == {"status": "failed", "error_message": MESSAGE}

    def test_a_message_written_for_a_retry_is_gone_after_completion(self, scene: Scene) -> None:
        for table in ("generation_sessions", "store_generation_sessions"):
            scene.root.execute(
                f"UPDATE {table} SET error_message = 'We are busy, trying again.' WHERE id = %s",  # noqa: S608 - constants
                scene.session.session_id,
            )
        scene.ours_claimed()
        scene.sql.complete(scene.ours)
        assert columns_of(scene)["error_message"] is None
