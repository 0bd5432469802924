"""Fixtures for tests of the real worker; a test module names this file in its ``pytest_plugins``."""

from collections.abc import Iterator
from datetime import UTC, datetime

import psycopg
import pytest
import redis

from sandbox.pictures.image_host import ImageHost
from sandbox.platform.database_clock import DatabaseClock
from sandbox.platform.producer import Producer
from sandbox.servers.postgres import LocalPostgres
from sandbox.servers.redis import LocalRedis
from sandbox.servers.simulator import LocalSimulator
from sandbox.servers.supabase import LocalSupabase
from sandbox.world import World
from tests.support.worker import Stage


@pytest.fixture(scope="session")
def simulator(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalSimulator]:
    """The provider, answering at once unless a prompt asks for something else."""
    with LocalSimulator(tmp_path_factory.mktemp("simulator"), fixed_result=True) as server:
        yield server


@pytest.fixture(scope="session")
def world(
    redis_server: LocalRedis, postgres: LocalPostgres, supabase: LocalSupabase, simulator: LocalSimulator
) -> World:
    """Everything around the worker."""
    return World(redis_server, postgres, supabase, simulator)


@pytest.fixture(scope="module")
def stage(world: World, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stage]:
    """An empty platform for the module."""
    for server in world.servers:
        server.start()
    with Producer(world.postgres.dsn, world.redis.url) as platform:
        platform.wipe()
    with psycopg.connect(world.postgres.dsn, autocommit=True) as connection:
        DatabaseClock(connection).keep_from_the_job(datetime.now(UTC))
    with redis.Redis.from_url(world.redis.url) as client:
        client.flushall()
    with world.simulator.control() as control:
        control.reset()
    with ImageHost() as pictures:
        stage = Stage(world, pictures, tmp_path_factory.mktemp("workers"))
        try:
            yield stage
        finally:
            stage.close()
