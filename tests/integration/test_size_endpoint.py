"""POST /estimate-body with the real downloader, decoder and pose model, photographs served on loopback."""

import asyncio
import io
import json
import threading
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager
from typing import Any, TypeVar

import httpx
import pytest
import structlog
from fastapi import FastAPI
from PIL import Image
from prometheus_client import CollectorRegistry

from models.health import HealthReport
from services.url_guard import TrustedHosts
from size_rec.app import create_app
from size_rec.estimator import BodyEstimator
from size_rec.photo_fetching import MAX_DOWNLOADS_PER_HOST
from size_rec.request_faults import NOT_AN_OBJECT, NOT_SENT_AS_JSON, UNREADABLE
from tests.size_photos import as_jpeg, decoded, photo, photo_host, truth

READY = HealthReport(
    model_loaded=True, redis_connected=True, broker_connected=True, consumer_alive=True, celery_alive=True
)
LOOPBACK = TrustedHosts.parse("127.0.0.1,localhost")
STANDING = "b0001.jpg"
T = TypeVar("T")
LOAD_TIMEOUT_SECONDS = 60
PATIENT_SECONDS = 60
"""The deadline has a test of its own; the others must not fail on a busy machine."""


@pytest.fixture(scope="module")
def estimator() -> Iterator[BodyEstimator]:
    estimator = BodyEstimator()
    estimator.start()
    estimator.wait_until_loaded(LOAD_TIMEOUT_SECONDS)
    yield estimator
    estimator.close()


@pytest.fixture(scope="module")
def host() -> Iterator[str]:
    png = io.BytesIO()
    decoded(STANDING).save(png, "PNG")
    webp = io.BytesIO()
    Image.new("RGB", (4_000, 8_200)).save(webp, "WEBP", quality=1, method=0)
    things = {
        "page.html": ("text/html", b"<html>signed-in users only</html>"),
        "broken.jpg": ("image/jpeg", photo(STANDING)[:2_000]),
        "huge.jpg": ("image/jpeg", b"\xff\xd8\xff" + bytes(11 * 1024 * 1024)),
        "32.8-megapixels.webp": ("image/webp", webp.getvalue()),
        "photo.png": ("image/png", png.getvalue()),
        "nobody.jpg": ("image/jpeg", as_jpeg(Image.new("RGB", (400, 600), "grey"))),
        "48-megapixels.jpg": ("image/jpeg", as_jpeg(decoded(STANDING).resize((6000, 8000)), quality=60)),
    }
    with photo_host(things) as address:
        yield address


@pytest.fixture
def app(estimator: BodyEstimator) -> FastAPI:
    return app_with(estimator, deadline_seconds=PATIENT_SECONDS)


def app_with(estimator: BodyEstimator | None, **options: Any) -> FastAPI:
    return create_app(
        health=lambda: READY, registry=CollectorRegistry(), estimator=estimator, trusted_hosts=LOOPBACK, **options
    )


def ask(app: FastAPI, body: object, headers: dict[str, str] | None = None) -> httpx.Response:
    content = body if isinstance(body, bytes) else json.dumps(body).encode()

    async def post(client: httpx.AsyncClient) -> httpx.Response:
        return await client.post(
            "/estimate-body", content=content, headers={"Content-Type": "application/json"} | (headers or {})
        )

    return with_client(app, post)


def with_client(app: FastAPI, use: Callable[[httpx.AsyncClient], Awaitable[T]]) -> T:
    async def run() -> T:
        transport = httpx.ASGITransport(app)
        async with httpx.AsyncClient(transport=transport, base_url="http://worker", timeout=60) as client:
            return await use(client)

    return asyncio.run(run())


def test_a_front_photo_is_answered_in_the_platforms_terms(app: FastAPI, host: str) -> None:
    known = truth()[STANDING]
    response = ask(app, {"image_url": f"{host}/{STANDING}?token=s3cret", "height_cm": float(known["height_cm"])})
    answer = response.json()
    assert response.status_code == 200
    assert set(answer) == {"recommended_size", "measurements", "confidence", "body_type", "size_range"}
    assert set(answer["measurements"]) == {"chest_cm", "waist_cm", "hip_cm", "shoulder_cm", "inseam_cm"}
    assert answer["measurements"]["chest_cm"] == pytest.approx(float(known["chest_cm"]), abs=8)
    assert answer["size_range"]["lower"] in {"XS", "S", "M", "L", "XL", "XXL"}
    assert 0 < answer["confidence"] < 1
    assert answer["body_type"] in {"slim", "average", "athletic", "broad"}


@pytest.mark.parametrize("name", ["x019.jpg", "x021.jpg", "x022.jpg"])
def test_rotated_landscape_and_small_photos_are_answered(app: FastAPI, host: str, name: str) -> None:
    known = truth()[name]
    response = ask(app, {"image_url": f"{host}/{name}", "height_cm": float(known["height_cm"])})
    assert response.status_code == 200
    assert response.json()["measurements"]["hip_cm"] == pytest.approx(float(known["hip_cm"]), abs=9)


def test_a_stated_weight_is_used(app: FastAPI, host: str) -> None:
    asked = {"image_url": f"{host}/{STANDING}", "height_cm": 176.2}
    light, heavy = (ask(app, asked | {"weight_kg": weight}).json() for weight in (65, 85))
    assert heavy["measurements"]["waist_cm"] > light["measurements"]["waist_cm"] + 2


def test_a_48_megapixel_photo_gives_the_same_answer(app: FastAPI, host: str) -> None:
    large = ask(app, {"image_url": f"{host}/48-megapixels.jpg", "height_cm": 176.2})
    small = ask(app, {"image_url": f"{host}/{STANDING}", "height_cm": 176.2})
    assert large.status_code == 200
    for name, value in large.json()["measurements"].items():
        assert value == pytest.approx(small.json()["measurements"][name], abs=1.0)


@pytest.mark.parametrize(
    ("path", "status", "code"),
    [
        ("page.html", 400, "not_an_image"),
        ("broken.jpg", 400, "not_an_image"),
        ("huge.jpg", 413, "image_too_large"),
        ("32.8-megapixels.webp", 413, "image_too_many_pixels"),
        ("nobody.jpg", 422, "no_person"),
        ("x006.jpg", 422, "feet_cut_off"),
        ("x009.jpg", 422, "not_standing"),
        ("x013.jpg", 422, "more_than_one_person"),
        ("x017.jpg", 422, "no_person"),
    ],
)
def test_a_photo_that_cannot_be_measured_is_refused_with_the_reason(
    app: FastAPI, host: str, path: str, status: int, code: str
) -> None:
    response = ask(app, {"image_url": f"{host}/{path}", "height_cm": 170}, {"X-Request-Id": "req_7"})
    problem = response.json()
    assert (response.status_code, problem["code"]) == (status, code)
    assert response.headers["content-type"] == "application/problem+json"
    assert problem["request_id"] == response.headers["x-request-id"] == "req_7"
    assert problem["status"] == status
    assert problem["detail"].endswith(".")


@pytest.mark.parametrize(
    ("url", "code"),
    [
        ("http://10.0.0.7/metadata.jpg", "image_address_refused"),
        ("file:///etc/passwd", "image_address_refused"),
        ("not a url", "image_address_refused"),
        ("http://127.0.0.1:1/closed.jpg", "image_unreachable"),
    ],
)
def test_an_address_that_may_not_or_cannot_be_fetched_is_a_bad_request_that_tells_nothing(
    app: FastAPI, url: str, code: str
) -> None:
    response = ask(app, {"image_url": url, "height_cm": 170})
    assert (response.status_code, response.json()["code"]) == (400, code)
    assert "127.0.0.1" not in response.text
    assert "10.0.0.7" not in response.text


@pytest.mark.parametrize(
    ("body", "detail"),
    [
        (b"no json", UNREADABLE),
        (b"\xff\xfe", UNREADABLE),
        pytest.param(b"[" * 8_000, UNREADABLE, id="nested too deeply"),
        pytest.param(b'{"height_cm": ' + b"1" * 5_000 + b"}", UNREADABLE, id="more digits than Python reads"),
        (b"[]", NOT_AN_OBJECT),
        (b"", NOT_AN_OBJECT),
        (b'{"image_url": "http://x/a.jpg", "height_cm": NaN}', "height_cm must be a number from 100 to 250."),
        (b'{"image_url": "http://x/a.jpg", "height_cm": 1e400}', "height_cm must be a number from 100 to 250."),
        (b'{"image_url": "http://x/a.jpg", "height_cm": "170"}', "height_cm must be a number from 100 to 250."),
        (b'{"image_url": "http://x/a.jpg"}', "height_cm is missing."),
        (b'{"image_url": "http://x/a.jpg", "height_cm": 170, "token": "s3cret"}', "there is no field token."),
    ],
)
def test_invalid_input_names_the_field_and_repeats_no_value(app: FastAPI, body: bytes, detail: str) -> None:
    response = ask(app, body)
    assert (response.status_code, response.json()["code"]) == (422, "invalid_input")
    assert response.json()["detail"] == detail
    assert "s3cret" not in response.text
    assert "http://x" not in response.text


def test_a_request_not_sent_as_json_is_told_so(app: FastAPI) -> None:
    response = ask(app, {"image_url": "http://x/a.jpg", "height_cm": 170}, {"Content-Type": "text/plain"})
    assert (response.status_code, response.json()["detail"]) == (422, NOT_SENT_AS_JSON)


def test_an_oversized_request_is_refused_before_it_is_parsed(app: FastAPI) -> None:
    response = ask(app, b'{"image_url": "' + b"x" * 100_000 + b'"}')
    assert (response.status_code, response.json()["code"]) == (413, "request_too_large")


def test_unknown_paths_and_methods_are_problems_too(app: FastAPI) -> None:
    async def both(client: httpx.AsyncClient) -> list[httpx.Response]:
        return [await client.get("/nothing"), await client.get("/estimate-body")]

    missing, wrong_method = with_client(app, both)
    assert (missing.status_code, missing.json()["code"]) == (404, "not_found")
    assert (wrong_method.status_code, wrong_method.json()["code"]) == (405, "method_not_allowed")
    assert wrong_method.headers["x-request-id"] == wrong_method.json()["request_id"]


def test_without_a_model_the_answer_is_503() -> None:
    response = ask(app_with(None), {"image_url": "http://127.0.0.1/a.jpg", "height_cm": 170})
    assert (response.status_code, response.json()["code"]) == (503, "model_unavailable")
    assert response.headers["retry-after"]


def test_a_model_still_loading_is_503_too() -> None:
    unstarted = BodyEstimator()
    response = ask(app_with(unstarted), {"image_url": "http://127.0.0.1/a.jpg", "height_cm": 170})
    unstarted.close()
    assert response.status_code == 503


def test_beyond_the_bound_callers_are_told_to_come_back(host: str) -> None:
    bounded = BodyEstimator(workers=1, max_measuring=2)
    bounded.start()
    bounded.wait_until_loaded(LOAD_TIMEOUT_SECONDS)
    app = app_with(bounded, deadline_seconds=PATIENT_SECONDS)
    body = {"image_url": f"{host}/{STANDING}", "height_cm": 176.2}
    with bounded.place(), bounded.place():
        refused = ask(app, body)
    answered = ask(app, body)
    bounded.close()
    assert (refused.status_code, refused.json()["code"]) == (429, "overloaded")
    assert refused.headers["retry-after"]
    assert answered.status_code == 200


def test_silent_photo_hosts_keep_nobody_from_being_measured(estimator: BodyEstimator, host: str) -> None:
    app = app_with(estimator, deadline_seconds=PATIENT_SECONDS)

    async def run(client: httpx.AsyncClient) -> list[httpx.Response]:
        async with silent_host() as (silent_url, connected):
            silent = [
                asyncio.create_task(client.post("/estimate-body", json={"image_url": silent_url, "height_cm": 170}))
                for _ in range(MAX_DOWNLOADS_PER_HOST)
            ]
            for _ in silent:
                await connected.get()
            body = {"image_url": f"{host.replace('127.0.0.1', 'localhost')}/{STANDING}", "height_cm": 176.2}
            good = await client.post("/estimate-body", json=body)
            one_more = await client.post("/estimate-body", json={"image_url": silent_url, "height_cm": 170})
            for task in silent:
                task.cancel()
            await asyncio.gather(*silent, return_exceptions=True)
        return [good, one_more]

    good, one_more = with_client(app, run)
    assert good.status_code == 200
    assert one_more.status_code == 429, "this host's places are taken"


def test_a_host_that_does_not_answer_ends_at_the_deadline_and_is_named_as_the_cause(estimator: BodyEstimator) -> None:
    async def run(client: httpx.AsyncClient) -> httpx.Response:
        async with silent_host() as (url, _):
            return await client.post("/estimate-body", json={"image_url": url, "height_cm": 170})

    response = with_client(app_with(estimator, deadline_seconds=0.3), run)
    assert (response.status_code, response.json()["code"]) == (504, "image_timeout")
    assert "fetched in time" in response.json()["detail"]


def test_measuring_that_takes_too_long_ends_at_the_deadline_too(host: str) -> None:
    busy = BodyEstimator(workers=1)
    busy.start()
    busy.wait_until_loaded(LOAD_TIMEOUT_SECONDS)
    may_go_on = threading.Event()
    busy._pool.submit(may_go_on.wait, PATIENT_SECONDS)
    response = ask(app_with(busy, deadline_seconds=1.0), {"image_url": f"{host}/{STANDING}", "height_cm": 176.2})
    [given_up] = [each for each in busy._pool._work_queue.get_nowait().args if isinstance(each, list)]
    may_go_on.set()
    busy.close()
    assert (response.status_code, response.json()["code"]) == (504, "deadline_exceeded")
    assert given_up == [], "the photo is gone though its turn has not come"


@asynccontextmanager
async def silent_host() -> AsyncIterator[tuple[str, asyncio.Queue[None]]]:
    """A photo's address whose host accepts and never answers, and a queue with an entry for everybody who asked it."""
    connected: asyncio.Queue[None] = asyncio.Queue()

    async def never(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        connected.put_nowait(None)
        await reader.read()  # until the client leaves
        writer.close()

    server = await asyncio.start_server(never, "127.0.0.1", 0)
    async with server:
        yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/a.jpg", connected


def test_neither_photo_nor_signed_address_reaches_the_log_and_every_line_has_the_request_id(
    app: FastAPI, host: str
) -> None:
    with structlog.testing.capture_logs([structlog.contextvars.merge_contextvars]) as lines:
        ask(app, {"image_url": f"{host}/{STANDING}?token=s3cret", "height_cm": 176.2}, {"X-Request-Id": "req_log"})
        ask(app, {"image_url": f"{host}/page.html?token=s3cret", "height_cm": 176.2}, {"X-Request-Id": "req_log"})
    assert [line["event"] for line in lines] == ["size_estimated", "size_estimate_refused"]
    assert {line["request_id"] for line in lines} == {"req_log"}
    assert "s3cret" not in str(lines)
    assert "http" not in str(lines)


def test_what_is_refused_before_it_is_measured_leaves_a_line_and_a_count(app: FastAPI) -> None:
    async def refused(client: httpx.AsyncClient) -> str:
        secret = {"image_url": "http://x/a.jpg?token=s3cret", "height_cm": 7, "s3cret": 1}
        await client.post("/estimate-body", json=secret)
        await client.post("/estimate-body", content=b"x" * 100_000)
        await client.get("/estimate-body?token=s3cret")
        await client.get("/s3cret")
        return (await client.get("/metrics")).text

    with structlog.testing.capture_logs([structlog.contextvars.merge_contextvars]) as lines:
        counts = with_client(app, refused)
    assert {line["event"] for line in lines} == {"request_refused"}
    assert [(line["code"], line["status"]) for line in lines] == [
        ("invalid_input", 422),
        ("request_too_large", 413),
        ("method_not_allowed", 405),
        ("not_found", 404),
    ]
    assert lines[0]["fields"] == ["height_cm"]
    assert all(line["request_id"].startswith("req_") for line in lines)
    assert "s3cret" not in str(lines)
    for line in lines:
        assert f'wearon_size_requests_total{{outcome="{line["code"]}"}} 1.0' in counts
    assert "wearon_size_duration_seconds_count 0.0" in counts


@pytest.mark.parametrize(
    ("path", "told"),
    [
        ("page.html", {"reason": "127.0.0.1: the content type is not image/*"}),
        ("broken.jpg", {"reason": "the picture is broken or incomplete"}),
        ("huge.jpg", {"reason": "more than 10485760 bytes"}),
        ("missing.jpg", {"reason": "127.0.0.1: error status", "host_status": 404}),
        ("x013.jpg", {}),
    ],
)
def test_the_log_says_why_a_photo_could_not_be_used(
    app: FastAPI, host: str, path: str, told: dict[str, object]
) -> None:
    with structlog.testing.capture_logs() as lines:
        ask(app, {"image_url": f"{host}/{path}?token=s3cret", "height_cm": 170})
    [line] = lines
    assert {key: line[key] for key in ("reason", "host_status") if key in line} == told
    assert "s3cret" not in str(line)


def test_the_openapi_page_documents_the_endpoint_with_examples(app: FastAPI) -> None:
    schema = with_client(app, openapi)
    operation = schema["paths"]["/estimate-body"]["post"]
    assert set(operation["responses"]) == {"200", "400", "405", "413", "422", "429", "500", "503", "504"}
    for name in ("EstimateBodyRequest", "EstimateBodyResponse", "Problem"):
        assert schema["components"]["schemas"][name]["examples"]


def test_the_openapi_page_declares_problems_and_headers_as_they_are_sent(app: FastAPI) -> None:
    schema = with_client(app, openapi)
    operation = schema["paths"]["/estimate-body"]["post"]
    assert [(each["name"], each["in"], each["required"]) for each in operation["parameters"]] == [
        ("X-Request-Id", "header", False)
    ]
    reference = {"$ref": "#/components/schemas/Problem"}
    for status, response in operation["responses"].items():
        expected = {"X-Request-Id"} | {"429": {"Retry-After"}, "503": {"Retry-After"}, "405": {"Allow"}}.get(
            status, set()
        )
        assert set(response["headers"]) == expected
        if status != "200":
            assert response["content"] == {"application/problem+json": {"schema": reference}}


def test_the_example_of_a_problem_is_one_that_is_sent(app: FastAPI, host: str) -> None:
    [example] = with_client(app, openapi)["components"]["schemas"]["Problem"]["examples"]
    sent = ask(app, {"image_url": f"{host}/x006.jpg", "height_cm": 170}, {"X-Request-Id": example["request_id"]}).json()
    assert sent == example


async def openapi(client: httpx.AsyncClient) -> Any:
    """The OpenAPI document as it is served, asked for twice: it is made once and must stay what it was."""
    first = (await client.get("/openapi.json")).json()
    assert (await client.get("/openapi.json")).json() == first
    return first


def test_outcomes_are_counted_from_zero(app: FastAPI, host: str) -> None:
    async def run(client: httpx.AsyncClient) -> tuple[str, str]:
        before = (await client.get("/metrics")).text
        await client.post("/estimate-body", json={"image_url": f"{host}/x013.jpg", "height_cm": 170})
        return before, (await client.get("/metrics")).text

    before, after = with_client(app, run)
    assert 'wearon_size_requests_total{outcome="more_than_one_person"} 0.0' in before
    assert 'wearon_size_requests_total{outcome="more_than_one_person"} 1.0' in after
    assert "wearon_size_duration_seconds_count 1.0" in after
