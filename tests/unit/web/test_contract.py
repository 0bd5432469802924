"""What POST /estimate-body takes, and how every failure is told."""

import json
import re
from pathlib import Path
from typing import get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import BaseModel, ValidationError

from models import failures
from models.failures import (
    Failure,
    ImageAddressRefused,
    ImageTooLarge,
    ImageUnreachable,
    ImageWithoutType,
    IncompletePicture,
    InputFailure,
    NotAnImage,
)
from models.size_rec import (
    ACCEPTED_PHOTOS,
    MAX_URL_LENGTH,
    EstimateBodyRequest,
    EstimateBodyResponse,
    Measurements,
    NoteName,
)
from services.fetching.image_download import MAX_DOWNLOAD_BYTES
from services.images.limits import MAX_DECODE_BYTES, MAX_PIXELS
from services.images.opening import HEIC_BYTES_PER_PIXEL, PEAK_BYTES_PER_PIXEL
from services.images.webp import ALPHA_BYTES_PER_PIXEL
from size_rec.cli.chart_file import chart_in
from size_rec.metrics import ANSWERED, OUTCOMES
from size_rec.problems import IMAGE_PROBLEMS, ModelUnavailable, Overloaded, PhotoTooSlow, problem_of
from size_rec.vocabulary import Note, PictureRefused, Refusal
from web.edges import accept_request_id

DOCS = Path(__file__).parents[3].joinpath("docs", "size-recommendation.md").read_text()
URL = "https://storage.example.com/a.jpg"


@pytest.mark.parametrize(
    "body",
    [
        {"image_url": URL, "height_cm": 100},
        {"image_url": URL, "height_cm": 250.0},
        {"image_url": URL, "height_cm": 175.5, "weight_kg": 30},
        {"image_url": URL, "height_cm": 175.5, "weight_kg": 250},
        {"image_url": URL, "height_cm": 175.5, "weight_kg": None},
    ],
)
def test_a_complete_request_is_taken(body: dict[str, object]) -> None:
    assert EstimateBodyRequest.model_validate(body).image_url == URL


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({"image_url": URL}, "height_cm"),
        ({"height_cm": 170}, "image_url"),
        ({"image_url": "", "height_cm": 170}, "image_url"),
        ({"image_url": "x" * (MAX_URL_LENGTH + 1), "height_cm": 170}, "image_url"),
        ({"image_url": None, "height_cm": 170}, "image_url"),
        ({"image_url": URL, "height_cm": 99.9}, "height_cm"),
        ({"image_url": URL, "height_cm": 250.1}, "height_cm"),
        ({"image_url": URL, "height_cm": "170"}, "height_cm"),
        ({"image_url": URL, "height_cm": True}, "height_cm"),
        ({"image_url": URL, "height_cm": float("nan")}, "height_cm"),
        ({"image_url": URL, "height_cm": float("inf")}, "height_cm"),
        ({"image_url": URL, "height_cm": 170, "weight_kg": 29.9}, "weight_kg"),
        ({"image_url": URL, "height_cm": 170, "weight_kg": 250.1}, "weight_kg"),
        ({"image_url": URL, "height_cm": 170, "age": 30}, "age"),
    ],
)
def test_anything_else_is_refused_by_field(body: dict[str, object], field: str) -> None:
    with pytest.raises(ValidationError) as refusal:
        EstimateBodyRequest.model_validate(body)
    assert refusal.value.errors()[0]["loc"] == (field,)


@pytest.mark.parametrize("shape", [EstimateBodyRequest, EstimateBodyResponse])
def test_every_example_of_the_page_is_valid(shape: type[BaseModel]) -> None:
    examples = shape.model_json_schema()["examples"]
    assert all(shape.model_validate(example).model_dump(exclude_unset=True) == example for example in examples)


def test_every_note_is_in_the_contract_and_in_the_docs() -> None:
    assert set(get_args(NoteName)) == {note.value for note in Note}
    assert [note for note in Note if f"`{note}`" not in DOCS] == []


def test_the_charts_in_the_docs_are_charts() -> None:
    [request] = re.findall(r"```json\n(.*?)```", DOCS, re.DOTALL)
    [file] = re.findall(r"```\n(size,.*?)```", DOCS, re.DOTALL)
    asked = EstimateBodyRequest.model_validate_json(request)
    assert asked.size_chart is not None
    assert chart_in(file) == asked.size_chart.model_copy(update={"garment_type": None})


def test_the_answer_has_exactly_the_measures_the_platform_accepts() -> None:
    assert set(Measurements.model_fields) == {"chest_cm", "waist_cm", "hip_cm", "shoulder_cm", "inseam_cm"}


@pytest.mark.parametrize(
    ("error", "status", "code"),
    [
        (ImageUnreachable("host.internal: refused"), 400, "image_unreachable"),
        (ImageAddressRefused("10.0.0.1 is private"), 400, "image_address_refused"),
        (NotAnImage("text/html"), 400, "not_an_image"),
        (ImageWithoutType("host.internal: text/plain"), 400, "image_without_type"),
        (IncompletePicture("the last 90 of 512 rows"), 400, "incomplete_picture"),
        (ImageTooLarge(limit=10, unit="bytes"), 413, "image_too_large"),
        (ImageTooLarge(limit=32_537_631, unit="pixels"), 413, "image_too_many_pixels"),
        (ImageTooLarge(limit=MAX_PIXELS, unit="pixels"), 413, "image_too_many_pixels"),
        (Overloaded(), 429, "overloaded"),
        (ModelUnavailable(), 503, "model_unavailable"),
        (PhotoTooSlow(), 504, "image_timeout"),
        (TimeoutError(), 504, "deadline_exceeded"),
        (RuntimeError("secret detail"), 500, "internal_error"),
        *((PictureRefused(reason), 422, reason.value) for reason in Refusal),
    ],
)
def test_every_failure_has_its_status_and_code_and_tells_nothing_internal(
    error: Exception, status: int, code: str
) -> None:
    kind = problem_of(error)
    assert (kind.status, kind.code) == (status, code)
    assert str(error) not in kind.detail or not str(error)
    assert kind.code in OUTCOMES


def test_every_failure_of_a_picture_is_in_the_table() -> None:
    kinds = [kind for kind in vars(failures).values() if isinstance(kind, type) and issubclass(kind, Failure)]
    assert {kind for kind in kinds if issubclass(kind, InputFailure)} - {InputFailure} == set(IMAGE_PROBLEMS)


def test_too_many_pixels_are_not_called_too_many_megabytes() -> None:
    assert problem_of(ImageTooLarge(limit=MAX_PIXELS, unit="pixels")).detail == (
        "The photo has more than 64 megapixels. Please make it smaller."
    )
    assert problem_of(ImageTooLarge(limit=32_537_631, unit="pixels")).detail == (
        "The photo has more than 32 megapixels, the most we can read of this kind of file. "
        "Please make it smaller, or use a JPEG of up to 64 megapixels."
    )


def test_an_incomplete_picture_is_told_to_be_that() -> None:
    assert problem_of(IncompletePicture("rows")).detail == "The picture is incomplete. Please upload it again."
    assert "stored without its type" in problem_of(ImageWithoutType("text/plain")).detail


def test_the_docs_list_every_code() -> None:
    assert [code for code in OUTCOMES if code != ANSWERED and f"`{code}`" not in DOCS] == []


@pytest.mark.parametrize(
    "words",
    [ACCEPTED_PHOTOS, DOCS, IMAGE_PROBLEMS[ImageTooLarge].detail],
    ids=["OpenAPI", "docs", "answer"],
)
def test_the_limit_on_bytes_is_told_as_it_is(words: str) -> None:
    assert f"most {MAX_DOWNLOAD_BYTES >> 20} MB" in words


@pytest.mark.parametrize(
    "words",
    [ACCEPTED_PHOTOS, DOCS],
    ids=["OpenAPI", "docs"],
)
def test_the_limits_on_pixels_are_told_as_they_are(words: str) -> None:
    bytes_per_pixel = PEAK_BYTES_PER_PIXEL | {
        "WEBP": ALPHA_BYTES_PER_PIXEL,
        "HEIF": HEIC_BYTES_PER_PIXEL[False, 420],
    }
    limits = {
        name: min(MAX_PIXELS, int(MAX_DECODE_BYTES / bytes_per_pixel[name])) // 1_000_000
        for name in ("JPEG", "PNG", "WEBP", "GIF", "HEIF", "AVIF")
    }
    assert {limits[name] for name in ("JPEG", "PNG", "WEBP", "GIF", "HEIF")} == {64}
    told = f"JPEG, PNG, WebP, GIF or HEIC of up to 64 megapixels, AVIF of up to {limits['AVIF']}"
    assert told in " ".join(words.split())


@pytest.mark.parametrize("given_id", ["req_1", "A-b.c:9", "x" * 128])
def test_a_well_formed_request_id_is_taken_over(given_id: str) -> None:
    assert accept_request_id(given_id) == given_id


@given(st.none() | st.text().filter(lambda text: not text.isascii() or not text.isalnum()) | st.just("x" * 129))
def test_any_other_request_id_is_replaced_by_a_clean_one(given_id: str | None) -> None:
    accepted = accept_request_id(given_id)
    if accepted != given_id:
        assert accepted.startswith("req_")
    assert len(accepted) <= 128
    assert json.dumps(accepted) == f'"{accepted}"'
