"""The whole world on loopback: Redis, Postgres, the Supabase API, the OpenAI simulator, and workers over them."""

from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

from sandbox.platform.producer import Producer
from sandbox.servers.local_server import LocalServer
from sandbox.servers.postgres import LocalPostgres
from sandbox.servers.redis import LocalRedis
from sandbox.servers.simulator import LocalSimulator
from sandbox.servers.supabase import LocalSupabase
from sandbox.servers.worker import LocalWorker

SIMULATED_API_KEY = "sk-simulated-0000000000000000"
"""The simulator wants a key of the real form, and takes any."""


@dataclass(frozen=True, slots=True)
class World:
    """The parts around the worker, in the order they start."""

    redis: LocalRedis
    postgres: LocalPostgres
    supabase: LocalSupabase
    simulator: LocalSimulator

    @classmethod
    def in_directory(
        cls, directory: Path, *, latency: str = "0", fsync: bool = True, fixed_result: bool = False
    ) -> "World":
        """A world whose data is in ``directory`` and survives a restart; nothing is started yet."""
        postgres = LocalPostgres(directory / "postgres", fsync=fsync)
        return cls(
            redis=LocalRedis(directory / "redis"),
            postgres=postgres,
            supabase=LocalSupabase(directory / "supabase", postgres),
            simulator=LocalSimulator(directory / "simulator", latency=latency, fixed_result=fixed_result),
        )

    @property
    def servers(self) -> tuple[LocalServer, ...]:
        """All parts, in the order they start."""
        return (self.redis, self.postgres, self.supabase, self.simulator)

    def settings(self, **changed: str) -> dict[str, str]:
        """The worker's settings for this world, by environment name; ``changed`` ones last."""
        return {
            "REDIS_URL": self.redis.url,
            "SUPABASE_URL": self.supabase.url,
            "SUPABASE_SERVICE_ROLE_KEY": self.supabase.service_role_key,
            "OPENAI_API_KEY": SIMULATED_API_KEY,
            "OPENAI_BASE_URL": self.simulator.base_url,
            # Pictures come from the sandbox's own Storage, which is on loopback.
            "IMAGE_URL_TRUSTED_HOSTS": f"{self.supabase.host}:{self.supabase.port}",
            **changed,
        }

    def worker(self, directory: Path, settings: Mapping[str, str] | None = None, port: int = 0) -> LocalWorker:
        """A worker of this world; not started yet."""
        return LocalWorker(directory, self.settings() if settings is None else settings, port)

    def producer(self) -> Producer:
        """The platform's side; close it after use."""
        return Producer(self.postgres.dsn, self.redis.url)

    @contextmanager
    def running(self) -> Iterator["World"]:
        """Start every part, and stop them in reverse order at the end."""
        with ExitStack() as stack:
            for server in self.servers:
                stack.enter_context(server)
            yield self
