"""What operators and callers' developers see of POST /estimate-body: log lines, counts, and the OpenAPI page."""

import re
from collections.abc import Iterator
from typing import Any

import httpx
import pytest
import structlog
from fastapi import FastAPI

from size_rec.processes.pool import BodyEstimator
from tests.support.size_photos import no_photos, photo_host
from tests.support.size_service import PATIENT_SECONDS, app_with, ask, with_client

STANDING = "b0001.jpg"


@pytest.fixture(scope="module")
def host() -> Iterator[str]:
    with photo_host(no_photos()) as address:
        yield address


@pytest.fixture
def app(estimator: BodyEstimator) -> FastAPI:
    return app_with(estimator, deadline_seconds=PATIENT_SECONDS)


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
        ("broken.jpg", {"reason": "the last 496 of 512 rows are lost"}),
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
    assert set(operation["responses"]) == {"200", "400", "405", "413", "422", "429", "500", "502", "503", "504"}
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
        expected = {"405": {"Allow"}} | {key: {"Retry-After"} for key in ("429", "502", "503")}
        assert set(response["headers"]) == {"X-Request-Id"} | expected.get(status, set())
        if status != "200":
            assert response["content"] == {"application/problem+json": {"schema": reference}}


@pytest.mark.parametrize(
    ("status", "codes"),
    [
        ("413", {"image_too_large", "image_too_many_pixels", "request_too_large"}),
        ("429", {"too_many_requests", "overloaded"}),
        ("500", {"internal_error"}),
        ("502", {"worker_unavailable"}),
        ("503", {"model_unavailable"}),
        ("504", {"image_timeout", "deadline_exceeded"}),
    ],
)
def test_the_openapi_page_names_the_codes_of_a_status(app: FastAPI, status: str, codes: set[str]) -> None:
    response = with_client(app, openapi)["paths"]["/estimate-body"]["post"]["responses"][status]
    assert set(re.findall("`([a-z_]+)`", response["description"])) == codes


def test_the_example_of_a_problem_is_one_that_is_sent(app: FastAPI, host: str) -> None:
    [example] = with_client(app, openapi)["components"]["schemas"]["Problem"]["examples"]
    sent = ask(app, {"image_url": f"{host}/x006.jpg", "height_cm": 170}, {"X-Request-Id": example["request_id"]}).json()
    assert sent == example


async def openapi(client: httpx.AsyncClient) -> Any:
    """The OpenAPI document as it is served, asked for twice: it is made once and must stay what it was."""
    first = (await client.get("/openapi.json")).json()
    assert (await client.get("/openapi.json")).json() == first
    return first


def test_the_confidence_of_every_answer_is_counted(app: FastAPI, host: str) -> None:
    async def run(client: httpx.AsyncClient) -> tuple[float, str]:
        answer = await client.post("/estimate-body", json={"image_url": f"{host}/{STANDING}", "height_cm": 176.2})
        await client.post("/estimate-body", json={"image_url": f"{host}/x013.jpg", "height_cm": 170})
        return answer.json()["confidence"], (await client.get("/metrics")).text

    confidence, counts = with_client(app, run)
    assert f"wearon_size_confidence_sum {confidence}" in counts
    assert "wearon_size_confidence_count 1.0" in counts


def test_outcomes_are_counted_from_zero(app: FastAPI, host: str) -> None:
    async def run(client: httpx.AsyncClient) -> tuple[str, str]:
        before = (await client.get("/metrics")).text
        await client.post("/estimate-body", json={"image_url": f"{host}/x013.jpg", "height_cm": 170})
        return before, (await client.get("/metrics")).text

    before, after = with_client(app, run)
    assert 'wearon_size_requests_total{outcome="more_than_one_person"} 0.0' in before
    assert 'wearon_size_requests_total{outcome="more_than_one_person"} 1.0' in after
    assert "wearon_size_duration_seconds_count 1.0" in after
