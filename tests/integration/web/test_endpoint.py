"""POST /estimate-body with the real downloader, decoder and pose model, photographs served on loopback."""

import asyncio
import io
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager

import httpx
import psutil
import pytest
import structlog
from fastapi import FastAPI
from PIL import Image

from size_rec.photo_fetching import MAX_DOWNLOADS_PER_HOST
from size_rec.problems import ModelUnavailable
from size_rec.processes.link import Question
from size_rec.processes.pool import BodyEstimator
from tests.support.images import gif_announcing
from tests.support.size_photos import as_jpeg, decoded, no_photos, photo_host, truth
from tests.support.size_service import PATIENT_SECONDS, app_with, ask, loaded_estimator, with_client
from web.request_faults import NOT_AN_OBJECT, NOT_SENT_AS_JSON, UNREADABLE

STANDING = "b0001.jpg"

FETCHED_WITHIN_SECONDS = 5.0
"""A photograph on loopback, also when the machine does something else for a moment."""


@pytest.fixture(scope="module")
def host() -> Iterator[str]:
    png = io.BytesIO()
    decoded(STANDING).save(png, "PNG")
    large = decoded(STANDING).resize((6000, 8000))
    webp = io.BytesIO()
    large.save(webp, "WEBP", quality=60, method=0)
    things = {
        **no_photos(),
        "65-megapixels.gif": ("image/gif", gif_announcing(8_100, 8_000)),
        "photo.png": ("image/png", png.getvalue()),
        "nobody.jpg": ("image/jpeg", as_jpeg(Image.new("RGB", (400, 600), "grey"))),
        "48-megapixels.jpg": ("image/jpeg", as_jpeg(large, quality=60)),
        "48-megapixels.webp": ("image/webp", webp.getvalue()),
    }
    with photo_host(things) as address:
        yield address


@pytest.fixture
def app(estimator: BodyEstimator) -> FastAPI:
    return app_with(estimator, deadline_seconds=PATIENT_SECONDS)


def test_a_front_photo_is_answered_in_the_platforms_terms(app: FastAPI, host: str) -> None:
    known = truth()[STANDING]
    response = ask(app, {"image_url": f"{host}/{STANDING}?token=s3cret", "height_cm": float(known["height_cm"])})
    answer = response.json()
    assert response.status_code == 200
    platforms = {"recommended_size", "measurements", "confidence", "body_type", "size_range"}
    assert set(answer) == platforms | {"size_probabilities", "notes"}
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


def test_a_measured_height_counts_more_than_a_stated_one(app: FastAPI, host: str) -> None:
    asked = {"image_url": f"{host}/{STANDING}", "height_cm": 176.2}
    stated, measured = (ask(app, asked | {"height_measured": told}).json() for told in (False, True))
    assert stated["measurements"]["inseam_cm"] < measured["measurements"]["inseam_cm"]
    assert stated["confidence"] < measured["confidence"]


@pytest.mark.parametrize(
    ("height_cm", "notes"), [(100, ["adults_only"]), (140, ["adults_only"]), (230, ["beyond_known_heights"])]
)
def test_a_height_that_nobody_was_measured_with_is_answered_with_a_note(
    app: FastAPI, host: str, height_cm: float, notes: list[str]
) -> None:
    answer = ask(app, {"image_url": f"{host}/{STANDING}", "height_cm": height_cm}).json()
    assert set(notes) <= set(answer["notes"])
    assert answer["confidence"] <= 0.05


def test_an_answer_in_the_shops_own_chart(app: FastAPI, host: str) -> None:
    sizes = [{"label": f"EU {44 + 2 * number}", "chest_max": 84 + 8 * number} for number in range(6)]
    asked = {"image_url": f"{host}/{STANDING}", "height_cm": 176.2}
    built_in = ask(app, asked).json()
    with structlog.testing.capture_logs() as lines:
        own = ask(app, asked | {"size_chart": {"unit": "cm", "garment_type": "shirt", "sizes": sizes}}).json()
    place = [each["size"] for each in built_in["size_probabilities"]].index(built_in["recommended_size"])
    assert own["recommended_size"] == sizes[place]["label"]
    assert [each["size"] for each in own["size_probabilities"]] == [size["label"] for size in sizes]
    assert own["measurements"] == built_in["measurements"]
    assert [line["garment_type"] for line in lines if line["event"] == "size_estimated"] == ["shirt"]


@pytest.mark.parametrize("name", ["48-megapixels.jpg", "48-megapixels.webp"])
def test_a_48_megapixel_photo_gives_the_same_answer(app: FastAPI, host: str, name: str) -> None:
    large = ask(app, {"image_url": f"{host}/{name}", "height_cm": 176.2})
    small = ask(app, {"image_url": f"{host}/{STANDING}", "height_cm": 176.2})
    assert large.status_code == 200
    for measure, value in large.json()["measurements"].items():
        assert value == pytest.approx(small.json()["measurements"][measure], abs=1.0)


@pytest.mark.parametrize(
    ("path", "status", "code"),
    [
        ("page.html", 400, "not_an_image"),
        ("broken.jpg", 400, "incomplete_picture"),
        ("huge.jpg", 413, "image_too_large"),
        ("65-megapixels.gif", 413, "image_too_many_pixels"),
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


@pytest.mark.parametrize("path", ["/estimate-body/", "/health/"])
def test_a_slash_too_many_is_an_unknown_path_and_leads_nowhere(app: FastAPI, path: str) -> None:
    async def ask_there(client: httpx.AsyncClient) -> httpx.Response:
        return await client.post(path, json={"image_url": "http://x/a.jpg", "height_cm": 170}, headers={"Host": "evil"})

    with structlog.testing.capture_logs() as lines:
        answer = with_client(app, ask_there)
    assert (answer.status_code, answer.json()["code"]) == (404, "not_found")
    assert "location" not in answer.headers
    assert [(line["event"], line["code"]) for line in lines] == [("request_refused", "not_found")]


def test_without_a_model_the_answer_is_503() -> None:
    response = ask(app_with(None), {"image_url": "http://127.0.0.1/a.jpg", "height_cm": 170})
    assert (response.status_code, response.json()["code"]) == (503, "model_unavailable")
    assert response.headers["retry-after"]


def test_a_model_still_loading_is_503_too() -> None:
    unstarted = BodyEstimator()
    response = ask(app_with(unstarted), {"image_url": "http://127.0.0.1/a.jpg", "height_cm": 170})
    unstarted.close()
    assert response.status_code == 503


def test_what_was_fetched_while_the_worker_stopped_is_503() -> None:
    with loaded_estimator(processes=1) as stopped:
        pass
    with pytest.raises(ModelUnavailable):
        asyncio.run(stopped.measure(Question(b"", 170, None)))


def test_beyond_the_bound_callers_are_told_to_come_back(host: str) -> None:
    body = {"image_url": f"{host}/{STANDING}", "height_cm": 176.2}
    with loaded_estimator(processes=1, max_measuring=2) as bounded:
        app = app_with(bounded, deadline_seconds=PATIENT_SECONDS)
        with bounded.place(), bounded.place():
            refused = ask(app, body)
        answered = ask(app, body)
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
    async def run(client: httpx.AsyncClient) -> list[httpx.Response]:
        body = {"image_url": f"{host}/{STANDING}", "height_cm": 176.2}
        return await asyncio.gather(*(client.post("/estimate-body", json=body) for _ in range(2)))

    with loaded_estimator(processes=1) as busy:
        process = psutil.Process(busy.pids[0])
        process.suspend()
        responses = with_client(app_with(busy, deadline_seconds=FETCHED_WITHIN_SECONDS), run)
        given_up = busy._jobs.get_nowait()
        process.resume()
    for response in responses:
        assert (response.status_code, response.json()["code"]) == (504, "deadline_exceeded")
    assert given_up is not None
    assert given_up.question is None, "the photo is gone though its turn has not come"


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
