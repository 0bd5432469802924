"""What the demo accepts as good, and that it finds fault with anything else."""

import io
from dataclasses import replace
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest
from PIL import Image

from models.generation import Channel, SessionRef, SessionStatus
from models.size_rec import EstimateBodyResponse, Measurements
from sandbox.console.following import Journey
from sandbox.demo.checks import (
    Account,
    Finding,
    faults_of_completed,
    faults_of_refused,
    faults_of_sized,
    picture_format,
    told_refused,
    told_sized,
)
from sandbox.demo.play import verdict
from sandbox.demo.sizing import KnownBody, Sizing
from sandbox.platform.state import SessionRow

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


PNG = encoded("PNG")

TRUE = Measurements(chest_cm=96, waist_cm=80, hip_cm=98, shoulder_cm=40, inseam_cm=82)
KNOWN = KnownBody(photo=Path("person.jpg"), height_cm=180.5, size="M", measurements=TRUE)


def sized(measures: dict[str, float] | None = None, drawn: dict[str, float] | None = None, **answer: Any) -> Sizing:
    """What a worker says that is right, apart from what is given."""

    def said(changed: dict[str, float]) -> EstimateBodyResponse:
        whole = {
            "recommended_size": "M",
            "confidence": 0.7,
            "body_type": "average",
            "size_probabilities": [],
            "notes": [],
        }
        whole |= answer
        whole.setdefault("size_range", {"lower": "S", "upper": "XL"})
        return EstimateBodyResponse.model_validate({**whole, "measurements": {**TRUE.model_dump(), **changed}})

    changed = measures or {}
    return Sizing(
        answer=said(changed),
        answer_seconds=0.2,
        drawn=said(changed if drawn is None else drawn),
        drawing=Path("size.png"),
    )


@pytest.mark.parametrize(
    "sizing",
    [
        sized(),
        sized({"chest_cm": 108.0, "waist_cm": 68.0, "hip_cm": 110.0, "shoulder_cm": 46.0, "inseam_cm": 76.0}),
        sized({"chest_cm": 96.5}, drawn={"chest_cm": 97.4}),
        sized(recommended_size="S"),
        sized(recommended_size="L"),
    ],
    ids=["exact", "at the limits", "drawn almost the same", "one size down", "one size up"],
)
def test_a_size_near_the_truth_is_as_expected(sizing: Sizing) -> None:
    assert faults_of_sized(sizing, KNOWN, PNG) == []


@pytest.mark.parametrize(
    ("sizing", "fault"),
    [
        (sized({"chest_cm": 108.1}), "chest is 108.1 cm, and truly 96.0 cm"),
        (sized({"waist_cm": 67.9}), "waist is 67.9 cm, and truly 80.0 cm"),
        (sized({"hip_cm": 110.1}), "hip is 110.1 cm, and truly 98.0 cm"),
        (sized({"shoulder_cm": 33.9}), "shoulder is 33.9 cm, and truly 40.0 cm"),
        (sized({"inseam_cm": 88.1}), "inseam is 88.1 cm, and truly 82.0 cm"),
        (sized(drawn={"hip_cm": 99.1}), "hip is 98.0 cm, but 99.1 cm in the drawing"),
        (sized(recommended_size="XL"), "size XL is more than one from the true M"),
        (
            sized(recommended_size="S", size_range={"lower": "M", "upper": "L"}),
            "the range does not hold the recommended S",
        ),
    ],
)
def test_each_defect_of_a_size_is_named(sizing: Sizing, fault: str) -> None:
    assert faults_of_sized(sizing, KNOWN, PNG) == [fault]


@pytest.mark.parametrize("drawing", [b"", PNG[:40], JPEG])
def test_a_drawing_that_is_no_png_is_named(drawing: bytes) -> None:
    assert faults_of_sized(sized(), KNOWN, drawing) == ["the drawing is no PNG"]


def test_the_summary_of_a_size_has_the_measured_above_the_true_values() -> None:
    assert told_sized(sized({"chest_cm": 101.25}), KNOWN, "results/size.png") == (
        "size of person.jpg, 180.5 cm tall: answered in 0.20 s",
        "  size      M, range S to XL; true size M",
        "  measured  chest 101.2, waist  80.0, hip  98.0, shoulder  40.0, inseam  82.0 cm",
        "  true      chest  96.0, waist  80.0, hip  98.0, shoulder  40.0, inseam  82.0 cm",
        "  body      average; confidence 0.70",
        "  picture   results/size.png (silhouette, landmarks and measured lines)",
    )


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
