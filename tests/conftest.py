"""The embedded platform under the tests: a real Redis, Postgres and Supabase API for each process that runs tests.

They are started on first use and lie in temporary places, so that processes side by side share nothing (ADR 0043).
"""

import os
from collections.abc import Iterator, Sequence
from itertools import zip_longest
from pathlib import Path

import pytest
import redis
from hypothesis import HealthCheck, settings

from config.settings import Settings
from sandbox.pictures.image_host import ImageHost
from sandbox.platform.producer import Producer
from sandbox.servers.node_packages import ensure_node_packages
from sandbox.servers.postgres import LocalPostgres
from sandbox.servers.redis import LocalRedis
from sandbox.servers.supabase import LocalSupabase

FOREIGN_NAMES = (
    frozenset(name.upper() for name in Settings.model_fields)
    | {f"{scheme}_PROXY" for scheme in ("HTTP", "HTTPS", "ALL", "NO")}
    | {"FORCE_COLOR", "TTY_COMPATIBLE", "TTY_INTERACTIVE"}
)
FOREIGN_PREFIXES = ("CELERY_", "OPENAI_", "PG", "REDIS_", "SUPABASE_")
"""What client libraries read by themselves."""

ENVIRONMENT_OF_THE_DEVELOPER = dict(os.environ)
"""npm may need its proxy to install packages; nothing else sees it."""


def is_foreign(name: str) -> bool:
    """Whether an environment variable could change what the code under test does."""
    return name.upper() in FOREIGN_NAMES or name.upper().startswith(FOREIGN_PREFIXES)


# Before any test module is imported, so that a run means the same on every machine.
for _name in filter(is_foreign, ENVIRONMENT_OF_THE_DEVELOPER):
    del os.environ[_name]


# A failure on a machine far away must come again on this one. Whoever wants to look elsewhere each time says so:
# WEARON_RANDOM_EXAMPLES=1 make test
# How long an example takes on a machine that runs other tests beside it says nothing about the code.
TIMELESS = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow], print_blob=True)
settings.register_profile("same_every_time", TIMELESS, derandomize=True, database=None)
settings.register_profile("elsewhere_each_time", TIMELESS)
settings.load_profile("elsewhere_each_time" if os.environ.get("WEARON_RANDOM_EXAMPLES") else "same_every_time")


SERVICES = frozenset({"redis_server", "postgres", "supabase"})
"""Fixtures that start a server."""


FAULTS = Path(__file__).parent / "faults"
"""These tests wait most of their time."""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Marks what needs a server, for ``make test-fast`` leaves that out; and gives each file its turn."""
    for item in items:
        if not SERVICES.isdisjoint(getattr(item, "fixturenames", ())):
            item.add_marker("services")
    turns = _turns_of_files(items)
    items.sort(key=lambda item: turns[item.path])


def _turns_of_files(items: Sequence[pytest.Item]) -> dict[Path, int]:
    """What waits for long and what works a processor, by turns, then all others: side by side they fill the processors,
    and no long file is left over for the end, alone (ADR 0043)."""
    files = list(dict.fromkeys(item.path for item in items))
    heavy = {item.path for item in items if item.get_closest_marker("heavy")}
    waiting = [file for file in files if file.is_relative_to(FAULTS)]
    working = [file for file in files if file in heavy]
    long_ones = [file for pair in zip_longest(waiting, working) for file in pair if file]
    return {file: turn for turn, file in enumerate(dict.fromkeys([*long_ones, *files]))}


@pytest.fixture(scope="session")
def redis_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalRedis]:
    """A real Redis; a test that kills it must start it again."""
    with LocalRedis(tmp_path_factory.mktemp("redis"), append_fsync="no") as server:
        yield server


@pytest.fixture(scope="session")
def postgres(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalPostgres]:
    """A real Postgres; the platform's and the worker's SQL is in it once ``supabase`` was asked for."""
    server = LocalPostgres(tmp_path_factory.mktemp("postgres"), fsync=False)
    try:
        server.start()
        yield server
    finally:
        server.stop()
        server.wipe()  # as root its data lies outside pytest's directory


@pytest.fixture(scope="session")
def supabase(tmp_path_factory: pytest.TempPathFactory, postgres: LocalPostgres) -> Iterator[LocalSupabase]:
    """The Supabase API with baseline, the worker's migrations and the bucket."""
    ensure_node_packages(ENVIRONMENT_OF_THE_DEVELOPER)
    with LocalSupabase(tmp_path_factory.mktemp("supabase"), postgres) as server:
        yield server


@pytest.fixture
def clean_platform(redis_server: LocalRedis, postgres: LocalPostgres, supabase: LocalSupabase) -> None:
    """Everything runs, every table and Redis are empty."""
    for server in (redis_server, postgres, supabase):
        server.start()
    with Producer(postgres.dsn, redis_server.url) as platform:
        platform.wipe()
    with redis.Redis.from_url(redis_server.url) as client:
        client.flushall()


@pytest.fixture
def producer(clean_platform: None, redis_server: LocalRedis, postgres: LocalPostgres) -> Iterator[Producer]:
    """The platform's side, on empty tables and an empty queue."""
    with Producer(postgres.dsn, redis_server.url) as platform:
        yield platform


@pytest.fixture
def image_host() -> Iterator[ImageHost]:
    """A picture server on loopback, with faults on request."""
    with ImageHost() as host:
        yield host
