"""Redis fails over: the old primary lives on, read-only, and keeps every connection. All our clients leave it."""

import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from uuid import UUID, uuid4

import pytest
import redis

from config.settings import Settings
from sandbox.servers.redis import LocalRedis
from sandbox.world import SIMULATED_API_KEY
from services.queue.connection import connect, prove_writable
from services.queue.refusals import NotThePrimary, code_of, words_of
from services.queue.task_queue import QUEUE_KEY, TaskQueue
from services.turns.breaker import ProviderBreaker
from services.turns.window import RateGate
from tests.support.failover import FailingOverRedis, command
from tests.support.refusing_redis import RefusingRedis
from tests.support.worker import wait_until
from worker.celery_app import create_celery_app, queue_name
from worker.intake.publishing import BrokerAway, Publisher

ELEMENT = b"a task"
SECONDS = 10.0
"""For what takes a moment."""


@pytest.fixture
def failing_over(tmp_path: Path) -> Iterator[FailingOverRedis]:
    with FailingOverRedis(tmp_path) as servers:
        yield servers


@pytest.fixture
def executor() -> UUID:
    return uuid4()


def never() -> bool:
    return False


def use_of_everything(url: str, executor: UUID) -> dict[str, Callable[[], object]]:
    """One write by each of the parts that keep a connection, over connections that are open."""
    queue, gate, breaker = (connect(url) for _ in range(3))
    task_queue = TaskQueue(queue)
    rate_gate = RateGate(gate, turns_per_window=1_000, spacing_seconds=0)
    provider_breaker = ProviderBreaker(breaker, pause_seconds=60, poll_seconds=0.05)
    uses: dict[str, Callable[[], object]] = {
        "recovery registers": lambda: task_queue.register(executor),
        "recovery hands back": lambda: task_queue.hand_back(executor),
        "a copy is dropped": lambda: task_queue.finish(executor, ELEMENT),
        "an element is buried": lambda: task_queue.bury(executor, ELEMENT, b"letter"),
        "the rate gate gives a turn": lambda: rate_gate._try_once(1),
        "health looks": lambda: prove_writable(queue),
        "the breaker opens": lambda: provider_breaker.open("quota_exhausted"),
    }
    for use in uses.values():
        use()
    return uses


def test_every_part_goes_on_with_the_new_primary_without_an_error_once_the_name_leads_to_it(
    failing_over: FailingOverRedis, executor: UUID
) -> None:
    uses = use_of_everything(failing_over.url, executor)
    failing_over.promote_the_replica()
    failing_over.move_the_name()
    for use in uses.values():
        use()
    with redis.Redis.from_url(failing_over.primary.url) as primary:
        assert primary.exists("wearon:provider:pause", "wearon:tasks:executors", "wearon:health") == 3


def test_until_the_name_leads_to_the_new_primary_every_part_is_told_so_and_closes_its_connections(
    failing_over: FailingOverRedis, executor: UUID
) -> None:
    uses = use_of_everything(failing_over.url, executor)
    failing_over.promote_the_replica()
    for name in uses.keys() - {"the breaker opens"}:  # it keeps the verdict until Redis takes it
        with pytest.raises(NotThePrimary, match="READONLY"):
            uses[name]()


def test_a_pop_that_blocks_while_the_primary_becomes_a_replica_takes_its_task_from_the_new_one(
    failing_over: FailingOverRedis, executor: UUID
) -> None:
    queue = TaskQueue(connect(failing_over.url, timeout_seconds=2 * SECONDS))
    taken: list[bytes | None] = []
    popping = threading.Thread(target=lambda: taken.append(queue.take(executor, timeout_seconds=SECONDS)))
    popping.start()
    while b"cmd=blmove" not in clients_of(failing_over.primary):
        pass
    old = failing_over.primary
    failing_over.move_the_name()  # first, so that the pop that is thrown out finds the new primary
    command(failing_over.primary, "REPLICAOF", "NO", "ONE")
    command(old, "REPLICAOF", failing_over.primary.host, str(failing_over.primary.port))
    command(failing_over.primary, "LPUSH", QUEUE_KEY, ELEMENT.decode())
    popping.join(2 * SECONDS)
    assert taken == [ELEMENT]


def clients_of(server: LocalRedis) -> bytes:
    """What it says of its clients."""
    with redis.Redis.from_url(server.url) as client:
        client.set_response_callback("CLIENT LIST", bytes)
        return bytes(client.execute_command("CLIENT LIST"))


def test_the_first_refusal_closes_the_idle_connections_to_the_same_server_too(failing_over: FailingOverRedis) -> None:
    client = connect(failing_over.url)
    pool = client.connection_pool
    held = [pool.get_connection() for _ in range(5)]
    for each in held:
        pool.release(each)
    failing_over.promote_the_replica()
    failing_over.move_the_name()
    prove_writable(client)
    wait_until(lambda: b"name=wearon-worker" not in clients_of(failing_over.other), "all have left it")


@pytest.mark.parametrize(
    ("answer", "connections"),
    [
        ("READONLY You can't write against a read only replica.", 2),
        ("MASTERDOWN Link with MASTER is down and replica-serve-stale-data is set to 'no'.", 2),
        ("UNBLOCKED force unblock from blocking operation, instance state changed (master -> replica?)", 2),
        ("LOADING Redis is loading the dataset in memory", 2),
        ("NOREPLICAS Not enough good replicas to write.", 2),
        ("MOVED 12182 10.0.0.7:7002", 2),
        ("ASK 12182 10.0.0.7:7002", 2),
        ("CLUSTERDOWN Hash slot not served", 2),
        ("TRYAGAIN Multiple keys request during rehashing of slot", 2),
        ("ERR Error running script (call to f_3c): @user_script:1: @user_script: 1: -READONLY You can't write.", 2),
        ("OOM command not allowed when used memory > 'maxmemory'.", 1),
        ("WRONGTYPE Operation against a key holding the wrong kind of value", 1),
    ],
)
def test_a_server_that_says_it_is_not_the_one_is_left_and_asked_once_more_and_no_other_is(
    answer: str, connections: int
) -> None:
    with RefusingRedis(answer) as server:
        client = connect(server.url)
        with pytest.raises(redis.RedisError) as refused:
            client.blmove("queue", "in flight", 1, "RIGHT", "LEFT")
        assert isinstance(refused.value, NotThePrimary) is (connections == 2)
        assert server.connections == connections
        client.close()


@pytest.mark.parametrize("told_before", [True, False], ids=["the name follows later", "the name follows at once"])
def test_celerys_broker_gets_the_next_dispatch_on_the_new_primary(
    failing_over: FailingOverRedis, executor: UUID, told_before: bool
) -> None:
    settings = Settings.model_validate(
        {
            "redis_url": failing_over.url,
            "supabase_url": "http://supabase",
            "supabase_service_role_key": "sb_secret_none",
            "openai_api_key": SIMULATED_API_KEY,
        }
    )
    publisher = Publisher(create_celery_app(settings, executor))
    publisher.publish(str(uuid4()), ELEMENT)
    failing_over.promote_the_replica()
    if told_before:
        with pytest.raises(BrokerAway, match="READONLY"):
            publisher.publish(str(uuid4()), ELEMENT)
    failing_over.move_the_name()
    publisher.publish(str(uuid4()), ELEMENT)
    publisher.close()
    with redis.Redis.from_url(failing_over.primary.url) as primary:
        assert primary.llen(queue_name(executor)) == 2


@pytest.mark.parametrize(
    ("error", "code", "words"),
    [
        (redis.ReadOnlyError("You can't write."), "READONLY", "READONLY You can't write."),
        (
            redis.ResponseError("Error running script (call to f_3c): @user_script:1: -OOM used memory"),
            "OOM",
            "OOM used memory",
        ),
        (redis.ResponseError("UNBLOCKED force unblock"), "UNBLOCKED", "UNBLOCKED force unblock"),
        (redis.ResponseError("NOREPLICAS Not enough."), "NOREPLICAS", "NOREPLICAS Not enough."),
        (
            redis.exceptions.MovedError("12182 10.0.0.7:7002"),  # type: ignore[no-untyped-call] # redis-py has no types here
            "MOVED",
            "MOVED 12182 10.0.0.7:7002",
        ),
        (redis.exceptions.BusyLoadingError("Redis is loading"), "LOADING", "LOADING Redis is loading"),
        (redis.ResponseError("max requests limit exceeded. Limit: 5"), "", "max requests limit exceeded. Limit: 5"),
        (redis.ConnectionError("Error 111 connecting to\nredis:6379."), "", "Error 111 connecting to redis:6379."),
        (redis.TimeoutError(), "", "TimeoutError"),
    ],
)
def test_the_code_and_the_words_of_an_answer_are_told_whatever_the_version_wraps_around_them(
    error: redis.RedisError, code: str, words: str
) -> None:
    assert (code_of(error), words_of(error)) == (code, words)
