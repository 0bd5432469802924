"""What the workers share about the provider, for an operator: only read, never taken or changed.

Written by ``services/turns/window.py`` and ``services/turns/breaker.py``.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import redis

from services.lua_programs import lua_program
from services.turns.provider_keys import FIRST_PROVIDER, provider_key

BLOCKED_KEY: Final = provider_key(FIRST_PROVIDER, "blocked")
PAUSE_KEY: Final = provider_key(FIRST_PROVIDER, "pause")
PROBE_KEY: Final = provider_key(FIRST_PROVIDER, "probe")

MINUTE_SECONDS: Final = 60
"""What the provider counts over (NFR-1.4)."""

PROVIDER_LOOK: Final = lua_program(Path(__file__).with_name("lua"), "provider_look")


@dataclass(frozen=True, slots=True)
class Pause:
    """Calls to the provider are stopped on all hosts.

    Attributes:
        reason: kind of the failure that stopped them.
        seconds_left: until one call probes; 0 when that time has come.
        is_probing: a call that probes is under way.
    """

    reason: str
    seconds_left: float
    is_probing: bool


def pause_of(client: redis.Redis) -> Pause | None:
    """The pause; ``None`` while calls may go on.

    Raises:
        RedisError: it cannot be asked.
    """
    with client.pipeline(transaction=False) as pipe:
        pipe.get(BLOCKED_KEY)
        pipe.get(PAUSE_KEY)
        pipe.pttl(PAUSE_KEY)
        pipe.exists(PROBE_KEY)
        blocked, paused, milliseconds_left, probes = pipe.execute()
    reason: bytes | None = blocked or paused
    if reason is None:
        return None
    return Pause(reason.decode(), max(milliseconds_left, 0) / 1000, bool(probes))


@dataclass(frozen=True, slots=True)
class ProviderLook:
    """What all processes together took and met.

    Attributes:
        turns_taken: in the last minute, by Redis's clock; those that are about to come among them.
        blocked_by: kind of the failure for which calls are paused; ``None`` while they may go on.
    """

    turns_taken: int
    blocked_by: str | None


class ProviderReport:
    """Looks at what the workers share about the provider.

    Args:
        client: Redis, shared by every process that calls the provider.
        provider: which one.
    """

    def __init__(self, client: redis.Redis, provider: str = FIRST_PROVIDER) -> None:
        self._keys = [provider_key(provider, "rate:window"), provider_key(provider, "blocked")]
        # redis-py types one class for its sync and async clients, so every answer is also "perhaps awaitable".
        scripts: Any = client
        self._look = scripts.register_script(PROVIDER_LOOK)

    def look(self) -> ProviderLook:
        """How it is now. One command, a thousandth of a second of Redis for three hundred turns.

        Raises:
            RedisError: it cannot be asked.
        """
        taken, blocked_by = self._look(self._keys, [MINUTE_SECONDS])
        return ProviderLook(taken, None if blocked_by is None else blocked_by.decode())
