"""What integration tests share over a whole file: the platform on empty tables, and the loaded pose model."""

from collections.abc import Iterator

import pytest
import redis

from sandbox.platform.producer import Producer
from sandbox.servers.postgres import LocalPostgres
from sandbox.servers.redis import LocalRedis
from sandbox.servers.supabase import LocalSupabase
from size_rec.processes.pool import BodyEstimator
from tests.support.size_service import loaded_estimator
from tests.support.worker_sql import Superuser, WorkerSql


@pytest.fixture(scope="module", autouse=True)
def _empty_redis(request: pytest.FixtureRequest) -> None:
    """Whatever the file before left in Redis is gone: which one that was depends on the number of processes."""
    items = [item for item in request.session.items if item.path == request.path]
    if any("redis_server" in item.fixturenames for item in items if isinstance(item, pytest.Function)):
        server: LocalRedis = request.getfixturevalue("redis_server")
        server.start()
        with redis.Redis.from_url(server.url) as client:
            client.flushall()


@pytest.fixture(scope="module")
def platform(redis_server: LocalRedis, postgres: LocalPostgres, supabase: LocalSupabase) -> Iterator[Producer]:
    """The platform's side, on tables that are empty when the file begins."""
    for server in (redis_server, postgres, supabase):
        server.start()
    with Producer(postgres.dsn, redis_server.url) as producer:
        producer.wipe()
        yield producer


@pytest.fixture(scope="module")
def sql(platform: Producer, postgres: LocalPostgres) -> Iterator[WorkerSql]:
    """The worker's functions, called as the worker's key may."""
    with WorkerSql(postgres.dsn) as connection:
        yield connection


@pytest.fixture(scope="module")
def root(platform: Producer, postgres: LocalPostgres) -> Iterator[Superuser]:
    """Everything else a test needs to see or to move."""
    with Superuser(postgres.dsn) as connection:
        yield connection


@pytest.fixture(scope="module")
def estimator() -> Iterator[BodyEstimator]:
    """Measures photographs, with its models loaded."""
    with loaded_estimator() as estimator:
        yield estimator
