"""[pure] Every way ``POST /estimate-body`` can end without an answer: one table from cause to status, code and words.

What a person reads is decided here from the kind of failure alone, so no internal detail can reach an answer.
"""

from dataclasses import replace
from http import HTTPStatus

from models.failures import (
    ImageAddressRefused,
    ImageTooLarge,
    ImageUnreachable,
    ImageWithoutType,
    IncompletePicture,
    NotAnImage,
)
from models.problems import INTERNAL, ProblemKind
from services.images.limits import MAX_PIXELS
from size_rec.vocabulary import MeasurerGone, PictureRefused, Refusal

MEGAPIXEL = 1_000_000

WHOLE_BODY = "Please use a photo that shows you from head to feet."


class Overloaded(Exception):
    """More photographs are being fetched or measured than a bound allows."""


class PhotoTooSlow(Exception):
    """The photo's host did not send it within the request's time."""


class ModelUnavailable(Exception):
    """No measuring process is ready (yet)."""


OVERLOADED = ProblemKind(
    HTTPStatus.TOO_MANY_REQUESTS,
    "overloaded",
    "Too many photos are being worked on right now. Please try again in a moment.",
)
MODEL_UNAVAILABLE = ProblemKind(
    HTTPStatus.SERVICE_UNAVAILABLE,
    "model_unavailable",
    "Size recommendation is not available right now. Please try again in a moment.",
)
PHOTO_TOO_SLOW = ProblemKind(
    HTTPStatus.GATEWAY_TIMEOUT,
    "image_timeout",
    "The photo could not be fetched in time. Please try again, or use a photo on another server.",
)
DEADLINE = ProblemKind(
    HTTPStatus.GATEWAY_TIMEOUT, "deadline_exceeded", "Measuring the photo took too long. Please try again."
)
IMAGE_PROBLEMS: dict[type[Exception], ProblemKind] = {
    ImageUnreachable: ProblemKind(
        HTTPStatus.BAD_REQUEST, "image_unreachable", "The photo could not be downloaded from this address."
    ),
    ImageAddressRefused: ProblemKind(
        HTTPStatus.BAD_REQUEST, "image_address_refused", "The photo cannot be downloaded from this address."
    ),
    NotAnImage: ProblemKind(
        HTTPStatus.BAD_REQUEST,
        "not_an_image",
        "The file is not a picture we can read. Please use JPEG, PNG, WebP, AVIF, HEIC or GIF.",
    ),
    ImageWithoutType: ProblemKind(
        HTTPStatus.BAD_REQUEST,
        "image_without_type",
        "The photo was stored without its type. Please upload it again.",
    ),
    IncompletePicture: ProblemKind(
        HTTPStatus.BAD_REQUEST, "incomplete_picture", "The picture is incomplete. Please upload it again."
    ),
    ImageTooLarge: ProblemKind(
        HTTPStatus.REQUEST_ENTITY_TOO_LARGE,
        "image_too_large",
        "The photo is too large. Please use one of at most 10 MB.",
    ),
}

TOO_MANY_PIXELS = ProblemKind(
    HTTPStatus.REQUEST_ENTITY_TOO_LARGE,
    "image_too_many_pixels",
    f"The photo has more than {MAX_PIXELS // MEGAPIXEL} megapixels. Please make it smaller.",
)

PROBLEMS: dict[type[Exception], ProblemKind] = {
    **IMAGE_PROBLEMS,
    Overloaded: OVERLOADED,
    ModelUnavailable: MODEL_UNAVAILABLE,
    MeasurerGone: MODEL_UNAVAILABLE,
    PhotoTooSlow: PHOTO_TOO_SLOW,
    TimeoutError: DEADLINE,
}

REFUSALS: dict[Refusal, str] = {
    Refusal.NO_PERSON: "No person could be found. Please use a bright front photo that you nearly fill.",
    Refusal.SEVERAL_PEOPLE: "More than one person is in the picture; a child on your arm counts, too. Please use "
    "a photo that shows only you.",
    Refusal.HEAD_CUT_OFF: f"The head is not fully in the picture. {WHOLE_BODY}",
    Refusal.FEET_CUT_OFF: f"The feet are not in the picture. {WHOLE_BODY}",
    Refusal.SIDE_CUT_OFF: f"The side of the picture cuts off a part of the body. {WHOLE_BODY}",
    Refusal.NOT_STANDING: "The person does not stand upright. Please stand straight, legs together or slightly apart.",
    Refusal.TURNED_AWAY: "The person is turned away, or the face is covered. Please face the camera, with no phone, "
    "mask or blur over the face.",
    Refusal.STRETCHED: "The picture looks stretched. Please upload the original.",
    Refusal.UNCLEAR: "The outline of the body could not be made out. Please stand alone before a plain background.",
}


def problem_of(error: Exception) -> ProblemKind:
    """The problem an exception stands for; anything unknown is an internal error."""
    match error:
        case PictureRefused():
            return ProblemKind(HTTPStatus.UNPROCESSABLE_ENTITY, error.reason.value, REFUSALS[error.reason])
        case ImageTooLarge(unit="pixels"):
            return _too_many_pixels(error.limit)
    return next((kind for cause, kind in PROBLEMS.items() if isinstance(error, cause)), INTERNAL)


def _too_many_pixels(limit_pixels: int) -> ProblemKind:
    """Some formats take more memory for each pixel than others and have a lower limit; JPEG has the highest."""
    if limit_pixels >= MAX_PIXELS:
        return TOO_MANY_PIXELS
    detail = (
        f"The photo has more than {limit_pixels // MEGAPIXEL} megapixels, the most we can read of this kind of file. "
        f"Please make it smaller, or use a JPEG of up to {MAX_PIXELS // MEGAPIXEL} megapixels."
    )
    return replace(TOO_MANY_PIXELS, detail=detail)


def reason_of(error: Exception) -> dict[str, object]:
    """What an operator needs beyond the code: the failure's own reason and the photo host's status.

    Failures name hosts and never paths or queries (``services/fetching/image_download.py``); other errors tell
    nothing here.
    """
    match error:
        case ImageUnreachable(status=int()):
            return {"reason": error.reason, "host_status": error.status}
        case ImageUnreachable() | ImageAddressRefused() | NotAnImage() | ImageWithoutType() | IncompletePicture():
            return {"reason": error.reason}
        case ImageTooLarge():
            return {"reason": f"more than {error.limit} {error.unit}"}
        case MeasurerGone():
            return {"reason": f"the measuring process is gone: {error}"}
    return {}
