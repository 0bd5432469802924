"""The provider's rate limits over all processes and hosts together (NFR-1.4): requests, and input pictures if asked.

A turn is one entry in a moving window kept in Redis by the ``limits`` library: it is taken by one atomic script that
counts the entries, so the count is exact however many processes ask. What is added here: one clock for all hosts
(Redis's own), patience (a task that waits for its turn never fails for it) and few commands (hosted Redis bills them):
two for a turn that is free (four with a limit on pictures), and one waiter per process who sleeps until the window
opens.
"""

import math
import time
from collections import deque
from collections.abc import Callable
from typing import Final

import redis
import structlog
from limits.storage import RedisStorage

from services.queue.refusals import words_of
from services.shutdown import sleep_unless
from services.turns.fair_lock import FairLock

log = structlog.get_logger()

WINDOW_SECONDS: Final = 61
"""The provider counts 60 s. One more for what happens between taking a turn here and the request's arrival there:
two requests whose turns are 61 s apart arrive at least 60 s apart as long as neither is delayed a second more than
the other (``TURN_FRESH_SECONDS`` of the client sees to that)."""

PACE_SECONDS: Final = 1
PACE_SHARE: Final = 30
"""At most one thirtieth of a minute's turns starts within a second: twice the average rate. A whole window's worth
fired in one instant would pile up in connecting and sending, and the delays would outgrow the window's margin."""

MIN_SLEEP_SECONDS: Final = 0.02
MAX_SLEEP_SECONDS: Final = 5.0
"""Bounds of one sleep between two looks at the window: no busy polling, and no long sleep on a stale forecast."""

FIRST_OUTAGE_SLEEP_SECONDS: Final = 0.1
MAX_OUTAGE_SLEEP_SECONDS: Final = 5.0
"""Redis away: look again after this, doubling."""

KEY_PREFIX: Final = "wearon:provider"
_WINDOW_KEY: Final = "rate:window"
_PACE_KEY: Final = "rate:pace"
_IMAGES_KEY: Final = "rate:input-images"


_NO_TIME: Final = 0
_STAMPED_BY_SERVER: Final = b"""
local now = redis.call('TIME')
local ARGV = {now[1] + now[2] / 1000000, ARGV[2], ARGV[3], ARGV[4]}
"""
"""Put before the library's script, whose first argument is the time. (Redis documentation, "Scripting with Lua": a
script may write after reading the time, since Redis 5.)"""


class ServerClockStorage(RedisStorage):
    """``limits``' storage with stamps from Redis's clock instead of this host's.

    With each host's own clock two hosts five seconds apart would count different windows, and a clock that was stepped
    or stood still (a host that was suspended) would open the gate. The keys do not contain the limit, unlike the keys
    ``limits``' strategies make: during a deployment that changes it, old and new processes still share one window (each
    keeps its own limit over it).
    """

    SCRIPT_ACQUIRE_MOVING_WINDOW = _STAMPED_BY_SERVER + RedisStorage.SCRIPT_ACQUIRE_MOVING_WINDOW

    def __init__(self, client: redis.Redis) -> None:
        super().__init__("redis://", connection_pool=client.connection_pool, key_prefix=KEY_PREFIX)

    def acquire_entry(self, key: str, limit: int, expiry: int, amount: int = 1) -> bool:
        """Takes ``amount`` of ``limit`` entries in the last ``expiry`` seconds, or none of them."""
        return bool(self.lua_acquire_moving_window([self.prefixed_key(key)], [_NO_TIME, limit, expiry, amount]))

    def seconds_until_free(self, key: str, limit: int, expiry: int, amount: int = 1) -> float:
        """Seconds until ``amount`` entries may be taken, zero or less if now; 0 for more than ``limit``, which never
        may."""
        # The newest stands first: while this one counts, ``amount`` more would be too many.
        entry = self.storage.lindex(self.prefixed_key(key), limit - amount) if amount <= limit else None
        if entry is None:
            return 0.0
        seconds, microseconds = self.storage.time()
        return float(entry) + expiry - float(seconds + microseconds / 1e6)


class _Limit:
    """At most ``entries`` in any ``seconds``, counted in Redis by all processes and here by this one, so that even a
    Redis that lost its memory cannot make it exceed the limit."""

    def __init__(self, storage: ServerClockStorage, key: str, entries: int, seconds: int) -> None:
        self._storage = storage
        self._key = key
        self.entries = entries
        self.seconds = seconds
        self._taken_at: deque[float] = deque(maxlen=entries)

    def own_wait_seconds(self, amount: int) -> float:
        """Seconds until this process alone may take ``amount`` more; zero or less if now."""
        older = self.entries - amount
        if len(self._taken_at) <= older:
            return 0.0
        return self._taken_at[-1 - older] + self.seconds - time.monotonic()

    def take(self, amount: int) -> bool:
        """Takes ``amount`` entries in Redis, or none; ``note`` what was used."""
        return self._storage.acquire_entry(self._key, self.entries, self.seconds, amount)

    def wait_seconds(self, amount: int) -> float:
        """Seconds until it makes sense to take; zero or less if now."""
        return self._storage.seconds_until_free(self._key, self.entries, self.seconds, amount)

    def note(self, amount: int) -> None:
        """Remembers what this process used."""
        self._taken_at.extend([time.monotonic()] * amount)


class RateGate:
    """Hands out turns: never more than ``turns_per_window`` in any ``window_seconds``, whoever asks.

    One object per process, shared by all its threads.

    Args:
        client: Redis, shared by every process that calls the provider. It need not be up yet.
        turns_per_window: ``OPENAI_REQUESTS_PER_MINUTE``.
        images_per_window: ``OPENAI_INPUT_IMAGES_PER_MINUTE``; ``None`` for no limit.
        window_seconds: whole seconds; other values in tests only.
        turns_per_pace: turns per ``PACE_SECONDS``; other values in tests only.
    """

    def __init__(
        self,
        client: redis.Redis,
        *,
        turns_per_window: int,
        images_per_window: int | None = None,
        window_seconds: int = WINDOW_SECONDS,
        turns_per_pace: int | None = None,
    ) -> None:
        storage = ServerClockStorage(client)
        pace = turns_per_pace or math.ceil(turns_per_window / PACE_SHARE)
        self._window = _Limit(storage, _WINDOW_KEY, turns_per_window, window_seconds)
        self._pace = _Limit(storage, _PACE_KEY, pace, PACE_SECONDS)
        self._images = (
            None if images_per_window is None else _Limit(storage, _IMAGES_KEY, images_per_window, window_seconds)
        )
        self._queue = FairLock()

    def acquire(self, cancelled: Callable[[], bool], *, input_images: int = 1) -> float:
        """Blocks the calling thread until it is its turn; first come, first served within the process.

        Args:
            cancelled: ends the waiting once true.
            input_images: how many pictures the request will carry.

        Returns:
            Seconds waited.

        Raises:
            ShuttingDown: ``cancelled()`` became true while waiting.
            ValueError: one request has more pictures than the limit; it would wait for ever.
        """
        if self._images is not None and input_images > self._images.entries:
            raise ValueError(f"{input_images} pictures in one request, but {self._images.entries} a minute")
        started = time.monotonic()
        with self._queue.held(cancelled):
            outage_sleep = FIRST_OUTAGE_SLEEP_SECONDS
            while True:
                try:
                    wait_seconds = self._try_once(input_images)
                except redis.RedisError as error:
                    log.warning(
                        "rate_gate_without_redis",
                        reason=type(error).__name__,
                        detail=words_of(error),
                        retry_seconds=outage_sleep,
                    )
                    sleep_unless(cancelled, outage_sleep)
                    outage_sleep = min(2 * outage_sleep, MAX_OUTAGE_SLEEP_SECONDS)
                    continue
                if wait_seconds is None:
                    return time.monotonic() - started
                outage_sleep = FIRST_OUTAGE_SLEEP_SECONDS
                sleep_unless(cancelled, min(max(wait_seconds, MIN_SLEEP_SECONDS), MAX_SLEEP_SECONDS))

    def _try_once(self, input_images: int) -> float | None:
        """Takes a turn and returns None, or returns the seconds until it makes sense to try again.

        The pace comes first: an entry there that is not used costs at most a moment, one in a window a minute. So the
        pictures are only taken last and looked at before anything is: whoever must wait for them takes no requests'
        turns away from the others.
        """
        wanted = [(self._pace, 1), (self._window, 1)]
        if self._images is not None:
            wanted.append((self._images, input_images))
        own_wait = max(limit.own_wait_seconds(amount) for limit, amount in wanted)
        if own_wait > 0:
            return own_wait
        if self._images is not None and (wait := self._images.wait_seconds(input_images)) > 0:
            return wait
        for limit, amount in wanted:
            if not limit.take(amount):
                return limit.wait_seconds(amount)
        for limit, amount in wanted:
            limit.note(amount)
        return None
