"""The OpenAI simulator takes what the real API takes, refuses what it refuses, and answers in its form."""

import base64
import io
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import httpx
import pytest
from PIL import Image

from sandbox.openai_sim import SimulatorClient, SimulatorOptions, running_simulator
from sandbox.openai_sim.edit_request import MAXIMUM_IMAGE_BYTES, sort_fields, validate
from sandbox.openai_sim.errors import ApiError
from sandbox.openai_sim.multipart import Part, parse_multipart
from sandbox.openai_sim.profiles import MODELS
from sandbox.openai_sim.usage import input_tokens
from sandbox.plain_http import NO_AUTHORITIES

KEY = {"Authorization": "Bearer sk-test"}
PLAIN = {"prompt": "Dress the person", "model": "gpt-image-1.5"}
Files = list[tuple[str, tuple[str | None, bytes, str]]]


def picture(color: str = "red", size: tuple[int, int] = (60, 90), image_format: str = "JPEG") -> bytes:
    """A one-coloured picture."""
    buffer = io.BytesIO()
    Image.new("RGB", size, color).save(buffer, image_format)
    return buffer.getvalue()


def upload(content: bytes | None = None, *, name: str = "image[]", content_type: str = "image/jpeg") -> Files:
    """One file field."""
    return [(name, ("picture", picture() if content is None else content, content_type))]


def post(simulator: SimulatorClient, fields: dict[str, str], files: Files | None = None) -> httpx.Response:
    """One edit with a good key; without ``files``, with one good picture."""
    return httpx.post(
        f"{simulator.base_url}/images/edits",
        headers=KEY,
        data=fields,
        files=upload() if files is None else files,
        timeout=30,
        verify=NO_AUTHORITIES,
    )


def result(response: httpx.Response) -> Image.Image:
    """The first picture of an answer, decoded."""
    image = Image.open(io.BytesIO(base64.b64decode(response.json()["data"][0]["b64_json"])))
    image.load()
    return image


@pytest.fixture(scope="module")
def module_simulator() -> Iterator[SimulatorClient]:
    with running_simulator() as simulator:
        yield simulator


@pytest.fixture
def simulator(module_simulator: SimulatorClient) -> SimulatorClient:
    module_simulator.reset()
    return module_simulator


@dataclass(frozen=True)
class Refusal:
    """A request that differs from a good one, and the answer to it."""

    name: str
    code: str
    param: str | None
    fields: dict[str, str] = field(default_factory=dict)
    without: str | None = None
    files: Files | None = None
    status: int = 400
    error_type: str = "invalid_request_error"


USER_ERROR = "image_generation_user_error"
GPT_2 = {"model": "gpt-image-2"}
GPT_25 = {"model": "gpt-image-2.5-flare"}
GPT_26 = {"model": "gpt-image-2.6-sunburst"}

REFUSALS = [
    Refusal("an unknown parameter", "unknown_parameter", "colour", {"colour": "red"}),
    Refusal("response_format", "unknown_parameter", "response_format", {"response_format": "b64_json"}),
    Refusal("no prompt", "missing_required_parameter", "prompt", without="prompt"),
    Refusal("an empty prompt", "empty_string", "prompt", {"prompt": ""}),
    Refusal("a prompt of 32001 characters", "string_above_max_length", "prompt", {"prompt": "ä" * 32_001}),
    Refusal("no model", "missing_required_parameter", "model", without="model"),
    Refusal("an unknown model", "invalid_value", "model", {"model": "dall-e-2"}),
    Refusal("no picture", "missing_required_parameter", "image", files=[("prompt", (None, b"hello", "text/plain"))]),
    Refusal("17 pictures", "array_above_max_length", "image", files=upload() * 17),
    Refusal("repeated image", "duplicate_parameter", "image", files=upload(name="image") * 2),
    Refusal("image and image[]", "duplicate_parameter", "image", files=upload(name="image") + upload()),
    Refusal("a picture as text", "invalid_type", "image", {"image": "photo"}),
    Refusal("a prompt as file", "invalid_type", "prompt", without="prompt", files=upload(b"hello", name="prompt")),
    Refusal("a GIF type", "unsupported_file_mimetype", "image", files=upload(content_type="image/gif")),
    Refusal(
        "no known type", "unsupported_file_mimetype", "image", files=upload(content_type="application/octet-stream")
    ),
    Refusal("text as picture", "invalid_image_file", "image", files=upload(b"no picture"), error_type=USER_ERROR),
    Refusal("an empty picture", "invalid_image_file", "image", files=upload(b""), error_type=USER_ERROR),
    Refusal(
        "GIF bytes called JPEG",
        "invalid_image_file",
        "image",
        files=upload(picture(image_format="GIF")),
        error_type=USER_ERROR,
    ),
    Refusal(
        "half a picture",
        "invalid_image_file",
        "image",
        files=upload(picture(size=(300, 300), image_format="PNG")[:300], content_type="image/png"),
        error_type=USER_ERROR,
    ),
    Refusal("a JPEG mask", "unsupported_file_mimetype", "mask", files=upload() + upload(name="mask")),
    Refusal("a size 1.5 has not", "invalid_value", "size", {"size": "1024x1792"}),
    Refusal("a size off the grid", "invalid_value", "size", {**GPT_2, "size": "1792x936"}, error_type=USER_ERROR),
    Refusal("a size too long", "invalid_value", "size", {**GPT_2, "size": "3856x1920"}, error_type=USER_ERROR),
    Refusal("a size too narrow", "invalid_value", "size", {**GPT_2, "size": "3200x1024"}, error_type=USER_ERROR),
    Refusal("a size too small", "invalid_value", "size", {**GPT_26, "size": "512x512"}, error_type=USER_ERROR),
    Refusal("a size too large", "invalid_value", "size", {**GPT_26, "size": "3840x3840"}, error_type=USER_ERROR),
    Refusal("no size at all", "invalid_value", "size", {**GPT_2, "size": "large"}, error_type=USER_ERROR),
    Refusal("quality max on 1.5", "invalid_value", "quality", {"quality": "max"}),
    Refusal("quality xhigh on 2", "invalid_value", "quality", {**GPT_2, "quality": "xhigh"}),
    Refusal("an unknown quality", "invalid_value", "quality", {"quality": "hd"}),
    Refusal("an unknown input_fidelity", "invalid_value", "input_fidelity", {"input_fidelity": "medium"}),
    Refusal(
        "input_fidelity on 2",
        "invalid_input_fidelity_model",
        "input_fidelity",
        {**GPT_2, "input_fidelity": "high"},
        error_type=USER_ERROR,
    ),
    Refusal(
        "input_fidelity on 2.6",
        "invalid_input_fidelity_model",
        "input_fidelity",
        {**GPT_26, "input_fidelity": "high"},
        error_type=USER_ERROR,
    ),
    Refusal(
        "complexity on 1.5", "invalid_complexity_model", "complexity", {"complexity": "low"}, error_type=USER_ERROR
    ),
    Refusal(
        "input_fidelity null on 2",
        "invalid_input_fidelity_model",
        "input_fidelity",
        {**GPT_2, "input_fidelity": "null"},
        error_type=USER_ERROR,
    ),
    Refusal(
        "input_fidelity on 2.5",
        "invalid_input_fidelity_model",
        "input_fidelity",
        {**GPT_25, "input_fidelity": "low"},
        error_type=USER_ERROR,
    ),
    Refusal(
        "complexity on 2.5",
        "invalid_complexity_model",
        "complexity",
        {**GPT_25, "complexity": "low"},
        error_type=USER_ERROR,
    ),
    Refusal("an unknown complexity", "invalid_value", "complexity", {**GPT_26, "complexity": "max"}),
    Refusal("quality standard", "invalid_value", "quality", {**GPT_26, "quality": "standard"}),
    Refusal("output_format gif", "invalid_value", "output_format", {"output_format": "gif"}),
    Refusal("output_format jpg", "invalid_value", "output_format", {"output_format": "jpg"}),
    Refusal(
        "compressed PNG",
        "invalid_png_output_compression",
        "output_compression",
        {"output_compression": "80"},
        error_type=USER_ERROR,
    ),
    Refusal("compression 101", "integer_above_max_value", "output_compression", {"output_compression": "101"}),
    Refusal("compression -1", "integer_below_min_value", "output_compression", {"output_compression": "-1"}),
    Refusal("n of 0", "integer_below_min_value", "n", {"n": "0"}),
    Refusal("n of 11", "integer_above_max_value", "n", {"n": "11"}),
    Refusal("n of two", "invalid_type", "n", {"n": "two"}),
    Refusal("an unknown background", "invalid_value", "background", {"background": "white"}),
    Refusal(
        "transparent on 2", "invalid_value", "background", {**GPT_2, "background": "transparent"}, error_type=USER_ERROR
    ),
    Refusal(
        "transparent JPEG",
        "invalid_value",
        "background",
        {"background": "transparent", "output_format": "jpeg"},
        error_type=USER_ERROR,
    ),
    Refusal("an unknown moderation", "invalid_value", "moderation", {"moderation": "off"}),
    Refusal(
        "a long safety_identifier", "string_above_max_length", "safety_identifier", {"safety_identifier": "x" * 65}
    ),
    Refusal("streaming", "not_simulated", "stream", {"stream": "true"}, error_type=USER_ERROR),
    Refusal("a misspelt fault", "unknown_simulator_fault", "prompt", {"prompt": "[[sim:moderatoin]]"}),
]


@pytest.mark.parametrize("case", REFUSALS, ids=lambda case: case.name)
def test_a_request_the_real_api_refuses_is_refused_the_same_way(simulator: SimulatorClient, case: Refusal) -> None:
    fields = {name: value for name, value in (PLAIN | case.fields).items() if name != case.without}
    if case.name == "no picture":
        fields.pop("prompt")
    response = post(simulator, fields, case.files)
    error = response.json()["error"]
    expected = (case.status, case.code, case.param, case.error_type)
    assert (response.status_code, error["code"], error["param"], error["type"]) == expected
    assert error["message"]
    assert re.fullmatch("req_[0-9a-f]{32}", response.headers["x-request-id"])


def test_a_picture_of_50_megabytes_is_refused() -> None:
    content = memoryview(bytes(MAXIMUM_IMAGE_BYTES))
    parts = [Part(name, None, None, memoryview(value.encode())) for name, value in PLAIN.items()]
    form = sort_fields([*parts, Part("image", "large.jpg", "image/jpeg", content)])
    with pytest.raises(ApiError) as refusal:
        validate(form)
    assert refusal.value.code == "file_too_large"


@pytest.mark.parametrize(
    ("authorization", "code"),
    [
        (None, None),
        ("Basic c2stdGVzdA==", None),
        ("Bearer", None),
        ("Bearer test", "invalid_api_key"),
        ("Bearer sk-", "invalid_api_key"),
    ],
)
def test_a_request_without_a_proper_key_is_refused(
    simulator: SimulatorClient, authorization: str | None, code: str | None
) -> None:
    headers = {} if authorization is None else {"Authorization": authorization}
    url = f"{simulator.base_url}/images/edits"
    response = httpx.post(url, headers=headers, data=PLAIN, files=upload(), timeout=30.0, verify=NO_AUTHORITIES)
    assert (response.status_code, response.json()["error"]["code"]) == (401, code)
    assert "c2stdGVzdA" not in response.text


@pytest.mark.parametrize(
    ("method", "path", "status", "code"),
    [
        ("GET", "/v1/images/edits", 405, "method_not_supported"),
        ("POST", "/v1/images/generations", 404, "unknown_url"),
        ("POST", "/images/edits", 404, "unknown_url"),
    ],
)
def test_another_address_or_method_is_refused(
    simulator: SimulatorClient, method: str, path: str, status: int, code: str
) -> None:
    response = httpx.request(method, simulator.url + path, headers=KEY, timeout=30.0, verify=NO_AUTHORITIES)
    assert (response.status_code, response.json()["error"]["code"]) == (status, code)


HEAD = b'Content-Disposition: form-data; name="prompt"'
BROKEN_BODIES = {
    "empty": b"",
    "no first boundary": HEAD + b"\r\n\r\nhello\r\n--b--\r\n",
    "text before the first boundary": b"hello\r\n--b\r\n" + HEAD + b"\r\n\r\nhello\r\n--b--\r\n",
    "bare line feeds": b"--b\n" + HEAD + b"\n\nhello\n--b--\n",
    "no line end after a boundary": b"--bxx" + HEAD + b"\r\n\r\nhello\r\n--b--\r\n",
    "no closing boundary": b"--b\r\n" + HEAD + b"\r\n\r\nhello\r\n--b\r\n",
    "cut in a part": b"--b\r\n" + HEAD + b"\r\n\r\nhel",
    "a part without header": b"--b\r\n\r\nhello\r\n--b--\r\n",
    "text after the end": b"--b\r\n" + HEAD + b"\r\n\r\nhello\r\n--b--\r\nmore",
    "another boundary's prefix": b"--b\r\n" + HEAD + b"\r\n\r\nhello\r\n--bb--\r\n",
    "no name": b"--b\r\nContent-Disposition: form-data\r\n\r\nhello\r\n--b--\r\n",
    "an attachment": b'--b\r\nContent-Disposition: attachment; name="prompt"\r\n\r\nhello\r\n--b--\r\n',
    "a header line without colon": b"--b\r\n" + HEAD + b"\r\nhello\r\n\r\nhello\r\n--b--\r\n",
    "a repeated header": b"--b\r\n" + HEAD + b"\r\n" + HEAD + b"\r\n\r\nhello\r\n--b--\r\n",
    "base64": b"--b\r\n" + HEAD + b"\r\nContent-Transfer-Encoding: base64\r\n\r\naGk=\r\n--b--\r\n",
    "a huge part header": b"--b\r\n" + HEAD + b"\r\nX: " + b"x" * 9000 + b"\r\n\r\nhello\r\n--b--\r\n",
    "a field that is not UTF-8": b"--b\r\n" + HEAD + b"\r\n\r\n\xff\xfe\r\n--b--\r\n",
}


@pytest.mark.parametrize("body", BROKEN_BODIES.values(), ids=BROKEN_BODIES.keys())
def test_a_broken_form_is_refused(simulator: SimulatorClient, body: bytes) -> None:
    headers = KEY | {"Content-Type": "multipart/form-data; boundary=b"}
    response = httpx.post(
        f"{simulator.base_url}/images/edits", headers=headers, content=body, timeout=30.0, verify=NO_AUTHORITIES
    )
    assert (response.status_code, response.json()["error"]["code"]) == (400, "invalid_multipart_form_data")


@pytest.mark.parametrize(
    ("content_type", "code"),
    [
        ("application/json", "unsupported_content_type"),
        ("application/x-www-form-urlencoded", "unsupported_content_type"),
        ("multipart/form-data", "invalid_multipart_form_data"),
        (f"multipart/form-data; boundary={'b' * 71}", "invalid_multipart_form_data"),
        ('multipart/form-data; boundary="b*"', "invalid_multipart_form_data"),
    ],
)
def test_only_forms_with_a_proper_boundary_are_read(content_type: str, code: str) -> None:
    with pytest.raises(ApiError) as refusal:
        parse_multipart(content_type, b"--b--")
    assert refusal.value.code == code


def test_parts_are_read_byte_for_byte() -> None:
    content = b"\r\n--\r\n\r\n--a \x00\xff\r\n"
    head = b'Content-Disposition: form-data; name="image[]"; filename="a \\"b\\".jpg"\r\nContent-Type: image/jpeg'
    body = b"--b\r\n" + HEAD + b"\r\n\r\n\r\n--b\r\n" + head + b"\r\n\r\n" + content + b"\r\n--b--"
    prompt, image = parse_multipart('multipart/form-data; boundary="b"', body)
    assert (prompt.name, prompt.filename, prompt.content_type, prompt.text()) == ("prompt", None, None, "")
    assert (image.name, image.filename, image.content_type) == ("image[]", 'a "b".jpg', "image/jpeg")
    assert bytes(image.content) == content


@pytest.mark.parametrize(
    ("fields", "image_format", "size"),
    [
        ({}, "PNG", (1024, 1536)),
        ({"output_format": "jpeg", "output_compression": "70", "size": "1536x1024"}, "JPEG", (1536, 1024)),
        ({"output_format": "webp", "size": "1024x1024", "input_fidelity": "high"}, "WEBP", (1024, 1024)),
        ({**GPT_2, "output_format": "jpeg", "size": "1008x1504"}, "JPEG", (1008, 1504)),
        ({**GPT_26, "quality": "max", "complexity": "low", "size": "2048x1024"}, "PNG", (2048, 1024)),
        ({**GPT_25, "quality": "xhigh", "output_format": "jpeg", "size": "944x1680"}, "JPEG", (944, 1680)),
        ({"model": "gpt-image-2.5-sunburst-2026-09-08", "size": "1024x1024"}, "PNG", (1024, 1024)),
        ({"model": "gpt-image-2.6-flare", "moderation": "low", "user": "u", "stream": "false"}, "PNG", (1024, 1536)),
    ],
)
def test_the_result_has_the_format_and_size_asked_for(
    simulator: SimulatorClient, fields: dict[str, str], image_format: str, size: tuple[int, int]
) -> None:
    response = post(simulator, PLAIN | fields)
    assert response.status_code == 200, response.text
    image = result(response)
    assert (image.format, image.size) == (image_format, size)
    assert response.json()["output_format"].upper() == image_format
    assert response.json()["size"] == f"{size[0]}x{size[1]}"


def test_the_answer_has_every_documented_field(simulator: SimulatorClient) -> None:
    fields = {"quality": "auto", "size": "1024x1536", "safety_identifier": "x" * 64, "input_fidelity": "high"}
    response = post(simulator, PLAIN | fields)
    body: dict[str, Any] = response.json()
    usage = body.pop("usage")
    assert set(body) == {"created", "data", "background", "output_format", "quality", "size"}
    assert (body["quality"], body["background"]) == ("medium", "opaque")
    assert usage["output_tokens"] == usage["output_tokens_details"]["image_tokens"] == 1584
    assert usage["input_tokens"] == sum(usage["input_tokens_details"].values())
    assert usage["total_tokens"] == usage["input_tokens"] + usage["output_tokens"]
    assert usage["input_tokens_details"]["image_tokens"] > 6240
    names = {"x-ratelimit-limit-requests", "x-ratelimit-remaining-requests", "x-ratelimit-reset-requests"}
    assert names | {"x-request-id", "openai-processing-ms"} <= set(response.headers)


@pytest.mark.parametrize(
    ("size", "quality", "dollars"),
    [
        ("1024x1024", "low", 0.006),
        ("1024x1024", "medium", 0.053),
        ("1024x1024", "high", 0.211),
        ("1024x1536", "low", 0.005),
        ("1024x1536", "medium", 0.041),
        ("1536x1024", "high", 0.165),
    ],
)
def test_a_result_of_2_costs_what_the_provider_publishes(
    simulator: SimulatorClient, size: str, quality: str, dollars: float
) -> None:
    """The prices of the image generation guide, at 30 dollars a million tokens."""
    usage = post(simulator, PLAIN | GPT_2 | {"size": size, "quality": quality}).json()["usage"]
    assert round(usage["output_tokens"] * 30 / 1_000_000, 3) == dollars


@pytest.mark.parametrize(
    ("size", "tokens_of_2", "tokens_of_25"),
    [
        ((1024, 1024), 1_229, 1_465),  # billed: 0.98 and 1.17 cents
        ((512, 512), 1_229, 1_465),  # enlarged to twice its size
        ((256, 256), 308, 367),
        ((683, 1024), 845, 1_007),
        ((2048, 2048), 1_844, 2_197),  # the most a picture can take
    ],
)
def test_an_input_is_billed_by_its_patches(size: tuple[int, int], tokens_of_2: int, tokens_of_25: int) -> None:
    assert input_tokens(MODELS["gpt-image-2"], *size) == tokens_of_2
    assert input_tokens(MODELS["gpt-image-2.5-flare"], *size) == tokens_of_25
    assert input_tokens(MODELS["gpt-image-2.6-sunburst"], *reversed(size)) == tokens_of_25


def test_n_results_come_and_are_billed(simulator: SimulatorClient) -> None:
    body = post(simulator, PLAIN | {"n": "3", "quality": "low", "size": "1024x1024"}).json()
    assert (len(body["data"]), body["usage"]["output_tokens"]) == (3, 3 * 272)


def test_every_input_is_to_be_seen_in_the_result(simulator: SimulatorClient) -> None:
    formats = [("red", "JPEG", "image/jpeg"), ("blue", "PNG", "image/png"), ("lime", "WEBP", "image/webp")]
    files = [f for color, kind, mime in formats for f in upload(picture(color, (300, 300), kind), content_type=mime)]
    image = result(post(simulator, PLAIN | {"size": "1024x1024"}, files)).convert("RGB").resize((64, 64))
    pixels = [image.getpixel((x, y)) for x in range(64) for y in range(64)]
    for red, green, blue in [(255, 0, 0), (0, 0, 255), (0, 255, 0)]:
        wanted = [
            p for p in pixels if isinstance(p, tuple) and abs(p[0] - red) + abs(p[1] - green) + abs(p[2] - blue) < 90
        ]
        assert len(wanted) > 40
    corner = image.getpixel((1, 63))
    assert isinstance(corner, tuple)
    assert max(corner) < 60, "the caption is missing"


def test_sixteen_inputs_and_a_mask_are_taken(simulator: SimulatorClient) -> None:
    mask = upload(picture(image_format="PNG"), name="mask", content_type="image/png")
    assert post(simulator, PLAIN, upload() * 16 + mask).status_code == 200


def test_a_transparent_background_is_transparent(simulator: SimulatorClient) -> None:
    image = result(post(simulator, PLAIN | {"background": "transparent"}, upload(picture(size=(90, 30)))))
    assert image.mode == "RGBA"
    assert image.getpixel((5, 5)) == (0, 0, 0, 0)


def test_a_fixed_result_differs_by_model_and_size_and_keeps_the_refusals() -> None:
    with running_simulator(SimulatorOptions(fixed_result=True)) as simulator:
        first, again = (post(simulator, PLAIN | {"output_format": "jpeg", "size": "1024x1536"}) for _ in range(2))
        assert first.json()["data"] == again.json()["data"]
        assert 150_000 < len(base64.b64decode(first.json()["data"][0]["b64_json"])) < 600_000
        assert (result(first).format, result(first).size) == ("JPEG", (1024, 1536))
        other = post(simulator, PLAIN | {**GPT_2, "output_format": "jpeg", "size": "1024x1536"})
        assert other.json()["data"] != first.json()["data"]
        assert post(simulator, PLAIN, upload(b"no picture")).json()["error"]["code"] == "invalid_image_file"
