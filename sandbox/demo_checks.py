"""What the demo expects of a session that is over, and how it tells it. Pure.

The demo is not only a show: it ends with exit code 0 only when nothing here finds fault.
"""

import io
from dataclasses import dataclass
from typing import Final

from PIL import Image

from models.generation import SessionStatus
from sandbox.following import Journey
from sandbox.platform_state import SessionRow

RESULT_FORMAT: Final = "JPEG"
"""What the worker promises to store under a ``.jpg`` name."""


@dataclass(frozen=True, slots=True)
class Account:
    """One paying party's view of one session; ``charged`` and ``refunded`` are sums of its ledger entries."""

    before: int
    after: int
    charged: int
    refunded: int


@dataclass(frozen=True, slots=True)
class Finding:
    """One session of the demo: the lines of the summary, and what was not as expected."""

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
