"""What the operator is told of a Redis that does not fit."""

from typing import Any

import pytest
import redis

from services.queue.refusals import NotThePrimary
from worker.supervision.redis_diagnosis import diagnose, faults_in

URL = "redis://:the-password@redis.example:6379/0"
GOOD = {
    "redis_version": "7.4.1",
    "redis_mode": "standalone",
    "cluster_enabled": 0,
    "maxmemory": 0,
    "maxmemory_policy": "noeviction",
}

ANSWERS: list[tuple[redis.RedisError, bool, str, str]] = [
    (NotThePrimary("LOADING Redis is loading the dataset in memory"), True, "is reading its data", "when it is done"),
    (NotThePrimary("READONLY You can't write against a read only replica."), True, "read-only replica", "the primary"),
    (NotThePrimary("MASTERDOWN Link with MASTER is down"), True, "without its primary", "the primary"),
    (NotThePrimary("NOREPLICAS Not enough good replicas to write."), True, "misses its replicas", "its replicas"),
    (NotThePrimary("MOVED 12182 10.0.0.7:7002"), False, "is a cluster", "without cluster mode"),
    (NotThePrimary("CLUSTERDOWN Hash slot not served"), False, "is a cluster", "without cluster mode"),
    (redis.OutOfMemoryError("command not allowed when used memory > 'maxmemory'."), True, "is full", "more memory"),
    (redis.ResponseError("MISCONF Redis is configured to save RDB snapshots"), True, "its disk", "its disk"),
    (redis.ResponseError("BUSY Redis is busy running a script."), True, "is busy with a script", "when that is done"),
    (
        redis.ResponseError("max requests limit exceeded. Limit: 500000, Usage: 500001. See https://upstash.com/docs"),
        False,
        "has used up its requests",
        "Raise the limit",
    ),
    (
        redis.exceptions.NoPermissionError("this user has no permissions"),
        False,
        "does not let this user",
        "commands and keys",
    ),
    (redis.AuthenticationError("Authentication required."), False, "wants a password", "Put it into REDIS_URL"),
    (redis.AuthenticationError("invalid username-password pair"), False, "refuses the password", "Check REDIS_URL"),
    (
        redis.AuthenticationError("AUTH <password> called without any password configured"),
        False,
        "has no password set",
        "Take the password out",
    ),
    (redis.ResponseError("DB index is out of range"), False, "refuses to work with us", "Check REDIS_URL"),
    (redis.InvalidResponse("Protocol Error: b'HTTP/1.1 400 Bad Request'"), False, "is no Redis", "host and port"),
    (redis.ConnectionError("Error 111 connecting. Connection refused."), True, "does not answer", "Start it"),
    (redis.ConnectionError("Error -2. Name or service not known."), True, "does not answer", "Start it"),
    (redis.TimeoutError("Timeout connecting to server"), True, "does not answer", "Start it"),
    (redis.ConnectionError("max number of clients reached"), True, "has no connection left", "Raise its limit"),
    (
        redis.ConnectionError("[SSL: CERTIFICATE_VERIFY_FAILED] certificate verify failed: self-signed certificate"),
        False,
        "nobody we trust has signed",
        "?ssl_ca_certs=",
    ),
    (
        redis.ConnectionError("[SSL: CERTIFICATE_VERIFY_FAILED] Hostname mismatch, certificate is not valid for 'a'."),
        False,
        "a certificate of another host",
        "the host of the certificate",
    ),
]


def speaks_nothing(_url: str) -> bool:
    return False


@pytest.mark.parametrize(("error", "may_pass", "finding", "advice"), ANSWERS, ids=lambda value: str(value)[:30])
def test_it_repeats_what_the_other_side_said_and_names_what_to_do(
    error: redis.RedisError, may_pass: bool, finding: str, advice: str
) -> None:
    diagnosis = diagnose(error, URL, speaks_nothing)
    assert finding in diagnosis.finding
    assert str(error)[:40] in diagnosis.finding
    assert advice in diagnosis.advice.format(name="REDIS_URL")
    assert diagnosis.may_pass is may_pass


@pytest.mark.parametrize(
    ("scheme", "other", "finding", "advice"),
    [("redis", "rediss", "speaks TLS", "Write rediss://"), ("rediss", "redis", "speaks no TLS", "Write redis://")],
)
def test_a_port_of_the_other_kind_is_found_by_asking_it_without_the_password(
    scheme: str, other: str, finding: str, advice: str
) -> None:
    asked: list[str] = []

    def does_speak(url: str) -> bool:
        asked.append(url)
        return True

    url = f"{scheme}://:the-password@redis.example:6379/0?ssl_ca_certs=/ca.pem"
    diagnosis = diagnose(redis.ConnectionError("Connection closed by server."), url, does_speak)
    assert asked == [f"{other}://redis.example:6379/0"]
    assert finding in diagnosis.finding
    assert advice in diagnosis.advice
    assert not diagnosis.may_pass


def test_a_password_that_a_server_repeats_is_not() -> None:
    error = redis.ResponseError("unknown command `AUTH`, with args beginning with: `the-password`, ")
    assert "the-password" not in diagnose(error, URL, speaks_nothing).finding


@pytest.mark.parametrize(
    ("info", "words"),
    [
        (GOOD, []),
        ({}, []),
        (GOOD | {"redis_version": "6.0.16"}, ["is 6.0.16"]),
        (GOOD | {"redis_version": "5.0.7", "redis_mode": "cluster"}, ["is 5.0.7", "is a cluster"]),
        (GOOD | {"redis_version": "255.255.255"}, []),
        (GOOD | {"redis_version": "v1-beta"}, []),
        (GOOD | {"cluster_enabled": 1}, ["is a cluster"]),
        (GOOD | {"maxmemory": 1_000, "maxmemory_policy": "allkeys-lru"}, ["throws away tasks"]),
        (GOOD | {"maxmemory_policy": "allkeys-lru"}, []),
        (GOOD | {"maxmemory": 1_000, "maxmemory_policy": "volatile-lru"}, []),
    ],
)
def test_what_a_redis_says_of_itself_speaks_against_it_when_it_is_too_old_a_cluster_or_forgets(
    info: dict[str, Any], words: list[str]
) -> None:
    assert [word for fault, word in zip(faults_in(info), words, strict=True) if word not in fault.finding] == []
