"""What the demo expects of a session that is over, and how it tells it.

The demo is not only a show: it ends with exit code 0 only when nothing here finds fault.
"""

import io
from dataclasses import dataclass
from typing import Final, get_args

from PIL import Image

from models.generation import SessionStatus
from models.size_rec import Measurements, SizeName
from sandbox.console.following import Journey
from sandbox.demo.sizing import KnownBody, Sizing
from sandbox.platform.state import SessionRow

RESULT_FORMAT: Final = "JPEG"
"""What the worker promises to store under a ``.jpg`` name."""

DRAWING_FORMAT: Final = "PNG"
"""What the drawing's name promises."""

SIZES: Final[tuple[SizeName, ...]] = get_args(SizeName)
"""Smallest first."""

GIRTH_TOLERANCE_CM: Final = 12.0
"""One and a half sizes, three times the mean error on unseen bodies and more: wider is not inexact but broken."""

LENGTH_TOLERANCE_CM: Final = 6.0
"""For shoulders and inseam, four times the mean error and more."""

TOLERANCES_CM: Final = {
    "chest_cm": GIRTH_TOLERANCE_CM,
    "waist_cm": GIRTH_TOLERANCE_CM,
    "hip_cm": GIRTH_TOLERANCE_CM,
    "shoulder_cm": LENGTH_TOLERANCE_CM,
    "inseam_cm": LENGTH_TOLERANCE_CM,
}
"""By measure, from the known true value."""

SAME_CM: Final = 1.0
"""The drawing and the answer come from two processes and one photo; rounding apart, they measure the same."""


@dataclass(frozen=True, slots=True)
class Account:
    """One paying party's view of one session; ``charged`` and ``refunded`` are sums of its ledger entries."""

    before: int
    after: int
    charged: int
    refunded: int


@dataclass(frozen=True, slots=True)
class Finding:
    """One session or size of the demo: the lines of the summary, and what was not as expected."""

    lines: tuple[str, ...]
    faults: tuple[str, ...]


def faults_of_completed(row: SessionRow, account: Account, picture: bytes | None) -> list[str]:
    """What is wrong with a session that should have been completed and paid; empty if nothing."""
    if row.status is not SessionStatus.COMPLETED:
        return [f"it is {row.status}, not completed; the message is: {row.error_message}"]
    wrong = {
        "the stored picture is no JPEG": picture is None or picture_format(picture) != RESULT_FORMAT,
        "it counts no tokens": not (row.input_tokens and row.output_tokens),
        "it has no price": not row.estimated_cost_usd,
        "it has no processing time": row.processing_time_ms is None,
        "it still has an error message": row.error_message is not None,
    }
    return [fault for fault, is_so in wrong.items() if is_so] + _faults_of_account(
        account, row.credits_used, refunded=0
    )


def faults_of_refused(row: SessionRow, account: Account) -> list[str]:
    """What is wrong with a session that should have failed and been refunded; empty if nothing."""
    if row.status is not SessionStatus.FAILED:
        return [f"it is {row.status}, not failed"]
    wrong = {
        "there is no message for the person": not row.error_message,
        "a failed session has a picture": row.generated_image_url is not None,
    }
    faults = [fault for fault, is_so in wrong.items() if is_so]
    return faults + _faults_of_account(account, row.credits_used, refunded=row.credits_used)


def _faults_of_account(account: Account, charged: int, *, refunded: int) -> list[str]:
    wrong = {
        f"{account.charged} credits were charged instead of {charged}": account.charged != charged,
        f"{account.refunded} credits were refunded instead of {refunded}": account.refunded != refunded,
        f"the balance went from {account.before} to {account.after}": (
            account.after != account.before - charged + refunded
        ),
    }
    return [fault for fault, is_so in wrong.items() if is_so]


def faults_of_sized(sizing: Sizing, known: KnownBody, drawing: bytes) -> list[str]:
    """What is wrong with the size of a person whose true measures are known; empty if nothing."""
    answer = sizing.answer
    size, lower, upper = map(SIZES.index, (answer.recommended_size, answer.size_range.lower, answer.size_range.upper))
    true = known.measurements.model_dump()
    drawn = sizing.drawn.measurements.model_dump()
    faults = []
    for name, value in answer.measurements.model_dump().items():
        if abs(value - true[name]) > TOLERANCES_CM[name]:
            faults.append(f"{_plain(name)} is {value:.1f} cm, and truly {true[name]:.1f} cm")
        if abs(value - drawn[name]) > SAME_CM:
            faults.append(f"{_plain(name)} is {value:.1f} cm, but {drawn[name]:.1f} cm in the drawing")
    wrong = {
        f"size {answer.recommended_size} is more than one from the true {known.size}": (
            abs(size - SIZES.index(known.size)) > 1
        ),
        f"the range does not hold the recommended {answer.recommended_size}": not lower <= size <= upper,
        "the drawing is no PNG": picture_format(drawing) != DRAWING_FORMAT,
    }
    return faults + [fault for fault, is_so in wrong.items() if is_so]


def picture_format(picture: bytes) -> str | None:
    """The format the bytes really are in; ``None`` if they are no picture."""
    try:
        with Image.open(io.BytesIO(picture)) as image:
            image.load()
            return image.format
    except (OSError, SyntaxError):
        return None


def told_completed(journey: Journey, row: SessionRow, account: Account, saved_as: str) -> tuple[str, ...]:
    """The summary of a completed session."""
    return (
        f"{journey.label}: {journey.story()}",
        f"  picture   {saved_as}",
        f"  tokens    {row.input_tokens} in, {row.output_tokens} out; price {row.estimated_cost_usd} USD",
        f"  credits   {account.before} before, {account.after} after",
    )


def told_refused(journey: Journey, row: SessionRow, account: Account) -> tuple[str, ...]:
    """The summary of a refused session."""
    return (
        f"{journey.label}: {journey.story()}",
        f"  message   {row.error_message}",
        f"  credits   {account.before} before, {account.charged} charged, {account.refunded} refunded,"
        f" {account.after} after",
    )


def told_sized(sizing: Sizing, known: KnownBody, saved_as: str) -> tuple[str, ...]:
    """The summary of a size recommendation."""
    answer = sizing.answer
    return (
        f"size of {known.photo.name}, {known.height_cm:g} cm tall: answered in {sizing.answer_seconds:.2f} s",
        f"  size      {answer.recommended_size}, range {answer.size_range.lower} to {answer.size_range.upper};"
        f" true size {known.size}",
        f"  measured  {_told_measures(answer.measurements)}",
        f"  true      {_told_measures(known.measurements)}",
        f"  body      {answer.body_type}; confidence {answer.confidence:.2f}",
        f"  picture   {saved_as} (silhouette, landmarks and measured lines)",
    )


def _told_measures(measurements: Measurements) -> str:
    """All in one line, in columns, so that two such lines can be compared."""
    values = measurements.model_dump().items()
    return ", ".join(f"{_plain(name)} {value:5.1f}" for name, value in values) + " cm"


def _plain(name: str) -> str:
    return name.removesuffix("_cm")
