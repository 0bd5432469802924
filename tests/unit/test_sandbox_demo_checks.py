"""What the demo accepts as good, and that it finds fault with anything else."""

import io
from dataclasses import replace
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any
from uuid import UUID

import pytest
from PIL import Image

from models.generation import Channel, SessionRef, SessionStatus
from sandbox.demo import verdict
from sandbox.demo_checks import Account, Finding, faults_of_completed, faults_of_refused, picture_format, told_refused
from sandbox.following import Journey
from sandbox.platform_state import SessionRow

SOME_ID = UUID(int=1)
NOON = datetime(2026, 11, 1, 12, tzinfo=UTC)

COMPLETED = SessionRow(
    id=SOME_ID,
    owner_id=SOME_ID,
    status=SessionStatus.COMPLETED,
    generated_image_url="http://127.0.0.1/picture",
    error_message=None,
    processing_time_ms=4_000,
    completed_at=NOON,
    input_tokens=1_000,
    output_tokens=1_500,
    estimated_cost_usd=Decimal("0.05"),
    credits_used=1,
    created_at=NOON,
)
PAID = Account(before=10, after=9, charged=1, refunded=0)

REFUSED = replace(
    COMPLETED,
    status=SessionStatus.FAILED,
    generated_image_url=None,
    error_message="Please try other pictures.",
)
REFUNDED = Account(before=9, after=9, charged=1, refunded=1)


def encoded(image_format: str) -> bytes:
    buffer = io.BytesIO()
    Image.new("RGB", (8, 8)).save(buffer, image_format)
    return buffer.getvalue()


JPEG = encoded("JPEG")


def test_a_completed_and_paid_session_is_as_expected() -> None:
    assert faults_of_completed(COMPLETED, PAID, JPEG) == []


@pytest.mark.parametrize(
    ("changed", "fault"),
    [
        ({"status": SessionStatus.FAILED, "error_message": "no"}, "it is failed, not completed; the message is: no"),
        ({"input_tokens": None}, "it counts no tokens"),
        ({"output_tokens": 0}, "it counts no tokens"),
        ({"estimated_cost_usd": Decimal(0)}, "it has no price"),
        ({"processing_time_ms": None}, "it has no processing time"),
        ({"error_message": "left over"}, "it still has an error message"),
        ({"credits_used": 2}, "1 credits were charged instead of 2"),
    ],
)
def test_each_defect_of_a_completed_row_is_named(changed: dict[str, Any], fault: str) -> None:
    assert fault in faults_of_completed(replace(COMPLETED, **changed), PAID, JPEG)


@pytest.mark.parametrize("picture", [None, b"not a picture", JPEG[:40], encoded("PNG")])
def test_a_result_that_is_no_jpeg_is_named(picture: bytes | None) -> None:
    assert faults_of_completed(COMPLETED, PAID, picture) == ["the stored picture is no JPEG"]


@pytest.mark.parametrize(
    ("account", "fault"),
    [
        (replace(PAID, charged=0), "0 credits were charged instead of 1"),
        (replace(PAID, refunded=1), "1 credits were refunded instead of 0"),
        (replace(PAID, after=10), "the balance went from 10 to 10"),
    ],
)
def test_a_completed_session_with_a_wrong_account_is_named(account: Account, fault: str) -> None:
    assert faults_of_completed(COMPLETED, account, JPEG) == [fault]


def test_a_refused_and_refunded_session_is_as_expected() -> None:
    assert faults_of_refused(REFUSED, REFUNDED) == []


@pytest.mark.parametrize(
    ("row", "account", "fault"),
    [
        (COMPLETED, REFUNDED, "it is completed, not failed"),
        (replace(REFUSED, error_message=None), REFUNDED, "there is no message for the person"),
        (replace(REFUSED, generated_image_url="http://x"), REFUNDED, "a failed session has a picture"),
        (REFUSED, replace(REFUNDED, refunded=2), "2 credits were refunded instead of 1"),
        (REFUSED, replace(REFUNDED, after=8), "the balance went from 9 to 8"),
    ],
)
def test_each_defect_of_a_refused_session_is_named(row: SessionRow, account: Account, fault: str) -> None:
    assert faults_of_refused(row, account) == [fault]


@pytest.mark.parametrize(
    ("content", "image_format"), [(JPEG, "JPEG"), (encoded("PNG"), "PNG"), (b"", None), (JPEG[:60], None)]
)
def test_a_format_is_read_from_the_bytes(content: bytes, image_format: str | None) -> None:
    assert picture_format(content) == image_format


def test_the_summary_of_a_refusal_has_the_message_and_the_refund() -> None:
    journey = Journey("b2c", SessionRef(Channel.B2C, SOME_ID), 0.0).seen(SessionStatus.FAILED, 1.5)

    told = "\n".join(told_refused(journey, REFUSED, REFUNDED))

    assert "Please try other pictures." in told
    assert "9 before, 1 charged, 1 refunded, 9 after" in told
    assert "failed 1.5 s" in told


GOOD = Finding(("a session",), ())
BAD = Finding(("a session",), ("its credit is gone",))


@pytest.mark.parametrize(
    ("findings", "setback", "is_good"),
    [
        ([GOOD, GOOD], None, True),
        ([GOOD, BAD, GOOD], None, False),
        ([GOOD], "The worker ended.", False),
        ([], "Redis did not start.", False),
    ],
)
def test_one_fault_or_setback_spoils_the_whole_demo(
    findings: list[Finding], setback: str | None, is_good: bool
) -> None:
    assert (verdict(findings, setback) is None) is is_good
