"""What the workers share about the provider, for an operator: only read, never taken or changed.

Written by ``services/turns/window.py`` and ``services/turns/breaker.py``.
"""

from dataclasses import dataclass
from typing import Any, Final

import redis

from services.turns.provider_keys import FIRST_PROVIDER, provider_key

BLOCKED_KEY: Final = provider_key(FIRST_PROVIDER, "blocked")
PAUSE_KEY: Final = provider_key(FIRST_PROVIDER, "pause")
PROBE_KEY: Final = provider_key(FIRST_PROVIDER, "probe")
WINDOW_KEY: Final = provider_key(FIRST_PROVIDER, "rate:window")

MINUTE_SECONDS: Final = 60
"""What the provider counts over (NFR-1.4)."""


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


def turns_taken(client: redis.Redis, *, most: int) -> int:
    """How many turns all processes together took in the last minute, by Redis's clock.

    Args:
        client: Redis, shared by every process that calls the provider.
        most: of them are counted; ``OPENAI_REQUESTS_PER_MINUTE``, more there cannot be.

    Raises:
        RedisError: it cannot be asked.
    """
    # redis-py types one class for its sync and async clients, so every answer is also "perhaps awaitable".
    asked: Any = client
    now_seconds, microseconds = asked.time()
    oldest = now_seconds + microseconds / 1e6 - MINUTE_SECONDS
    return sum(float(stamp) >= oldest for stamp in asked.lrange(WINDOW_KEY, 0, most - 1))
