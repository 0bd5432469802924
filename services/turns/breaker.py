"""A shared pause after an answer that says the whole account is blocked (quota, credentials, no model).

A circuit breaker (M. Nygard, "Release It!") kept in Redis, so that one refused call pauses every worker:

closed ──open()──► paused for ``PAUSE_SECONDS`` ──► half-open: one caller anywhere probes ──succeeded()──► closed
                     ▲                                                                  └──open()──► paused again

While it is not closed, callers wait; they do not fail. In the closed state it costs one command a second per process.
"""

import threading
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from enum import Enum
from pathlib import Path
from typing import Final, cast
from uuid import uuid4

import redis
import structlog

from services.lua_programs import lua_program
from services.queue.refusals import words_of
from services.shutdown import sleep_unless
from services.turns.fair_lock import FairLock
from services.turns.provider_keys import FIRST_PROVIDER, provider_key

log = structlog.get_logger()

PAUSE_SECONDS: Final = 60.0
"""Between two probes; each costs one task its generation, and what a person must repair takes minutes."""

PROBE_SECONDS: Final = 270.0
"""After this a probe without a verdict is given up. Longer than a full window at the gate (60 s) and the longest
attempt (180 s) together."""

PROBE_LEASE_SECONDS: Final = 15.0
RENEWALS_PER_LEASE: Final = 3
"""The right to probe is a lease that its process renews while it waits for the verdict: a process that is killed with
the probe holds everybody up no longer than this."""

CLOSED_CACHE_SECONDS: Final = 1.0
"""How long "closed" is believed without asking Redis again."""

POLL_SECONDS: Final = 2.0
"""Between two looks while it is not closed; one thread per process looks."""

FOLDER: Final = Path(__file__).with_name("lua")
RENEW_PROBE: Final = lua_program(FOLDER, "renew_probe")
RELEASE_PROBE: Final = lua_program(FOLDER, "release_probe")

_Change = Callable[["redis.client.Pipeline"], object]


@dataclass(frozen=True, slots=True)
class Probe:
    """The right to make the one call that shows whether a pause is over.

    It may be lost: a process that stands still for longer than the lease finds that somebody else has it.
    """

    holder: str = field(default_factory=lambda: uuid4().hex)
    over: threading.Event = field(default_factory=threading.Event)


class _State(Enum):
    CLOSED = "closed"
    PAUSED = "paused"
    HALF_OPEN = "half_open"


class ProviderBreaker:
    """One object per process, shared by all its threads. Redis need not be up: callers wait for it.

    Args:
        client: Redis, shared by every process that calls the provider.
        provider: whose calls are paused.
        pause_seconds, poll_seconds, closed_cache_seconds: other values in tests only.
        probe_seconds, probe_lease_seconds, renewals_per_lease: other values in tests only.
    """

    def __init__(
        self,
        client: redis.Redis,
        provider: str = FIRST_PROVIDER,
        *,
        pause_seconds: float = PAUSE_SECONDS,
        poll_seconds: float = POLL_SECONDS,
        closed_cache_seconds: float = CLOSED_CACHE_SECONDS,
        probe_seconds: float = PROBE_SECONDS,
        probe_lease_seconds: float = PROBE_LEASE_SECONDS,
        renewals_per_lease: int = RENEWALS_PER_LEASE,
    ) -> None:
        self._client = client
        self._blocked_key = provider_key(provider, "blocked")
        self._pause_key = provider_key(provider, "pause")
        self._probe_key = provider_key(provider, "probe")
        self._pause_milliseconds = int(pause_seconds * 1000)
        self._poll_seconds = poll_seconds
        self._closed_cache_seconds = closed_cache_seconds
        self._probe_seconds = probe_seconds
        self._probe_lease_milliseconds = int(probe_lease_seconds * 1000)
        self._renewal_pause_seconds = probe_lease_seconds / renewals_per_lease
        self._closed_until = 0.0
        self._unwritten: deque[_Change] = deque()
        self._write_order = threading.Lock()
        self._queue = FairLock()

    def wait_until_closed(self, cancelled: Callable[[], bool]) -> Probe | None:
        """Blocks the calling thread until it may call the provider.

        Returns:
            A probe if this call is one: its verdict must be told with ``succeeded``, ``open`` or ``release_probe``.

        Raises:
            ShuttingDown: ``cancelled()`` became true while waiting.
        """
        if self._believed_closed():
            return None
        with self._queue.held(cancelled):
            while True:
                try:
                    state = self._look()
                    if state is _State.CLOSED:
                        return None
                    if state is _State.HALF_OPEN and (probe := self._take_probe()) is not None:
                        return probe
                except redis.RedisError as error:
                    _log_without_redis(error)
                sleep_unless(cancelled, self._poll_seconds)

    def is_closed(self) -> bool:
        """Whether calls may go on; False too while Redis cannot be asked."""
        if self._believed_closed():
            return True
        try:
            return self._look() is _State.CLOSED
        except redis.RedisError:
            return False

    def open(self, reason: str, probe: Probe | None = None) -> None:
        """Pauses all callers on all hosts.

        Args:
            reason: the failure's kind, for whoever looks into Redis.
            probe: the one that was refused, if the call was one.
        """
        log.error("provider_calls_paused", reason=reason, pause_seconds=self._pause_milliseconds / 1000)
        if probe is not None:
            probe.over.set()

        def change(pipe: redis.client.Pipeline) -> None:
            pipe.set(self._blocked_key, reason)
            pipe.set(self._pause_key, reason, px=self._pause_milliseconds)
            pipe.delete(self._probe_key)

        self._write(change)

    def succeeded(self, probe: Probe) -> None:
        """The probe went through: calls go on."""
        log.info("provider_calls_resumed")
        probe.over.set()
        self._write(lambda pipe: pipe.delete(self._blocked_key, self._pause_key, self._probe_key))

    def release_probe(self, probe: Probe) -> None:
        """The probe brought no verdict (no answer, or the task ended before asking): somebody else may probe."""
        probe.over.set()
        self._write(lambda pipe: pipe.eval(RELEASE_PROBE, 1, self._probe_key, probe.holder))

    def _believed_closed(self) -> bool:
        return time.monotonic() < self._closed_until

    def _look(self) -> _State:
        self._flush()
        if self._believed_closed():  # whoever had the lock before us has just asked
            return _State.CLOSED
        blocked, pause, probe = cast(
            "list[bytes | None]", self._client.mget(self._blocked_key, self._pause_key, self._probe_key)
        )
        if blocked is None and pause is None:
            self._closed_until = time.monotonic() + self._closed_cache_seconds
            return _State.CLOSED
        return _State.HALF_OPEN if pause is None and probe is None else _State.PAUSED

    def _take_probe(self) -> Probe | None:
        probe = Probe()
        if not self._client.set(self._probe_key, probe.holder, nx=True, px=self._probe_lease_milliseconds):
            return None
        threading.Thread(target=self._keep_probe, args=(probe,), name="provider-probe", daemon=True).start()
        return probe

    def _keep_probe(self, probe: Probe) -> None:
        """Renews the lease until the verdict; ends when the probe is somebody else's or has taken far too long."""
        give_up_at = time.monotonic() + self._probe_seconds
        lease_milliseconds = str(self._probe_lease_milliseconds)
        while not probe.over.wait(self._renewal_pause_seconds) and time.monotonic() < give_up_at:
            try:
                if not self._client.eval(RENEW_PROBE, 1, self._probe_key, probe.holder, lease_milliseconds):
                    return
            except redis.RedisError as error:
                _log_without_redis(error)

    def _write(self, change: _Change) -> None:
        """Applies a change now or, while Redis is away, before the next look: a verdict is not lost."""
        self._closed_until = 0.0
        self._unwritten.append(change)
        try:
            self._flush()
        except redis.RedisError as error:
            _log_without_redis(error)

    def _flush(self) -> None:
        with self._write_order:
            while self._unwritten:
                with self._client.pipeline(transaction=True) as pipe:
                    self._unwritten[0](pipe)
                    pipe.execute()
                self._unwritten.popleft()


def _log_without_redis(error: redis.RedisError) -> None:
    log.warning("provider_breaker_without_redis", reason=type(error).__name__, detail=words_of(error))
