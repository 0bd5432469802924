"""Every way a connection can fail has a meaning; every answer has a greatest size."""

import base64
import inspect
import io
import random

import httpx
import pytest
from PIL import Image

from models.failures import ProviderAnswerUnusable
from models.image_models import STANDARD_SIZES
from services.providers.image_provider import Retryable
from services.providers.openai.wire import EXCHANGE_LIMITS, largest_size_bytes, translate_transport_error

MAX_ANSWER_BYTES = EXCHANGE_LIMITS.max_answer_bytes


def request_errors() -> list[type[httpx.RequestError]]:
    return [error for _, error in inspect.getmembers(httpx, inspect.isclass) if issubclass(error, httpx.RequestError)]


@pytest.mark.parametrize("error", request_errors())
def test_every_error_of_the_http_client_is_translated(error: type[httpx.RequestError]) -> None:
    verdict = translate_transport_error(error("secret-host.internal refused"))
    expected = Retryable if issubclass(error, httpx.TransportError) else ProviderAnswerUnusable
    assert type(verdict) is expected
    assert "secret-host" not in str(verdict)


def test_an_error_of_the_operating_system_counts_as_no_answer() -> None:
    assert isinstance(translate_transport_error(OSError("bad record mac")), Retryable)


@pytest.mark.parametrize(
    ("headers", "size_bytes"),
    [
        ({"content-length": "1400000"}, 1_400_000),
        ({}, MAX_ANSWER_BYTES),
        ({"content-length": str(MAX_ANSWER_BYTES + 1)}, MAX_ANSWER_BYTES),
        ({"content-length": "70", "transfer-encoding": "chunked"}, MAX_ANSWER_BYTES),
        ({"content-length": "70", "content-encoding": "gzip"}, MAX_ANSWER_BYTES),
    ],
    ids=["announced", "not announced", "too much announced", "announced and chunked", "compressed though not asked"],
)
def test_an_answer_comes_to_what_it_announces_and_never_to_more_than_the_bound(
    headers: dict[str, str], size_bytes: int
) -> None:
    assert largest_size_bytes(httpx.Headers(headers), MAX_ANSWER_BYTES) == size_bytes


@pytest.mark.parametrize("size_px", STANDARD_SIZES)
def test_even_a_picture_of_pure_noise_fits_into_the_bound_three_times(size_px: tuple[int, int]) -> None:
    width, height = size_px
    noise = Image.frombytes("RGB", size_px, random.Random(0).randbytes(width * height * 3))
    jpeg = io.BytesIO()
    noise.save(jpeg, "JPEG", quality=95)
    assert 3 * len(base64.b64encode(jpeg.getvalue())) < MAX_ANSWER_BYTES
