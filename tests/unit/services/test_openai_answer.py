"""What may be wrong with a 200 answer."""

import base64
import io
import json
from typing import Any

import pytest
from PIL import Image

from models.failures import ProviderAnswerUnusable
from models.generation import GeneratedImage, Usage
from models.image_models import KNOWN_MODELS
from services.providers.openai.answer import read_answer

MODEL = KNOWN_MODELS["gpt-image-1.5"]


def picture(picture_format: str = "JPEG") -> bytes:
    buffer = io.BytesIO()
    Image.new("RGB", (64, 96), "teal").save(buffer, picture_format)
    return buffer.getvalue()


JPEG = picture()
USAGE = {
    "input_tokens": 1_100,
    "input_tokens_details": {"text_tokens": 100, "image_tokens": 1_000},
    "output_tokens": 1_584,
    "total_tokens": 2_684,
}


def document(**changes: Any) -> bytes:
    answer = {"created": 1, "data": [{"b64_json": base64.b64encode(JPEG).decode()}], "usage": USAGE} | changes
    return json.dumps(answer).encode()


def read(body: bytes) -> GeneratedImage:
    return read_answer(bytearray(body), MODEL, provider_request_id="req_1")


def test_a_good_answer_gives_the_picture_its_tokens_and_its_price() -> None:
    image = read(document())
    assert image.jpeg == JPEG
    assert image.model == "gpt-image-1.5"
    assert image.usage == Usage(input_text_tokens=100, input_image_tokens=1_000, output_tokens=1_584)
    assert str(image.estimated_cost_usd) == "0.059188"


def test_the_answer_is_emptied_while_it_is_read() -> None:
    body = bytearray(document())
    read_answer(body, MODEL, provider_request_id=None)
    assert not body


def encoded(data: bytes) -> list[dict[str, str]]:
    return [{"b64_json": base64.b64encode(data).decode()}]


@pytest.mark.parametrize(
    "body",
    [
        pytest.param(b"", id="nothing"),
        pytest.param(b"<html>", id="no JSON"),
        pytest.param(document()[:-20], id="cut off"),
        pytest.param(b"\xff\xfe\xfd", id="no text"),
        pytest.param(b"[" * 100_000, id="nested beyond reason"),
        pytest.param(b"null", id="null"),
        pytest.param(b"[]", id="a list"),
        pytest.param(b"{}", id="an empty object"),
        pytest.param(document(data=[]), id="no picture"),
        pytest.param(document(data=None), id="data is null"),
        pytest.param(document(data={"b64_json": "x"}), id="data is no list"),
        pytest.param(document(data=[{"url": "https://example.com/x.jpg"}]), id="an address instead"),
        pytest.param(document(data=[{"b64_json": None}]), id="base64 is null"),
        pytest.param(document(data=[{"b64_json": ""}]), id="base64 is empty"),
        pytest.param(document(data=[{"b64_json": "/9j/" + "!" * 40}]), id="no base64"),
        pytest.param(document(data=[{"b64_json": "/9j/é"}]), id="base64 beyond ASCII"),
        pytest.param(document(data=[{"b64_json": base64.b64encode(JPEG).decode()[:-5]}]), id="base64 cut off"),
        pytest.param(document(data=encoded(b"not a picture")), id="no picture bytes"),
        pytest.param(document(data=encoded(picture("PNG"))), id="a PNG"),
        pytest.param(document(data=encoded(JPEG[: len(JPEG) // 2])), id="half a JPEG"),
        pytest.param(document(data=encoded(b"\xff\xd8\xff" + bytes(500) + b"\xff\xd9")), id="only looks like a JPEG"),
    ],
)
def test_an_answer_without_a_usable_jpeg_is_a_failure(body: bytes) -> None:
    with pytest.raises(ProviderAnswerUnusable) as caught:
        read(body)
    assert caught.value.status == 200
    assert caught.value.provider_request_id == "req_1"


@pytest.mark.parametrize(
    ("usage", "expected"),
    [
        pytest.param(None, None, id="no usage"),
        pytest.param([], None, id="usage of another shape"),
        pytest.param({"input_tokens": 50, "output_tokens": 7}, Usage(0, 50, 7), id="no details: all image input"),
        pytest.param(
            {"input_tokens": 50, "input_tokens_details": None, "output_tokens": 7}, Usage(0, 50, 7), id="null details"
        ),
        pytest.param(
            {"input_tokens": 50, "input_tokens_details": {"text_tokens": 9}, "output_tokens": 7},
            Usage(9, 41, 7),
            id="details without image tokens",
        ),
        pytest.param(
            {"input_tokens": 5, "input_tokens_details": {"text_tokens": 9}, "output_tokens": 7},
            Usage(5, 0, 7),
            id="more text than input",
        ),
        pytest.param(
            {
                "input_tokens": 1_000,
                "input_tokens_details": {
                    "text_tokens": 100,
                    "image_tokens": 900,
                    "cached_tokens": 640,
                    "cached_tokens_details": {"text_tokens": 64, "image_tokens": 576},
                },
                "output_tokens": 7,
            },
            Usage(100, 900, 7, cached_text_tokens=64, cached_image_tokens=576),
            id="cached tokens by kind",
        ),
        pytest.param(
            {
                "input_tokens": 1_000,
                "input_tokens_details": {"text_tokens": 100, "image_tokens": 900, "cached_tokens": 640},
                "output_tokens": 7,
            },
            Usage(100, 900, 7, cached_text_tokens=100, cached_image_tokens=540),
            id="cached tokens undivided: text first, which saves least",
        ),
        pytest.param(
            {
                "input_tokens": 10,
                "input_tokens_details": {
                    "text_tokens": 4,
                    "cached_tokens_details": {"text_tokens": 99, "image_tokens": "99"},
                },
                "output_tokens": 7,
            },
            Usage(4, 6, 7, cached_text_tokens=4),
            id="more cached than there was, and a count that is none",
        ),
        pytest.param({"input_tokens": "50", "output_tokens": -1}, None, id="tokens that are no counts"),
        pytest.param({"input_tokens": True, "output_tokens": 1.5}, None, id="tokens that are no integers"),
    ],
)
def test_a_missing_bill_never_costs_the_person_the_picture(usage: object, expected: Usage | None) -> None:
    image = read(document(usage=usage))
    assert image.usage == expected
    assert (image.estimated_cost_usd is None) == (expected is None)
