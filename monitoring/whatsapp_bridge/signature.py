"""[pure] Is a request Grafana's? The signature as Grafana 12 and later make it (grafana/alerting, ``http/hmac.go``).

Grafana writes hex SHA-256 HMAC over ``timestamp + ":" + body``, with the seconds since 1970 as timestamp.
"""

import hashlib
import hmac
from enum import Enum
from typing import Final

SIGNATURE_HEADER: Final = "X-Grafana-Alerting-Signature"
TIMESTAMP_HEADER: Final = "X-Grafana-Alerting-Timestamp"

TIMESTAMP_LEEWAY_SECONDS: Final = 300
"""How far a timestamp may be from our clock, into either direction. Grafana runs on the same host and its clock is
ours; this bounds for how long a recorded request can be sent again, and so how long signatures are remembered."""

SEPARATOR: Final = b":"


class Check(Enum):
    """What the headers say about a request."""

    GENUINE = "genuine"
    UNSIGNED = "unsigned"
    WRONG = "wrong"
    TOO_OLD = "too old"


def sign(secret: str, timestamp: str, body: bytes) -> str:
    """The signature that belongs to this body at this time."""
    return hmac.new(secret.encode(), timestamp.encode() + SEPARATOR + body, hashlib.sha256).hexdigest()


def check(secret: str, *, timestamp: str, signature: str, body: bytes, now_seconds: float) -> Check:
    """Whether the request was made by somebody who knows the secret, just now.

    The signature is compared in constant time, and before the time: a stranger is told nothing about clocks.
    """
    if not timestamp or not signature:
        return Check.UNSIGNED
    # As bytes: comparing text raises for anything beyond ASCII, and headers can have it.
    if not hmac.compare_digest(sign(secret, timestamp, body).encode(), signature.strip().encode()):
        return Check.WRONG
    if not timestamp.isascii() or not timestamp.isdigit():
        return Check.WRONG
    return Check.GENUINE if abs(now_seconds - int(timestamp)) <= TIMESTAMP_LEEWAY_SECONDS else Check.TOO_OLD
