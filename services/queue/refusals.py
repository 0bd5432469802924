"""What a Redis answers that does not take our commands, and the connections that are given up for it.

After a failover the old primary lives on, read-only, and keeps every connection it has (managed Redis, Sentinel). A
client that keeps its own to it stands still for ever. So an answer that says "not the primary" or "not now a server"
closes the connection: the next one is made by name, and the name leads to whoever is the primary then.
"""

import re
import socket
from contextlib import suppress
from typing import Any, ClassVar, Final

import redis
from redis.backoff import NoBackoff
from redis.connection import AbstractConnection
from redis.retry import Retry

NOT_THE_PRIMARY: Final = frozenset(
    {
        "READONLY",  # a replica
        "MASTERDOWN",  # a replica without its primary (replica-serve-stale-data no)
        "UNBLOCKED",  # it became a replica while our pop blocked
        "LOADING",  # it reads its data; a replica that became primary does not
        "NOREPLICAS",  # a primary that was cut off (min-replicas-to-write)
        "MOVED",  # a cluster; so do proxies answer for a node that is no longer the right one
        "ASK",
        "CLUSTERDOWN",
        "TRYAGAIN",
    }
)
"""Error codes (https://redis.io/docs/latest/develop/reference/protocol-spec/, "simple errors") of a server that carried
nothing out and that is not, or not now, the one to ask."""

_CODE_OF_TYPE: Final[dict[type[redis.RedisError], str]] = {
    redis.exceptions.ReadOnlyError: "READONLY",
    redis.exceptions.MasterDownError: "MASTERDOWN",
    redis.exceptions.BusyLoadingError: "LOADING",
    redis.exceptions.MovedError: "MOVED",
    redis.exceptions.AskError: "ASK",
    redis.exceptions.ClusterDownError: "CLUSTERDOWN",
    redis.exceptions.TryAgainError: "TRYAGAIN",
    redis.exceptions.OutOfMemoryError: "OOM",
    redis.exceptions.NoPermissionError: "NOPERM",
}
"""redis-py makes a type of these codes and takes the code out of the text."""

_FIRST_WORD: Final = re.compile(r"[A-Z]{3,}(?= )")
_REPEATED_ARGUMENTS: Final = re.compile(r",? ?with args beginning with: .*$", re.DOTALL)
"""A server that does not know a command repeats what stood behind it; behind AUTH stands the password."""

_IN_A_SCRIPT: Final = re.compile(r"^Error running script .*?: -([A-Z]+) (.*)$", re.DOTALL)
"""Redis 6.2 wraps what a command in a script answered; Redis 7 does not."""


class NotThePrimary(redis.ConnectionError):
    """The server is not, or not now, the one that takes commands; nothing was carried out, the connection is closed."""


class ServerRefuses(redis.ConnectionError):
    """Celery's broker takes no writes for now (``CelerysConnection``)."""


def code_of(error: redis.RedisError) -> str:
    """The code a server put before its error, such as ``READONLY``; empty for ``ERR`` and for errors of our own."""
    if (code := _CODE_OF_TYPE.get(type(error))) is not None:
        return code
    text = str(error)
    if in_a_script := _IN_A_SCRIPT.match(text):
        return in_a_script[1]
    answered = isinstance(error, redis.ResponseError | NotThePrimary | ServerRefuses)
    first = _FIRST_WORD.match(text) if answered else None
    return first[0] if first else ""


def words_of(error: redis.RedisError) -> str:
    """What a server said, with its code, in one line and without secrets; an error of our own side in its own words."""
    text = _REPEATED_ARGUMENTS.sub("", str(error))
    if in_a_script := _IN_A_SCRIPT.match(text):
        text = in_a_script[2]
    code = code_of(error)
    words = text if text.startswith(code) else f"{code} {text}"
    return " ".join(words.split()) or type(error).__name__


class PrimaryOnly(AbstractConnection):
    """A connection that closes itself when the server at its other end is not the primary.

    To be mixed into a connection class of redis-py.
    """

    retry_policy: ClassVar[Retry] = Retry(NoBackoff(), 1, (NotThePrimary,))
    """The command is sent once more, over a new connection: it was not carried out, so not even a BLMOVE takes a second
    task."""

    refused = False
    """Somebody has to close the other connections to the same server too (``PrimaryPool``)."""

    # kombu looks for the argument by its name.
    def __init__(self, *, health_check_interval: int = 0, **options: Any) -> None:
        ours = {"health_check_interval": health_check_interval, "retry": self.retry_policy}
        super().__init__(**{**options, **ours})

    def read_response(self, *args: Any, **options: Any) -> Any:
        """The answer to a command.

        Raises:
            NotThePrimary: in place of what redis-py has for such an answer.
        """
        try:
            return super().read_response(*args, **options)  # type: ignore[no-untyped-call] # redis-py has no types here
        except redis.RedisError as error:
            if code_of(error) not in NOT_THE_PRIMARY:
                raise
            self.refused = True
            self.disconnect()  # type: ignore[no-untyped-call] # redis-py has no types here
            raise NotThePrimary(words_of(error)) from error


class PrimaryConnection(PrimaryOnly, redis.Connection):
    """``redis://``"""


class PrimarySSLConnection(PrimaryOnly, redis.SSLConnection):
    """``rediss://``"""


class PrimaryPool(redis.ConnectionPool):
    """A pool whose idle connections are closed with the first that was refused, so that not each fails once."""

    def release(self, connection: Any) -> None:
        """Take a connection back."""
        if connection.refused:
            connection.refused = False
            self.disconnect(inuse_connections=False)
        super().release(connection)

    def interrupt(self) -> None:
        """End what other threads wait for just now; each of them gets a ``ConnectionError``.

        A command that the server carries out in this instant is carried out, and its answer is lost.
        """
        with self._lock:
            sockets = [connection._sock for connection in self._in_use_connections]  # noqa: SLF001 - redis-py has no other
        for each in filter(None, sockets):
            with suppress(OSError):  # it has just been closed
                # Not the method of an SSLSocket: that one takes the TLS layer from under the thread that reads.
                socket.socket.shutdown(each, socket.SHUT_RDWR)
