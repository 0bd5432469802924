"""Only Grafana's own, fresh requests are believed."""

import hashlib
import hmac
from typing import Final

import pytest

from monitoring.whatsapp_bridge.signature import TIMESTAMP_LEEWAY_SECONDS, Check, check, sign

SECRET: Final = "of-grafana-and-the-bridge"
NOW: Final = 1_796_000_000
BODY: Final = '{"status":"firing","words":"für"}'.encode()


def checked(
    *, secret: str = SECRET, timestamp: str = str(NOW), signature: str | None = None, body: bytes = BODY
) -> Check:
    made = sign(SECRET, timestamp, BODY) if signature is None else signature
    return check(secret, timestamp=timestamp, signature=made, body=body, now_seconds=NOW)


def test_a_signature_is_what_grafana_computes() -> None:
    by_hand = hmac.new(SECRET.encode(), f"{NOW}:".encode() + BODY, hashlib.sha256).hexdigest()
    assert sign(SECRET, str(NOW), BODY) == by_hand


def test_a_fresh_request_of_grafanas_is_genuine() -> None:
    assert checked() is Check.GENUINE


@pytest.mark.parametrize(
    ("fault", "found"),
    [
        ({"secret": "another-secret-of-somebody"}, Check.WRONG),
        ({"body": BODY + b" "}, Check.WRONG),
        ({"signature": ""}, Check.UNSIGNED),
        ({"timestamp": "", "signature": "0" * 64}, Check.UNSIGNED),
        ({"signature": "0" * 64}, Check.WRONG),
        ({"signature": "ä" * 64}, Check.WRONG),
        ({"timestamp": "soon"}, Check.WRONG),
        ({"timestamp": "-1"}, Check.WRONG),
        ({"timestamp": "²"}, Check.WRONG),
        ({"timestamp": str(NOW - TIMESTAMP_LEEWAY_SECONDS)}, Check.GENUINE),
        ({"timestamp": str(NOW - TIMESTAMP_LEEWAY_SECONDS - 1)}, Check.TOO_OLD),
        ({"timestamp": str(NOW + TIMESTAMP_LEEWAY_SECONDS + 1)}, Check.TOO_OLD),
    ],
)
def test_everything_else_is_not(fault: dict[str, str], found: Check) -> None:
    assert checked(**fault) is found  # type: ignore[arg-type]


def test_a_timestamp_cannot_be_moved_without_the_secret() -> None:
    assert checked(timestamp=str(NOW), signature=sign(SECRET, str(NOW - 9999), BODY)) is Check.WRONG


def test_a_stranger_is_told_nothing_about_clocks() -> None:
    assert checked(timestamp="1", signature="0" * 64) is Check.WRONG
