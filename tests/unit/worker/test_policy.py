"""What each failure leads to, and what the person reads."""

import pytest

from models import failures
from models.failures import Failure
from services.fetching.image_download import MAX_DOWNLOAD_BYTES
from services.images.limits import MAX_PIXELS
from worker.settlement.policy import ATTEMPT_LIMIT, DEFAULT_MESSAGE, NOT_CHARGED, Fail, RetryLater, decide, message_for

TECHNICAL_TEXT = "Traceback HTTP 500 https://project.supabase.co/p.jpg?token=secret"


def every_kind(base: type[Failure] = Failure) -> list[type[Failure]]:
    return [base, *(kind for child in base.__subclasses__() for kind in every_kind(child))]


def make(kind: type[Failure]) -> Failure:
    if kind is failures.ImageTooLarge:
        return failures.ImageTooLarge(limit=10, unit="bytes")
    if kind is failures.DeadlineExceeded:
        return failures.DeadlineExceeded(300)
    if issubclass(kind, failures.PlatformFailure):
        return kind("complete", TECHNICAL_TEXT)
    return kind(TECHNICAL_TEXT)


ALL_KINDS = every_kind()
FINAL_KINDS = [kind for kind in ALL_KINDS if kind is not failures.RateLimited]


def test_every_kind_of_failure_has_its_place_in_the_tree_that_is_shown() -> None:
    shown = (failures.__doc__ or "").replace("│", " ").replace("├──", " ").replace("└──", " ").split()
    assert [kind.__name__ for kind in ALL_KINDS if kind.__name__ not in shown] == []


def test_a_first_rate_limit_is_tried_again_in_ten_seconds() -> None:
    assert decide(make(failures.RateLimited), rate_limited_before=0) == RetryLater(delay_seconds=10)


@pytest.mark.parametrize(
    ("named_seconds", "delay_seconds"), [(None, 10), (0.0, 10), (9.9, 10), (12.5, 12.5), (60.0, 60), (86_400.0, 60)]
)
def test_the_retry_waits_as_long_as_the_provider_names_but_not_for_ever(
    named_seconds: float | None, delay_seconds: float
) -> None:
    failure = failures.RateLimited("429", retry_after_seconds=named_seconds)
    assert decide(failure, rate_limited_before=0) == RetryLater(delay_seconds)


@pytest.mark.parametrize("before", [1, 2, 7])
def test_a_second_rate_limit_is_final(before: int) -> None:
    decision = decide(make(failures.RateLimited), rate_limited_before=before)
    assert isinstance(decision, Fail)
    assert decision.reason == "rate_limited"
    assert "busy" in decision.message


@pytest.mark.parametrize("before", [0, 1])
@pytest.mark.parametrize("kind", FINAL_KINDS)
def test_every_other_failure_is_final_at_once(kind: type[Failure], before: int) -> None:
    decision = decide(make(kind), rate_limited_before=before)
    assert isinstance(decision, Fail)
    assert decision.reason == kind.kind


@pytest.mark.parametrize(
    ("kind", "words"),
    [
        (failures.Moderated, "content check"),
        (failures.ImageUnreachable, "could not load"),
        (failures.ImageAddressRefused, "could not load"),
        (failures.ImageTooLarge, f"{MAX_DOWNLOAD_BYTES >> 20} MB and {MAX_PIXELS // 1_000_000} megapixels."),
        (failures.ImageWithoutType, "stored without its type. Please upload it again."),
        (failures.IncompletePicture, "The picture is incomplete. Please upload it again."),
        (failures.NotAnImage, "JPEG, PNG, WebP, AVIF, HEIC or GIF"),
        (failures.ProviderUnavailable, "not available right now"),
        (failures.QuotaExhausted, "try again later"),
        (failures.CredentialsRejected, "try again later"),
        (failures.NoModelLeft, "try again later"),
        (failures.StorageRefused, "try again later"),
        (failures.DeadlineExceeded, "too long"),
        (failures.ProviderRejectedRequest, DEFAULT_MESSAGE),
        (failures.ProviderAnswerUnusable, DEFAULT_MESSAGE),
        (failures.PlatformRefused, DEFAULT_MESSAGE),
        (failures.OwnerMismatch, DEFAULT_MESSAGE),
        (failures.AttemptsExhausted, DEFAULT_MESSAGE),
        (failures.TaskLost, DEFAULT_MESSAGE),
        (failures.BadTask, DEFAULT_MESSAGE),
        (failures.UnexpectedFailure, DEFAULT_MESSAGE),
    ],
)
def test_the_person_is_told_what_fits_the_failure(kind: type[Failure], words: str) -> None:
    assert words in message_for(make(kind))


@pytest.mark.parametrize("kind", ALL_KINDS)
def test_the_person_reads_no_technical_text_and_learns_of_the_refund(kind: type[Failure]) -> None:
    message = message_for(make(kind))
    assert message.endswith(NOT_CHARGED)
    assert not any(word in message for word in ("Traceback", "HTTP", "http", "token", "Error", "_"))


def test_a_quota_failure_is_no_rate_limit() -> None:
    assert isinstance(decide(make(failures.QuotaExhausted), rate_limited_before=0), Fail)


def test_every_failure_has_a_name_of_its_own() -> None:
    names = [kind.kind for kind in ALL_KINDS]
    assert len(set(names)) == len(names)


def test_a_session_whose_worker_died_runs_twice_in_all() -> None:
    assert ATTEMPT_LIMIT == 2
