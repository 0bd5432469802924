"""Connections to Redis: certificates verified, timeouts above the blocking times, no busy polling, primaries only."""

import ssl
from functools import partial
from typing import Any, Final

import redis

from services.queue.bounded_replies import PROTOCOL, BoundedParser
from services.queue.refusals import PrimaryConnection, PrimaryPool, PrimarySSLConnection

CONNECT_TIMEOUT_SECONDS: Final = 5.0
COMMAND_TIMEOUT_SECONDS: Final = 10.0
"""An ordinary command takes milliseconds even on a hosted Redis."""

BLOCKING_POP_SECONDS: Final = 20.0
"""How long one blocking pop waits. Hosted Redis bills each command: 3 a minute while idle."""

BLOCKING_SOCKET_TIMEOUT_SECONDS: Final = BLOCKING_POP_SECONDS + 10.0
"""A pop that blocks as long as the socket may stay silent would raise on every idle round."""

TCP_KEEPALIVE: Final = True
"""So that a connection whose other end vanished is noticed while a pop blocks on it."""

HEALTH_KEY: Final = "wearon:health"
HEALTH_KEY_MILLISECONDS: Final = 60_000
"""What is written to see whether writes are taken. It vanishes by itself."""


def connect(
    url: str, *, timeout_seconds: float = COMMAND_TIMEOUT_SECONDS, reply_limit_bytes: int | None = None
) -> redis.Redis:
    """A client for ``redis://`` or ``rediss://``; connects on first use.

    For ``rediss://`` redis-py verifies the certificate chain and the host name. Nothing that may have been carried out
    is retried behind the caller's back: a repeated BLMOVE would take a second task, so each caller decides for itself.
    A server that is not the primary is left at once (``services/queue/refusals.py``).

    Args:
        url: address with credentials and database number.
        timeout_seconds: how long an answer may take; for a client that pops, longer than a pop blocks.
        reply_limit_bytes: a longer string in a reply raises ``ReplyTooLarge`` before it is read; ``None``: no limit.
    """
    bounded = (
        {} if reply_limit_bytes is None else {"parser_class": partial(BoundedParser, limit_bytes=reply_limit_bytes)}
    )
    pool = PrimaryPool.from_url(
        url,
        connection_class=PrimarySSLConnection if url.startswith("rediss://") else PrimaryConnection,
        socket_connect_timeout=CONNECT_TIMEOUT_SECONDS,
        socket_timeout=timeout_seconds,
        socket_keepalive=TCP_KEEPALIVE,
        client_name="wearon-worker",
        protocol=PROTOCOL,
        **bounded,
    )
    return redis.Redis.from_pool(pool)


def prove_writable(client: redis.Redis) -> None:
    """Ask for a write, which a replica and a full server refuse; both would answer PING.

    Raises:
        RedisError: it does not answer, or does not take writes.
    """
    client.set(HEALTH_KEY, b"", px=HEALTH_KEY_MILLISECONDS)


def broker_ssl_options(url: str) -> dict[str, Any] | None:
    """What kombu needs to verify a ``rediss://`` broker; without it kombu connects to anything."""
    return {"ssl_cert_reqs": ssl.CERT_REQUIRED} if url.startswith("rediss://") else None
