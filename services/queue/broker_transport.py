"""Celery's way to its broker, taught what kombu 5.6.2 does not know: servers that answer and do not serve.

kombu holds a READONLY, UNBLOCKED or OOM for a fault of the program: the Celery process ends with "Unrecoverable error".
As connection errors they are what Celery knows how to survive: it closes the connection and makes another, by name,
again and again until the broker serves.
"""

from typing import Any, Final

import kombu
import redis
from celery.app.amqp import AMQP
from kombu.transport import redis as kombu_redis
from redis.backoff import NoBackoff
from redis.retry import Retry

from services.queue.connection import prove_writable
from services.queue.refusals import PrimaryOnly, PrimaryPool, ServerRefuses, code_of, words_of

TRANSPORT: Final = "services.queue.broker_transport:Transport"
"""For Celery's setting ``broker_transport``."""

TAKES_NO_WRITES: Final = frozenset({"OOM", "MISCONF", "BUSY"})
"""Full with ``noeviction``; a disk it cannot write to; a script that runs too long. A person may have to act, and then
it goes on."""

REQUEST_LIMIT_WORDS: Final = ("max requests limit", "max daily request limit")
"""Of a hosted Redis that bills commands and stops at a number (Upstash); its error has no code."""

RECONNECT_FIRST_SECONDS: Final = 1.0
RECONNECT_STEP_SECONDS: Final = 1.0
RECONNECT_LONGEST_SECONDS: Final = 5.0
"""Between Celery's attempts to connect. kombu's own grow to 30 s; a failover takes a few seconds."""


class _CelerysConnection(PrimaryOnly):
    # Not once more: of a retry inside a transaction redis-py makes a WatchError, at which kombu's begins anew at once,
    # for as long as the server refuses. Celery itself tries again.
    retry_policy = Retry(NoBackoff(), 0, ())

    def read_response(self, *args: Any, **options: Any) -> Any:
        try:
            return super().read_response(*args, **options)
        except redis.ResponseError as error:
            if not takes_no_writes(error):
                raise
            self.disconnect()  # type: ignore[no-untyped-call] # redis-py has no types here
            raise ServerRefuses(words_of(error)) from error


class CelerysConnection(_CelerysConnection, redis.Connection):
    """``redis://``"""


class CelerysSSLConnection(_CelerysConnection, redis.SSLConnection):
    """``rediss://``"""


def takes_no_writes(error: redis.ResponseError) -> bool:
    """Whether a server refuses for now what it would take otherwise."""
    return code_of(error) in TAKES_NO_WRITES or any(words in str(error) for words in REQUEST_LIMIT_WORDS)


class _Client(redis.Redis):
    def ping(self, **_options: Any) -> bool:
        """With this kombu asks whether a new connection is good for anything."""
        prove_writable(self)
        return True


class _Channel(kombu_redis.Channel):  # type: ignore[misc] # kombu has no types
    connection_class = CelerysConnection
    connection_class_ssl = CelerysSSLConnection

    def _get_client(self) -> type[redis.Redis]:
        return _Client

    def _get_pool(self, asynchronous: bool = False) -> redis.ConnectionPool:  # noqa: FBT001, FBT002 - kombu's signature
        options = self._connparams(asynchronous=asynchronous)
        self.keyprefix_fanout: str = self.keyprefix_fanout.format(db=options["db"])  # as in the base class
        return PrimaryPool(**options)


class Transport(kombu_redis.Transport):  # type: ignore[misc] # kombu has no types
    """kombu's Redis transport over these connections."""

    Channel = _Channel


class _PromptConnection(kombu.Connection):  # type: ignore[misc] # kombu has no types
    def ensure_connection(self, *args: Any, **options: Any) -> kombu.Connection:
        intervals = {
            "interval_start": RECONNECT_FIRST_SECONDS,
            "interval_step": RECONNECT_STEP_SECONDS,
            "interval_max": RECONNECT_LONGEST_SECONDS,
        }
        return super().ensure_connection(*args, **{**intervals, **options})

    def as_uri(self, *args: Any, **options: Any) -> str:
        """For the log, where the name of a class has no place."""
        return f"{'rediss' if self.ssl else 'redis'}://{super().as_uri(*args, **options).partition('://')[2]}"


class Amqp(AMQP):  # type: ignore[misc] # Celery has no types
    """For the argument ``amqp`` of a Celery application: it connects again soon."""

    Connection = _PromptConnection
