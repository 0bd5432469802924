"""``rediss://`` for the queue and for Celery's broker: certificates are verified on both.

A whole worker behind TLS is in ``test_worker_results.py``.
"""

import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from uuid import uuid4

import pytest
import redis

from config.settings import Settings
from sandbox.servers.processes import LOOPBACK
from sandbox.servers.redis import LocalRedis
from sandbox.world import SIMULATED_API_KEY
from services.queue.connection import connect
from services.queue.task_queue import TaskQueue
from tests.support.tls import Authority, TlsFront
from worker.celery_app import create_celery_app
from worker.supervision.startup import StartupAway, StartupError, check_redis

OTHER_ADDRESS = "127.0.0.2"
"""A certificate for it is as good as any, but not for the address that is dialled."""

POP_SECONDS = 8.0
"""Less than the socket of an ordinary client may stay silent."""
POLL_SECONDS = 0.02

Ping = Callable[[str], object]


@pytest.fixture(scope="module")
def directory(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where the certificates of this module are."""
    return tmp_path_factory.mktemp("certificates")


@pytest.fixture(scope="module")
def authority(directory: Path) -> Authority:
    """The authority that signed the server's certificate."""
    return Authority.create(directory, "authority")


@pytest.fixture(scope="module")
def stranger(directory: Path) -> Authority:
    """An authority that signed nothing here."""
    return Authority.create(directory, "stranger")


@pytest.fixture(scope="module")
def front(directory: Path, authority: Authority, redis_server: LocalRedis) -> Iterator[TlsFront]:
    """Redis behind TLS, with a certificate for its address."""
    redis_server.start()
    with TlsFront(authority.server_context(directory, LOOPBACK), redis_server.port) as front:
        yield front


@pytest.fixture(scope="module")
def misnamed_front(directory: Path, authority: Authority, redis_server: LocalRedis) -> Iterator[TlsFront]:
    """Redis behind TLS, with a good certificate of another server."""
    with TlsFront(authority.server_context(directory, OTHER_ADDRESS), redis_server.port) as front:
        yield front


def ping_queue(url: str) -> object:
    """As the worker connects to the platform's queue."""
    client = connect(url)
    try:
        return client.ping()
    finally:
        client.close()


def ping_broker(url: str) -> object:
    """As Celery connects to its broker."""
    settings = Settings.model_validate(
        {
            "redis_url": url,
            "supabase_url": "http://supabase",
            "supabase_service_role_key": "sb_secret_none",
            "openai_api_key": SIMULATED_API_KEY,
        }
    )
    with create_celery_app(settings, uuid4()) as app, app.connection_for_write() as connection:
        return connection.channel().client.ping()  # without the retries of the default channel


CLIENTS = pytest.mark.parametrize("ping", [ping_queue, ping_broker])


@CLIENTS
def test_a_certificate_of_the_authority_named_in_the_url_is_accepted(
    ping: Ping, front: TlsFront, authority: Authority
) -> None:
    handshakes_before = front.handshakes
    assert ping(f"rediss://{LOOPBACK}:{front.port}/0?ssl_ca_certs={authority.certificate_path}")
    assert front.handshakes == handshakes_before + 1


@CLIENTS
def test_a_certificate_of_the_authority_that_openssl_was_told_to_trust_is_accepted(
    ping: Ping, front: TlsFront, authority: Authority, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SSL_CERT_FILE", str(authority.certificate_path))
    assert ping(f"rediss://{LOOPBACK}:{front.port}/0")


@CLIENTS
def test_a_certificate_of_another_authority_than_the_one_named_is_refused(
    ping: Ping, front: TlsFront, stranger: Authority
) -> None:
    with pytest.raises(redis.ConnectionError, match="certificate verify failed"):
        ping(f"rediss://{LOOPBACK}:{front.port}/0?ssl_ca_certs={stranger.certificate_path}")


@CLIENTS
def test_a_good_certificate_of_another_server_is_refused(
    ping: Ping, misnamed_front: TlsFront, authority: Authority
) -> None:
    with pytest.raises(redis.ConnectionError, match="IP address mismatch"):
        ping(f"rediss://{LOOPBACK}:{misnamed_front.port}/0?ssl_ca_certs={authority.certificate_path}")


SAYS = r"^REDIS_URL: Redis at 127\.0\.0\.1:\d+/0 "
"""How every message of the check at start-up begins."""


def test_at_start_a_server_that_cannot_be_trusted_is_refused_in_openssls_words(front: TlsFront) -> None:
    with pytest.raises(StartupError, match=SAYS + ".* nobody we trust has signed .*unable to get local issuer") as why:
        check_redis("REDIS_URL", f"rediss://{LOOPBACK}:{front.port}/0")
    assert not isinstance(why.value, StartupAway)


def test_at_start_a_certificate_of_another_server_is_called_so(misnamed_front: TlsFront, authority: Authority) -> None:
    with pytest.raises(StartupError, match=SAYS + "shows a certificate of another host .*IP address mismatch"):
        check_redis(
            "REDIS_URL", f"rediss://{LOOPBACK}:{misnamed_front.port}/0?ssl_ca_certs={authority.certificate_path}"
        )


def test_at_start_redis_on_a_tls_port_is_told_to_be_rediss(front: TlsFront) -> None:
    with pytest.raises(StartupError, match=SAYS + "speaks TLS .*Write rediss://") as why:
        check_redis("REDIS_URL", f"redis://{LOOPBACK}:{front.port}/0")
    assert not isinstance(why.value, StartupAway)


def test_at_start_rediss_on_a_plain_port_is_told_to_be_redis(redis_server: LocalRedis) -> None:
    with pytest.raises(StartupError, match=SAYS + "speaks no TLS .*Write redis://") as why:
        check_redis("REDIS_URL", f"rediss://{LOOPBACK}:{redis_server.port}/0")
    assert not isinstance(why.value, StartupAway)


def test_a_pop_that_blocks_behind_tls_can_be_interrupted_and_the_next_one_works(
    front: TlsFront, authority: Authority
) -> None:
    queue = TaskQueue(connect(f"rediss://{LOOPBACK}:{front.port}/0?ssl_ca_certs={authority.certificate_path}"))
    executor = uuid4()
    with ThreadPoolExecutor(1) as other_thread:
        pop = other_thread.submit(queue.take, executor, timeout_seconds=POP_SECONDS)
        while not pop.done():
            queue.interrupt()
            time.sleep(POLL_SECONDS)
        assert isinstance(pop.exception(), redis.ConnectionError)
    assert queue.take(executor, timeout_seconds=POLL_SECONDS) is None
