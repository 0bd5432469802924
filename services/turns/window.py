"""The provider's rate limits over all processes and hosts together (NFR-1.4): requests, and input pictures if asked.

A turn is a moment, kept as a stamp in a moving window in Redis. One atomic script counts the stamps, so the count is
exact however many processes ask. A moment may be taken shortly before it comes: the request makes its connection
meanwhile and leaves when it has come. One that leaves later has its stamp moved. So the window needs a margin only for
what nobody here can see, the way from our socket to the provider's (docs/adr/0036).

One clock counts for all hosts, Redis's own. A task that waits for its turn never fails for it. A turn costs one command
(hosted Redis bills them), and one waiter per process sleeps until the window opens.
"""

import threading
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final

import redis
import structlog

from services.lua_programs import lua_program
from services.queue.refusals import words_of
from services.shutdown import sleep_unless
from services.turns.fair_lock import FairLock
from services.turns.own_window import OwnWindow
from services.turns.provider_keys import FIRST_PROVIDER, provider_key
from services.turns.server_clock import ServerClock

log = structlog.get_logger()

PROVIDER_WINDOW_SECONDS: Final = 60.0
"""What the provider counts over."""

MARGIN_SECONDS: Final = 0.1
"""Between two requests that are a whole limit apart lies this much more than the provider's window. It pays for
``PUNCTUAL_SECONDS`` and for the difference between two requests' ways from our socket to the provider. It costs 0.17 %
of the limit: 299.5 of 300 requests a minute."""

WINDOW_SECONDS: Final = PROVIDER_WINDOW_SECONDS + MARGIN_SECONDS

PUNCTUAL_SECONDS: Final = 0.02
"""A request that leaves at most this long after its moment keeps its stamp; moving it would cost a command."""

LEAD_SECONDS: Final = 0.3
"""How long before it comes a moment is taken: long enough for a name, a TCP and a TLS handshake."""

SPACING_SHARE: Final = 2
MAX_SPACING_SECONDS: Final = 1.0
"""Two moments are at least half of the limit's average distance apart, so that a free window never leaves in one burst,
which would pile up in connecting and sending. Never more than a second, for small limits."""

MIN_SLEEP_SECONDS: Final = 0.02
MAX_SLEEP_SECONDS: Final = 5.0
"""Bounds of one sleep between two looks at the window: no busy polling, and no long sleep on a stale forecast."""

FIRST_OUTAGE_SLEEP_SECONDS: Final = 0.1
MAX_OUTAGE_SLEEP_SECONDS: Final = 5.0
"""Redis away: look again after this, doubling."""

FOLDER: Final = Path(__file__).with_name("lua")
_TAKE: Final = lua_program(FOLDER, "window_take")
_MOVE: Final = lua_program(FOLDER, "window_move")


@dataclass(frozen=True, slots=True)
class Slot:
    """The right to send one request at a moment or later.

    ``stamp`` is that moment on Redis's clock, at most ``LEAD_SECONDS`` ahead when it is handed out. On
    ``time.monotonic``'s clock it is not before ``earliest_at``, and has come for certain at ``opens_at``.
    ``input_images`` is how many pictures the request may carry.
    """

    opens_at: float
    earliest_at: float
    stamp: str
    waited_seconds: float = 0.0
    input_images: int = 1


class _Limit:
    """At most ``most`` stamps in any window, counted in Redis by all processes and here by this one, so that even a
    Redis that lost its memory cannot make it exceed the limit."""

    def __init__(self, key: str, most: int, window_seconds: float) -> None:
        self.key = key
        self.most = most
        self.own = OwnWindow(most, window_seconds)


class RateGate:
    """Hands out moments: never more than ``turns_per_window`` in any ``window_seconds``, whoever asks.

    One object per process, shared by all its threads.

    Args:
        client: Redis, shared by every process that calls the provider. It need not be up yet.
        provider: whose limits they are.
        turns_per_window: ``OPENAI_REQUESTS_PER_MINUTE``.
        images_per_window: ``OPENAI_INPUT_IMAGES_PER_MINUTE``; ``None`` for no limit.
        window_seconds: other values in tests only.
        spacing_seconds: least time between two moments; other values in tests only.
        max_sleep_seconds: longest sleep between two looks at the window; other values in tests only.
    """

    def __init__(
        self,
        client: redis.Redis,
        provider: str = FIRST_PROVIDER,
        *,
        turns_per_window: int,
        images_per_window: int | None = None,
        window_seconds: float = WINDOW_SECONDS,
        spacing_seconds: float | None = None,
        max_sleep_seconds: float = MAX_SLEEP_SECONDS,
    ) -> None:
        self._window_seconds = window_seconds
        self.spacing_seconds = (
            spacing_of(turns_per_window, window_seconds) if spacing_seconds is None else spacing_seconds
        )
        self._max_sleep_seconds = max_sleep_seconds
        self._requests = _Limit(provider_key(provider, "rate:window"), turns_per_window, window_seconds)
        self._images = (
            None
            if images_per_window is None
            else _Limit(provider_key(provider, "rate:input-images"), images_per_window, window_seconds)
        )
        # redis-py types one class for its sync and async clients, so every answer is also "perhaps awaitable".
        scripts: Any = client
        self._take = scripts.register_script(_TAKE)
        self._move = scripts.register_script(_MOVE)
        self._clock = ServerClock()
        self._own_record = threading.Lock()
        self._unmoved: deque[tuple[Slot, float]] = deque()
        self._queue = FairLock()

    def acquire(self, cancelled: Callable[[], bool], *, input_images: int = 1) -> Slot:
        """Blocks the calling thread until its moment is near; first come, first served within the process.

        Args:
            cancelled: ends the waiting once true.
            input_images: how many pictures the request will carry.

        Returns:
            The moment; make the connection, send at it, then tell ``sent``.

        Raises:
            ShuttingDown: ``cancelled()`` became true while waiting.
            ValueError: one request has more pictures than the limit; it would wait for ever.
        """
        if self._images is not None and input_images > self._images.most:
            raise ValueError(f"{input_images} pictures in one request, but {self._images.most} a minute")
        started = time.monotonic()
        with self._queue.held(cancelled):
            outage_sleep = FIRST_OUTAGE_SLEEP_SECONDS
            while True:
                try:
                    answer = self._try_once(input_images)
                except redis.RedisError as error:
                    _log_without_redis(error, retry_seconds=outage_sleep)
                    sleep_unless(cancelled, outage_sleep)
                    outage_sleep = min(2 * outage_sleep, MAX_OUTAGE_SLEEP_SECONDS)
                    continue
                if isinstance(answer, Slot):
                    return replace(answer, waited_seconds=max(answer.opens_at, time.monotonic()) - started)
                outage_sleep = FIRST_OUTAGE_SLEEP_SECONDS
                sleep_unless(cancelled, min(max(answer, MIN_SLEEP_SECONDS), self._max_sleep_seconds))

    def sent(self, slot: Slot) -> None:
        """Tells that the first bytes of a slot's request have just left; a late one counts from now on.

        Never raises for Redis being away: then all other processes learn of it with this one's next turn.
        """
        now = time.monotonic()
        late_seconds = now - slot.earliest_at
        if late_seconds <= PUNCTUAL_SECONDS:
            return
        with self._own_record:
            for limit, count in self._wanted(slot.input_images):
                limit.own.move(slot.opens_at, count, to=now)
        self._unmoved.append((slot, late_seconds))
        try:
            self._move_late_ones()
        except redis.RedisError as error:
            _log_without_redis(error)

    def _wanted(self, input_images: int) -> list[tuple[_Limit, int]]:
        requests = [(self._requests, 1)]
        return requests if self._images is None else [*requests, (self._images, input_images)]

    def _try_once(self, input_images: int) -> Slot | float:
        """A moment, or the seconds until it makes sense to try again."""
        self._move_late_ones()
        wanted = self._wanted(input_images)
        with self._own_record:
            own_free_at = max(limit.own.free_at(count) for limit, count in wanted)
        asked_at = time.monotonic()
        if own_free_at > asked_at + LEAD_SECONDS:
            return own_free_at - LEAD_SECONDS - asked_at
        limits = [number for limit, count in wanted for number in (limit.most, count)]
        server_now, stamp, taken = self._take(
            [limit.key for limit, _ in wanted], [self._window_seconds, LEAD_SECONDS, self.spacing_seconds, *limits]
        )
        self._clock.observe(float(server_now), asked_at=asked_at, answered_at=time.monotonic())
        if not taken:
            return float(stamp) - float(server_now) - LEAD_SECONDS
        earliest_at, latest_at = self._clock.ours(float(stamp))
        opens_at = max(latest_at, own_free_at)
        with self._own_record:
            for limit, count in wanted:
                limit.own.note(opens_at, count)
        return Slot(opens_at, earliest_at, stamp.decode(), input_images=input_images)

    def _move_late_ones(self) -> None:
        while self._unmoved:
            try:
                slot, late_seconds = self._unmoved.popleft()
            except IndexError:  # another thread was faster
                return
            wanted = self._wanted(slot.input_images)
            try:
                self._move(
                    [limit.key for limit, _ in wanted],
                    [self._window_seconds, slot.stamp, f"{late_seconds:.6f}", *(count for _, count in wanted)],
                )
            except redis.RedisError:
                self._unmoved.append((slot, late_seconds))
                raise


def spacing_of(turns_per_window: int, window_seconds: float = WINDOW_SECONDS) -> float:
    """Least seconds between two moments at this limit."""
    return min(window_seconds / turns_per_window / SPACING_SHARE, MAX_SPACING_SECONDS)


def _log_without_redis(error: redis.RedisError, **facts: float) -> None:
    log.warning("rate_gate_without_redis", reason=type(error).__name__, detail=words_of(error), **facts)
