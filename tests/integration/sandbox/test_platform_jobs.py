"""The sandbox's platform acts as the contract says the live one does: in steps, in order, without looking."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from uuid import uuid4

import httpx
import psycopg
import pytest

from models.generation import Channel, SessionRef, SessionStatus
from sandbox.plain_http import NO_AUTHORITIES
from sandbox.platform.jobs import (
    EXPIRED,
    StuckSession,
    expire_links,
    fail_failed_push,
    fail_stuck,
    list_stuck,
    refund_failed_push,
    refund_stuck,
    remove_old_files,
)
from sandbox.platform.producer import Producer, StoreMode
from sandbox.platform.uploads import upload_path
from sandbox.servers.supabase import BUCKET, LocalSupabase

NOW = datetime.now(UTC)


def aged(producer: Producer, session: SessionRef, age: timedelta, status: str = "processing") -> SessionRef:
    producer.execute(
        "UPDATE generation_sessions SET created_at = %s, status = %s WHERE id = %s",
        NOW - age,
        status,
        session.session_id,
    )
    return session


class TestStuckSessionJob:
    def test_lists_what_is_open_and_older_than_ten_minutes_of_users_only(self, producer: Producer) -> None:
        old = {
            status: aged(producer, producer.submit_b2c([], push=False).session, timedelta(minutes=11), status)
            for status in ("pending", "queued", "processing", "completed", "failed")
        }
        aged(producer, producer.submit_b2c([], push=False).session, timedelta(minutes=9))
        store = producer.submit_b2b([], push=False).session
        producer.execute(
            "UPDATE store_generation_sessions SET created_at = '2026-01-01' WHERE id = %s", store.session_id
        )
        listed = {entry.session for entry in list_stuck(producer.value, NOW)}
        assert listed == {old[status] for status in ("pending", "queued", "processing")}

    def test_refunds_one_credit_by_a_line_that_names_the_session_and_leaves_the_row_open(
        self, producer: Producer
    ) -> None:
        submitted = producer.submit_b2c([], push=False)
        refund_stuck(producer.execute, StuckSession(submitted.session, submitted.owner_id))
        [*_, line] = producer.ledger()
        assert (line.type, line.amount, line.description) == (
            "refund",
            1,
            f"Stuck job recovery: session {submitted.session.session_id} timed out after 10 minutes",
        )
        assert producer.session(submitted.session).status is SessionStatus.QUEUED

    def test_then_fails_the_row_whatever_it_holds(self, producer: Producer) -> None:
        submitted = producer.submit_b2c([], push=False)
        producer.set_status(submitted.session, SessionStatus.COMPLETED)
        fail_stuck(producer.execute, StuckSession(submitted.session, submitted.owner_id))
        row = producer.session(submitted.session)
        assert row.status is SessionStatus.FAILED
        assert row.error_message is not None
        assert row.completed_at is not None
        assert [line.type for line in producer.ledger()] == ["signup_bonus", "generation"], "also without a refund"


class TestFailedPush:
    @pytest.mark.parametrize("mode", [None, *StoreMode])
    def test_is_undone_for_whoever_paid_and_then_the_row_is_failed(
        self, producer: Producer, mode: StoreMode | None
    ) -> None:
        submitted = producer.submit_b2c([]) if mode is None else producer.submit_b2b([], mode=mode)
        assert producer.queue_length() == 1, "it arrived"
        before, lines = producer.balances(), len(producer.ledger())

        refund_failed_push(producer.execute, submitted)

        assert producer.session(submitted.session).status is SessionStatus.QUEUED
        after, ledger = producer.balances(), producer.ledger()
        gained = sum(
            sum(now.values()) - sum(then.values())
            for now, then in (
                (after.users, before.users),
                (after.stores, before.stores),
                (after.shoppers, before.shoppers),
            )
        )
        assert gained == len(ledger) - lines == (0 if mode is StoreMode.OVERAGE else 1)
        if mode is None:
            assert ledger[-1].description == "Queue error - refund", "it names nobody"

        fail_failed_push(producer.execute, submitted)

        assert producer.session(submitted.session).status is SessionStatus.FAILED

    def test_of_a_store_is_refused_when_the_request_was_refunded_already(self, producer: Producer) -> None:
        submitted = producer.submit_b2b([])
        refund_failed_push(producer.execute, submitted)
        with pytest.raises(psycopg.errors.UniqueViolation):
            refund_failed_push(producer.execute, submitted)


class TestOverage:
    @pytest.mark.parametrize(("line", "metadata"), [(True, True), (True, False), (False, True), (False, False)])
    def test_may_leave_a_line_metadata_both_or_nothing(self, producer: Producer, *, line: bool, metadata: bool) -> None:
        submitted = producer.submit_b2b(
            [], mode=StoreMode.OVERAGE, push=False, overage_line_is_lost=not line, metadata_is_lost=not metadata
        )
        assert [entry.type for entry in producer.ledger()] == ["overage"] * line
        kept = producer.value(
            "SELECT metadata FROM store_generation_sessions WHERE id = %s", submitted.session.session_id
        )
        assert (kept is not None) == metadata
        assert producer.balances().stores == {submitted.owner_id: 0}


@pytest.fixture
def storage(supabase: LocalSupabase) -> Iterator[httpx.Client]:
    key = supabase.service_role_key
    headers = {"apikey": key, "authorization": f"Bearer {key}", "x-upsert": "true"}
    with httpx.Client(
        base_url=supabase.url, headers=headers, trust_env=False, timeout=30.0, verify=NO_AUTHORITIES
    ) as client:
        yield client


class TestDailyCleanUp:
    def test_turns_links_of_users_into_a_word_after_six_hours(self, producer: Producer) -> None:
        old, young = (producer.submit_b2c([], push=False).session for _ in range(2))
        store = producer.submit_b2b([], push=False).session
        for table in ("generation_sessions", "store_generation_sessions"):
            producer.execute(f"UPDATE {table} SET generated_image_url = 'https://link', status = 'completed'")  # noqa: S608 - constants
        aged(producer, old, timedelta(hours=6, minutes=1), "completed")
        aged(producer, young, timedelta(hours=5, minutes=59), "completed")
        producer.execute("UPDATE store_generation_sessions SET created_at = '2026-01-01'")
        expire_links(producer.execute, NOW)
        links = [producer.session(session).generated_image_url for session in (old, young, store)]
        assert links == [EXPIRED, "https://link", "https://link"]

    def test_removes_files_that_lie_directly_in_the_two_folders_and_leaves_those_below(
        self, producer: Producer, storage: httpx.Client
    ) -> None:
        stay = ["generated/owner/session.jpg", "uploads/owner/input.jpg", "stores/owner/uploads/input.jpg"]
        go = ["uploads/input.jpg", "generated/result.jpg"]
        for path in (*stay, *go):
            storage.post(f"/storage/v1/object/{BUCKET}/{path}", content=b"x").raise_for_status()
        assert remove_old_files(storage, datetime.now(UTC)) == []
        assert set(remove_old_files(storage, datetime.now(UTC) + timedelta(hours=7))) >= set(go)
        found = {path: storage.get(f"/storage/v1/object/{BUCKET}/{path}").is_success for path in (*stay, *go)}
        assert found == {**dict.fromkeys(stay, True), **dict.fromkeys(go, False)}


def test_users_inputs_lie_where_the_clean_up_looks() -> None:
    assert upload_path(Channel.B2C, uuid4(), ".jpg").count("/") == 1
