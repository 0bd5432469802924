"""What the tests of the worker's SQL share: one wipe for a whole file, where every test has sessions of its own."""

from collections.abc import Iterator

import pytest

from sandbox.postgres_local import LocalPostgres
from sandbox.producer import Producer
from sandbox.redis_local import LocalRedis
from sandbox.supabase_local import LocalSupabase
from tests.support.worker_sql import Superuser, WorkerSql


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
