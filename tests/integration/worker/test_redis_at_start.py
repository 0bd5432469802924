"""The check at start-up against real servers that are not as the worker needs them (with TLS: test_tls_redis.py)."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from sandbox.servers.processes import LOOPBACK, free_port
from sandbox.servers.redis import LocalRedis
from tests.support.failover import FailingOverRedis, command
from tests.support.refusing_redis import RefusingRedis
from worker.supervision.startup import StartupAway, StartupError, check_redis

PASSWORD = "the-password"


@pytest.fixture
def server(tmp_path: Path) -> Iterator[LocalRedis]:
    with LocalRedis(tmp_path / "own", append_fsync="no") as server:
        yield server


def what_is_told(url: str) -> tuple[bool, str]:
    """Whether it may pass by itself, and the message without its beginning."""
    with pytest.raises(StartupError) as why:
        check_redis("REDIS_URL", url)
    beginning, _, message = str(why.value).partition("/0 ")
    assert beginning.startswith(f"REDIS_URL: Redis at {LOOPBACK}:")
    assert PASSWORD not in message
    return isinstance(why.value, StartupAway), message


def test_a_good_one_is_taken(server: LocalRedis) -> None:
    check_redis("REDIS_URL", server.url)


def test_nobody_there_may_pass() -> None:
    away, message = what_is_told(f"redis://:{PASSWORD}@{LOOPBACK}:{free_port()}/0")
    assert away
    assert message.startswith('does not answer ("Error 111')
    assert message.endswith("Start it, or check REDIS_URL in .env.")


def test_a_replica_may_pass_because_it_may_be_a_failover(tmp_path: Path) -> None:
    with FailingOverRedis(tmp_path) as servers:
        away, message = what_is_told(servers.other.url)
    assert away
    assert message.startswith('is a read-only replica ("READONLY')


def test_a_full_one_may_pass(server: LocalRedis) -> None:
    command(server, "CONFIG", "SET", "maxmemory", "1")
    away, message = what_is_told(server.url)
    assert away
    assert message.startswith('is full and takes no writes ("OOM command not allowed')


@pytest.mark.parametrize(
    ("answer", "may_pass", "finding"),
    [
        ("LOADING Redis is loading the dataset in memory", True, "is reading its data"),
        ("ERR max requests limit exceeded. Limit: 500000, Usage: 500001.", False, "has used up its requests"),
        ("MASTERDOWN Link with MASTER is down", True, "is a replica without its primary"),
    ],
)
def test_one_that_answers_every_command_with_the_same_refusal_is_quoted(
    answer: str, may_pass: bool, finding: str
) -> None:
    with RefusingRedis(answer) as server:
        away, message = what_is_told(server.url)
    assert away is may_pass
    assert message.startswith(f'{finding} ("{answer.removeprefix("ERR ")}")')


def test_one_that_throws_tasks_away_when_it_is_full_is_refused_and_told_the_setting(server: LocalRedis) -> None:
    command(server, "CONFIG", "SET", "maxmemory", "100mb")
    command(server, "CONFIG", "SET", "maxmemory-policy", "allkeys-lru")
    assert what_is_told(server.url) == (
        False,
        "throws away tasks when it is full (maxmemory-policy allkeys-lru). Set it to noeviction.",
    )


def test_a_wrong_password_a_missing_one_and_one_too_many_are_three_things(tmp_path: Path, server: LocalRedis) -> None:
    with LocalRedis(tmp_path / "locked", password="another") as locked:
        address = f"{LOOPBACK}:{locked.port}/0"
        told = [
            what_is_told(url)
            for url in (
                f"redis://:{PASSWORD}@{address}",
                f"redis://{address}",
                f"redis://:{PASSWORD}@{LOOPBACK}:{server.port}/0",
            )
        ]
    assert [away for away, _ in told] == [False] * 3
    assert [message.partition(" (")[0] for _, message in told] == [
        "refuses the password",
        "wants a password",
        "has no password set",
    ]


def test_a_cluster_is_refused(tmp_path: Path) -> None:
    with ClusterRedis(tmp_path / "cluster", append_fsync="no") as cluster:
        away, message = what_is_told(cluster.url)
    assert not away
    assert message.startswith("is a cluster")


class ClusterRedis(LocalRedis):
    """In cluster mode, with no slots. Its bus would be 10,000 ports further on, where outgoing connections are."""

    def _write_configuration(self) -> Path:
        configuration = super()._write_configuration()
        configuration.write_text(configuration.read_text() + f"cluster-enabled yes\ncluster-port {free_port()}\n")
        return configuration
