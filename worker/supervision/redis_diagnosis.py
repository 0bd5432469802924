"""Tells from the answers of a Redis at start what is wrong with it, and what the operator should do."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final

import redis

from services.queue.broker_transport import REQUEST_LIMIT_WORDS
from services.queue.refusals import code_of, words_of

OLDEST_VERSION: Final = (6, 2)
"""The first with BLMOVE."""

CONNECTION_LIMIT_WORDS: Final = "max number of clients"
"""Redis says so instead of an answer, without a code of its own, and hangs up."""


@dataclass(frozen=True, slots=True)
class Diagnosis:
    """One fault.

    Attributes:
        finding: continues "Redis at <address> ...".
        advice: sentences; ``{name}`` stands for the setting.
        may_pass: it may end without anybody doing anything.
    """

    finding: str
    advice: str
    may_pass: bool = False


WRITE_REFUSALS: Final[Mapping[str, Diagnosis]] = {
    "LOADING": Diagnosis("is reading its data", "It serves when it is done.", may_pass=True),
    "READONLY": Diagnosis(
        "is a read-only replica",
        "A failover passes in a minute; if this stays, {name} names a replica, and the primary is needed.",
        may_pass=True,
    ),
    "MASTERDOWN": Diagnosis(
        "is a replica without its primary",
        "A failover passes in a minute; if this stays, {name} names a replica, and the primary is needed.",
        may_pass=True,
    ),
    "NOREPLICAS": Diagnosis("misses its replicas and takes no writes", "Look at its replicas.", may_pass=True),
    "OOM": Diagnosis(
        "is full and takes no writes", "Give it more memory (maxmemory), or make room in it.", may_pass=True
    ),
    "MISCONF": Diagnosis("cannot write to its disk and takes no writes", "Look at its disk.", may_pass=True),
    "BUSY": Diagnosis("is busy with a script", "It serves when that is done.", may_pass=True),
    **dict.fromkeys(
        ("MOVED", "ASK", "CROSSSLOT", "CLUSTERDOWN", "TRYAGAIN"),
        Diagnosis("is a cluster", "The worker needs one without cluster mode: its lists move in one step."),
    ),
    "NOPERM": Diagnosis("does not let this user do what is needed", "Give the user in {name} all commands and keys."),
}
"""By the code of its answer."""


def faults_in(info: Mapping[str, Any]) -> list[Diagnosis]:
    """The faults that a Redis shows in its INFO, the worst first.

    A missing value is not a fault: services that imitate Redis leave many out.
    """
    faults = []
    version = str(info.get("redis_version", ""))
    if (numbers := _numbers(version)) and numbers < OLDEST_VERSION:
        faults.append(Diagnosis(f"is {version}", "BLMOVE needs 6.2 or newer."))
    if info.get("redis_mode") == "cluster" or info.get("cluster_enabled") == 1:
        faults.append(WRITE_REFUSALS["MOVED"])
    policy = str(info.get("maxmemory_policy", ""))
    if policy.startswith("allkeys-") and info.get("maxmemory"):
        # volatile-* evicts only keys with a lifetime, and none of ours that has one is a task.
        faults.append(
            Diagnosis(f"throws away tasks when it is full (maxmemory-policy {policy})", "Set it to noeviction.")
        )
    return faults


def diagnose(error: redis.RedisError, url: str, does_speak: Callable[[str], bool]) -> Diagnosis:
    """What an error at the first contact means.

    Args:
        error: of the first contact.
        url: of the Redis.
        does_speak: whether a Redis answers at a URL; called with the other scheme, with TLS or without.
    """
    words = words_of(error)
    known = _by_its_answer(error, words) or _by_its_connection(words, url, does_speak)
    if known is not None:
        return Diagnosis(f'{known.finding} ("{words}")', known.advice, known.may_pass)
    if isinstance(error, redis.ConnectionError | redis.TimeoutError):
        return Diagnosis(f'does not answer ("{words}")', "Start it, or check {name} in .env.", may_pass=True)
    return Diagnosis(f'refuses to work with us ("{words}")', "Check {name} in .env.")


def _by_its_answer(error: redis.RedisError, words: str) -> Diagnosis | None:
    if (refusal := WRITE_REFUSALS.get(code_of(error))) is not None:
        return refusal
    if isinstance(error, redis.AuthenticationError):
        return _about_the_password(words)
    if any(limit in words for limit in REQUEST_LIMIT_WORDS):
        return Diagnosis("has used up its requests", "Raise the limit in the plan of the service.")
    if CONNECTION_LIMIT_WORDS in words:
        return Diagnosis("has no connection left", "Raise its limit (maxclients, or the plan's).", may_pass=True)
    if isinstance(error, redis.InvalidResponse):
        return Diagnosis("is no Redis", "Check host and port in {name}.")
    return None


def _about_the_password(words: str) -> Diagnosis:
    if "called without any password" in words:
        return Diagnosis("has no password set", "Take the password out of {name}, or set one in Redis.")
    if "Authentication required" in words:
        return Diagnosis("wants a password", "Put it into {name}: redis://:password@host:6379/0.")
    return Diagnosis("refuses the password", "Check {name} in .env.")


def _by_its_connection(words: str, url: str, does_speak: Callable[[str], bool]) -> Diagnosis | None:
    if "CERTIFICATE_VERIFY_FAILED" in words:
        if "mismatch" in words or "not valid for" in words:
            return Diagnosis("shows a certificate of another host", "Write the host of the certificate into {name}.")
        return Diagnosis(
            "shows a certificate that nobody we trust has signed",
            "Name the file of who signed it: ?ssl_ca_certs=/path/ca.pem behind {name}.",
        )
    if "Connection refused" in words or "Name or service not known" in words:
        return None
    other = "redis" if url.startswith("rediss://") else "rediss"
    # Without the password, which must not be sent over an unverified connection.
    address = url.partition("://")[2].rpartition("@")[2].partition("?")[0]
    if not does_speak(f"{other}://{address}"):
        return None
    if other == "rediss":
        return Diagnosis("speaks TLS", "Write rediss:// in {name}.")
    return Diagnosis("speaks no TLS", "Write redis:// in {name}, or the port that speaks TLS.")


def _numbers(version: str) -> tuple[int, ...]:
    parts = version.split(".")[:2]
    return tuple(int(part) for part in parts) if all(part.isdecimal() for part in parts) else ()
