"""What becomes of a queue element that is too long to be read: buried once, refunded once, and nobody dies of it."""

import os
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any, Final
from uuid import UUID, uuid4

import pytest
import redis

from config.settings import Settings
from models.generation import SessionRef, SessionStatus
from operations.__main__ import main as wearon
from operations.errors import EXIT_DONE
from sandbox.platform.producer import QUEUE_KEY, Submitted
from sandbox.servers.redis import LocalRedis
from sandbox.world import World
from services.platform.supabase_client import SupabaseClient
from services.queue.connection import connect
from services.queue.task_queue import LongElement, TaskQueue, in_flight_key, set_aside_key
from tests.support.long_elements import long_element, push_streaming
from tests.support.worker import QUICK_SETTINGS, WAIT_SECONDS, Stage, wait_until
from worker.celery_app import create_celery_app
from worker.health import HealthBoard
from worker.intake.consumer import Consumer
from worker.intake.dispatches import DispatchLedger
from worker.intake.publishing import Publisher
from worker.queue_elements import TRANSFER_LIMITS
from worker.recovery.reaper import Reaper
from worker.samples import LetterBuried, Sample
from worker.settlement.settle import Settlement

pytest_plugins = ["tests.support.worker_fixtures"]

LEASE_SECONDS: Final = 600.0

HUGE_BYTES: Final = 200 * 1024 * 1024
GROWTH_BYTES: Final = 16 * 1024 * 1024
"""What a process may grow by while 200 MB pass it: reading them once would take twelve times as much."""


class Fragile(TaskQueue):
    """A queue whose connection breaks around the second of the two steps."""

    breaks_before = False
    breaks_after = False

    def set_aside(self, *arguments: Any, **options: Any) -> bool:
        if self.breaks_before:
            raise redis.ConnectionError("before the command was sent")
        done = super().set_aside(*arguments, **options)
        if self.breaks_after:
            raise redis.ConnectionError("before the reply was read")
        return done


@pytest.fixture(scope="module")
def store(stage: Stage) -> Iterator[SupabaseClient]:
    """The database as the worker sees it."""
    with closing(SupabaseClient(stage.world.supabase.url, stage.world.supabase.service_role_key)) as store:
        yield store


@pytest.fixture(autouse=True)
def _empty_platform(stage: Stage) -> None:
    stage.platform.wipe()
    stage.redis.flushall()


@pytest.fixture
def settings(stage: Stage) -> Settings:
    values = {**stage.world.settings(**QUICK_SETTINGS), "WORKER_LEASE_SECONDS": str(LEASE_SECONDS)}
    return Settings.model_validate({name.lower(): value for name, value in values.items()})


@pytest.fixture
def queue(settings: Settings) -> Fragile:
    return Fragile(connect(settings.redis_url, reply_limit_bytes=TRANSFER_LIMITS.whole_bytes))


class Taker:
    """A consumer without a Celery process behind it, and what it counted."""

    def __init__(self, settings: Settings, store: SupabaseClient, queue: TaskQueue) -> None:
        self.executor = uuid4()
        self.dispatcher = DispatchLedger(capacity=8)
        self.measured: list[Sample] = []
        self.consumer = Consumer(
            executor=self.executor,
            queue=queue,
            publisher=Publisher(create_celery_app(settings, self.executor)),
            dispatcher=self.dispatcher,
            settlement=Settlement(store, self.measured.append),
            record=self.measured.append,
            board=HealthBoard(),
        )

    def round(self) -> None:
        self.consumer.round()

    def wait_until_settled(self) -> None:
        """Wait until the sessions of all that was buried have been dealt with; that is done one after the other."""
        self.consumer._bad_elements.submit(lambda: None).result(WAIT_SECONDS)


NewTaker = Callable[[], Taker]


@pytest.fixture
def new_taker(settings: Settings, store: SupabaseClient, queue: Fragile) -> Iterator[NewTaker]:
    takers: list[Taker] = []

    def make() -> Taker:
        takers.append(Taker(settings, store, queue))
        return takers[-1]

    yield make
    for taker in takers:
        taker.consumer.close()


@pytest.fixture
def taker(new_taker: NewTaker) -> Taker:
    return new_taker()


@pytest.fixture
def reaper(settings: Settings, store: SupabaseClient, queue: Fragile, stage: Stage) -> Reaper:
    """Recovery by a worker that has been alive for long enough to judge others."""
    executor = living_executor(stage, store)
    return Reaper(
        settings,
        queue=queue,
        broker=connect(settings.celery_broker_url),
        store=store,
        settlement=Settlement(store, lambda _: None),
        record=lambda _: None,
        current_executor=lambda: executor,
    )


@pytest.fixture(autouse=True)
def noon(stage: Stage) -> Iterator[None]:
    """Sessions of an hour would not be settled around the real midnight."""
    with stage.database_clock() as clock:
        clock.set(clock.NOON)
        yield


def living_executor(stage: Stage, store: SupabaseClient) -> UUID:
    executor = uuid4()
    store.heartbeat(executor, host="test", lease_seconds=LEASE_SECONDS)
    stage.platform.execute(
        "UPDATE wearon_worker.executors SET continuous_since = now() - interval '1 hour' WHERE executor = %s", executor
    )
    return executor


def submit(stage: Stage) -> Submitted:
    """A charged session an hour old whose task is not pushed."""
    submitted = stage.platform.submit_b2c([stage.photo], push=False)
    stage.platform.execute("UPDATE generation_sessions SET created_at = created_at - interval '1 hour'")
    return submitted


def buried(stage: Stage, element: bytes) -> dict[str, Any]:
    """The only dead letter, whose element is kept apart byte by byte."""
    [letter] = stage.dead_letters()
    assert stage.redis.lrange(letter["element_key"], 0, -1) == [element]
    assert (letter["text"], letter["base64"], letter["size_bytes"]) == (None, None, len(element))
    return letter


def wait_for_refund(stage: Stage, session: SessionRef) -> None:
    """Wait until the session failed, and see that its credit came back once."""
    [row] = stage.wait_for(session)
    assert row.status is SessionStatus.FAILED
    assert stage.platform.value("SELECT count(*) FROM wearon_worker.refunds") == 1
    assert stage.wrong_books() == []


FILLERS: Final = [pytest.param(b"x", id="text"), pytest.param(b"\xff\x00", id="bytes that are no text")]


@pytest.mark.parametrize("filler", FILLERS)
def test_it_is_set_aside_in_the_round_that_took_it_and_its_session_refunded(
    stage: Stage, taker: Taker, filler: bytes
) -> None:
    submitted = submit(stage)
    element = long_element(submitted.payload, filler=filler)
    stage.redis.lpush(QUEUE_KEY, element)
    taker.round()
    letter = buried(stage, element)
    assert letter["reason"] == "too_large"
    assert letter["session_ids"] == [str(submitted.session.session_id)]
    assert stage.in_flight(taker.executor) == []
    wait_for_refund(stage, submitted.session)
    assert stage.refund(submitted.session)["reason"] == "bad_task:too_large"
    assert LetterBuried("too_large") in taker.measured


def test_the_task_behind_it_is_taken_next(stage: Stage, taker: Taker) -> None:
    stage.redis.lpush(QUEUE_KEY, long_element(submit(stage).payload))
    good = stage.submit()
    taker.round()
    taker.round()
    assert taker.dispatcher.count() == 1
    [element] = stage.in_flight(taker.executor)
    assert str(good.session_id).encode() in element


def test_it_holds_up_nothing_when_no_session_is_named_at_its_ends(stage: Stage, taker: Taker) -> None:
    element = os.urandom(TRANSFER_LIMITS.whole_bytes + 1)
    stage.redis.lpush(QUEUE_KEY, element)
    taker.round()
    assert buried(stage, element)["session_ids"] == []


def test_the_longest_element_that_may_be_a_task_is_read_and_kept_in_its_letter(stage: Stage, taker: Taker) -> None:
    element = b"x" * TRANSFER_LIMITS.whole_bytes
    stage.redis.lpush(QUEUE_KEY, element)
    taker.round()
    [letter] = stage.dead_letters()
    assert (letter["reason"], letter["text"], letter["element_key"]) == ("not_json", element.decode(), None)


def test_the_same_element_pushed_twice_has_two_letters_and_one_refund(stage: Stage, taker: Taker) -> None:
    submitted = submit(stage)
    element = long_element(submitted.payload)
    stage.redis.lpush(QUEUE_KEY, element, element)
    taker.round()
    taker.round()
    keys = {letter["element_key"] for letter in stage.dead_letters()}
    assert [stage.redis.lrange(key, 0, -1) for key in keys] == [[element], [element]]
    taker.wait_until_settled()
    wait_for_refund(stage, submitted.session)


def test_it_is_in_flight_until_it_is_set_aside_and_the_next_round_makes_up_for_a_connection_that_broke_before(
    stage: Stage, taker: Taker, queue: Fragile
) -> None:
    submitted = submit(stage)
    element = long_element(submitted.payload)
    stage.redis.lpush(QUEUE_KEY, element)
    queue.breaks_before = True
    with pytest.raises(redis.ConnectionError):
        taker.round()
    assert (stage.in_flight(taker.executor), stage.dead_letters()) == ([element], [])
    queue.breaks_before = False
    stage.submit()
    taker.round()
    buried(stage, element)
    wait_for_refund(stage, submitted.session)


def test_it_is_buried_once_though_the_reply_was_lost_and_recovery_settles_its_session(
    stage: Stage, taker: Taker, queue: Fragile, reaper: Reaper
) -> None:
    submitted = submit(stage)
    element = long_element(submitted.payload)
    stage.redis.lpush(QUEUE_KEY, element)
    queue.breaks_after = True
    with pytest.raises(redis.ConnectionError):
        taker.round()
    queue.breaks_after = False
    good = stage.submit()
    taker.round()
    buried(stage, element)
    assert str(good.session_id).encode() in stage.in_flight(taker.executor)[0]
    queue.register(taker.executor)
    for _ in range(2):
        reaper.round()
    wait_for_refund(stage, submitted.session)
    assert stage.platform.session(good).status is SessionStatus.QUEUED


def test_an_executor_that_died_with_it_in_its_list_leaves_it_to_the_next_which_sets_it_aside(
    stage: Stage, taker: Taker, queue: Fragile, reaper: Reaper
) -> None:
    """As when the process is killed between the move and the setting aside."""
    submitted = submit(stage)
    element, dead = long_element(submitted.payload), uuid4()
    queue.register(dead)
    stage.redis.lpush(in_flight_key(dead), element)
    reaper.round()
    assert (stage.in_flight(dead), stage.redis.lrange(QUEUE_KEY, 0, -1)) == ([], [element])
    taker.round()
    buried(stage, element)
    wait_for_refund(stage, submitted.session)


def test_two_executors_that_look_at_once_bury_it_once(stage: Stage, new_taker: NewTaker, queue: Fragile) -> None:
    """One was declared dead while it looked; the other has the element now."""
    paused, alive = new_taker(), new_taker()
    submitted = submit(stage)
    element = long_element(submitted.payload)
    stage.redis.lpush(in_flight_key(paused.executor), element)
    [[seen]] = queue.in_flight(paused.executor, TRANSFER_LIMITS)
    queue.hand_back(paused.executor)
    alive.round()
    assert isinstance(seen, LongElement)
    assert not queue.set_aside(paused.executor, seen, letter_id="late", letter=b"late")
    buried(stage, element)
    wait_for_refund(stage, submitted.session)


def test_a_session_whose_long_element_still_waits_is_left_alone_by_recovery(stage: Stage, reaper: Reaper) -> None:
    submitted = submit(stage)
    stage.redis.lpush(QUEUE_KEY, long_element(submitted.payload))
    for _ in range(3):
        reaper.round()
    assert stage.platform.session(submitted.session).status is SessionStatus.QUEUED


def test_replayed_it_is_buried_again_and_not_refunded_again(
    stage: Stage, taker: Taker, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    submitted = submit(stage)
    element = long_element(submitted.payload)
    stage.redis.lpush(QUEUE_KEY, element)
    taker.round()
    first = buried(stage, element)
    wait_for_refund(stage, submitted.session)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("REDIS_URL", stage.world.redis.url)
    assert wearon(["dead-letters", "replay", first["letter_id"]]) == EXIT_DONE
    assert "will bury it again" in capsys.readouterr().out
    assert (stage.dead_letters(), stage.redis.exists(first["element_key"])) == ([], 0)
    taker.round()
    assert buried(stage, element)["letter_id"] != first["letter_id"]
    taker.wait_until_settled()
    wait_for_refund(stage, submitted.session)


@pytest.fixture
def own_redis(tmp_path: Path) -> Iterator[LocalRedis]:
    """A Redis for what would make every later restart of the shared one slow."""
    with LocalRedis(tmp_path, append_fsync="no") as server:
        server.start()
        with redis.Redis.from_url(server.url) as client:
            client.config_set("appendonly", "no")
        yield server


def test_no_process_of_the_worker_grows_by_an_element_of_200_megabytes(stage: Stage, own_redis: LocalRedis) -> None:
    world = World(own_redis, stage.world.postgres, stage.world.supabase, stage.world.simulator)
    with closing(Stage(world, stage.pictures, stage.directory)) as own_stage:
        # On a busy machine the push alone takes longer than the quick settings' 3 s; until then there is no task.
        worker = own_stage.worker("huge")
        worker.start()
        wait_until(lambda: worker.health()["status"] == "ok", "all parts of the worker are there")
        submitted = own_stage.platform.submit_b2c([stage.photo], push=False)
        before = {process.pid: reset_peak_bytes(process.pid) for process in worker.processes()}
        push_streaming(own_redis, QUEUE_KEY, submitted.payload, HUGE_BYTES)
        [row] = own_stage.wait_for(submitted.session)
        assert row.status is SessionStatus.FAILED
        assert own_stage.refund(submitted.session)["reason"] == "bad_task:too_large"
        assert {pid: peak_bytes(pid) - at_rest > GROWTH_BYTES for pid, at_rest in before.items()} == dict.fromkeys(
            before, False
        )
        [letter] = own_stage.dead_letters()
        assert letter["size_bytes"] == HUGE_BYTES
        assert own_stage.redis.exists(set_aside_key(letter["letter_id"]))


def reset_peak_bytes(pid: int) -> int:
    """Start counting the peak anew (proc(5), ``clear_refs``) and return where it stands."""
    Path(f"/proc/{pid}/clear_refs").write_text("5")
    return peak_bytes(pid)


def peak_bytes(pid: int) -> int:
    """The most memory a process has had resident (proc(5), ``VmHWM``)."""
    [line] = [line for line in Path(f"/proc/{pid}/status").read_text().splitlines() if line.startswith("VmHWM:")]
    return int(line.split()[1]) * 1024
