"""The OpenAI simulator misbehaves exactly as a prompt tells it to."""

import io
import json
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime

import httpx
import pytest
from PIL import Image, UnidentifiedImageError

from sandbox.openai_sim import Latency, SimulatorClient, running_simulator
from tests.support.openai_sim_calls import (
    MODEL,
    OTHER_MODEL,
    picture_of,
    post,
    posted,
    wait_until,
)


@pytest.fixture(scope="module")
def module_simulator() -> Iterator[SimulatorClient]:
    with running_simulator() as simulator:
        yield simulator


@pytest.fixture
def simulator(module_simulator: SimulatorClient) -> SimulatorClient:
    module_simulator.reset()
    return module_simulator


REFUSING_FAULTS = [
    ("moderation", 400, "moderation_blocked", "image_generation_user_error"),
    ("moderation-output", 400, "moderation_blocked", "image_generation_user_error"),
    ("content-policy", 400, "content_policy_violation", "invalid_request_error"),
    ("bad-request", 400, "invalid_value", "invalid_request_error"),
    ("429-always", 429, "rate_limit_exceeded", "requests"),
    ("429-once", 429, "rate_limit_exceeded", "requests"),
    ("slow-down-once", 429, "slow_down", "requests"),
    ("quota", 429, "insufficient_quota", "insufficient_quota"),
    ("credit-exhausted", 429, "credit_balance_exhausted", "insufficient_quota"),
    ("spend-limit", 429, "project_spend_limit_exceeded", "insufficient_quota"),
    ("401", 401, "invalid_api_key", "invalid_request_error"),
    ("403", 403, "unsupported_country_region_territory", "request_forbidden"),
    ("unverified", 403, None, "invalid_request_error"),
    ("no-access", 403, "model_not_found", "invalid_request_error"),
    ("408-once", 408, None, "server_error"),
    ("409-always", 409, None, "server_error"),
    ("429-wait=20", 429, "rate_limit_exceeded", "input-images"),
    ("model-gone", 404, "model_not_found", "invalid_request_error"),
    ("500-once", 500, None, "server_error"),
    ("500-always", 500, None, "server_error"),
    ("503-once", 503, "server_is_overloaded", "server_error"),
    ("503-always", 503, "server_is_overloaded", "server_error"),
]


@pytest.mark.parametrize(("fault", "status", "code", "error_type"), REFUSING_FAULTS)
def test_a_marker_brings_the_refusal_it_names(
    simulator: SimulatorClient, fault: str, status: int, code: str | None, error_type: str
) -> None:
    response = post(simulator.base_url, f"[[sim:{fault}]]")
    error = response.json()["error"]
    assert (response.status_code, error["code"], error["type"]) == (status, code, error_type)


@pytest.mark.parametrize(
    ("fault", "statuses"),
    [
        ("429-once", [429, 200, 200]),
        ("slow-down-once", [429, 200, 200]),
        ("500-once", [500, 200, 200]),
        ("502-once", [502, 200, 200]),
        ("503-once", [503, 200, 200]),
        ("504-once", [504, 200, 200]),
        ("502-always", [502, 502, 502]),
        ("503-always", [503, 503, 503]),
        ("429-always", [429, 429, 429]),
        ("500-once]] [[sim:429-once", [500, 429, 200]),
        ("408-once", [408, 200, 200]),
        ("409-once", [409, 200, 200]),
        ("408-always", [408, 408, 408]),
        ("model-gone=gpt-image-2", [200, 200, 200]),
        ("unverified=gpt-image-2", [200, 200, 200]),
        (f"no-access={MODEL}", [403, 403, 403]),
    ],
)
def test_once_counts_per_prompt_and_always_does_not_count(
    simulator: SimulatorClient, fault: str, statuses: list[int]
) -> None:
    for prompt in ("first", "second"):
        answers = [post(simulator.base_url, f"{prompt} [[sim:{fault}]]").status_code for _ in statuses]
        assert answers == statuses


def test_a_gateway_error_is_a_page_and_not_json(simulator: SimulatorClient) -> None:
    response = post(simulator.base_url, "[[sim:502-once]]")
    assert response.headers["content-type"].startswith("text/html")
    assert "<html>" in response.text


def test_a_rate_limit_says_when_to_come_back(simulator: SimulatorClient) -> None:
    headers = post(simulator.base_url, "[[sim:429-once]]").headers
    assert (headers["retry-after"], headers["retry-after-ms"]) == ("1", "1000")


def test_a_rate_limit_names_its_wait_wherever_the_real_one_does(simulator: SimulatorClient) -> None:
    asked = datetime.now(UTC)
    answers = {
        fault: post(simulator.base_url, f"[[sim:{fault}]]")
        for fault in ("429-wait=90", "429-wait-date=90", "429-wait-words=90", "429-wait-reset=90")
    }
    assert {answer.status_code for answer in answers.values()} == {429}
    assert answers["429-wait=90"].headers["retry-after"] == "90"
    in_words = answers["429-wait-words=90"]
    assert "try again after 90 seconds" in in_words.json()["error"]["message"]
    assert "retry-after" not in in_words.headers
    date = parsedate_to_datetime(answers["429-wait-date=90"].headers["retry-after"])
    assert asked + timedelta(seconds=90) <= date <= datetime.now(UTC) + timedelta(seconds=91)
    reset = answers["429-wait-reset=90"].headers
    assert (reset["x-ratelimit-remaining-requests"], reset["x-ratelimit-reset-requests"]) == ("0", "1m30s")


def test_cached_input_is_told_by_kind(simulator: SimulatorClient) -> None:
    details = post(simulator.base_url, "[[sim:cached-input]]").json()["usage"]["input_tokens_details"]
    cached = details["cached_tokens_details"]
    assert details["cached_tokens"] == cached["text_tokens"] + cached["image_tokens"]
    assert cached["image_tokens"] == details["image_tokens"] // 2 > 0


@pytest.mark.parametrize(("fault", "stage"), [("moderation", "input"), ("moderation-output", "output")])
def test_a_moderation_block_names_its_stage(simulator: SimulatorClient, fault: str, stage: str) -> None:
    error = post(simulator.base_url, f"[[sim:{fault}]]").json()["error"]
    assert error["moderation_details"]["moderation_stage"] == stage


def test_malformed_is_200_with_broken_json(simulator: SimulatorClient) -> None:
    response = post(simulator.base_url, "[[sim:malformed]]")
    assert response.status_code == 200
    with pytest.raises(json.JSONDecodeError):
        response.json()


def test_no_image_is_200_with_no_result(simulator: SimulatorClient) -> None:
    response = post(simulator.base_url, "[[sim:no-image]]")
    assert (response.status_code, response.json()["data"]) == (200, [])


def test_not_a_picture_is_200_with_text_in_place_of_the_picture(simulator: SimulatorClient) -> None:
    with pytest.raises(UnidentifiedImageError):
        Image.open(io.BytesIO(picture_of(post(simulator.base_url, "[[sim:not-a-picture]]"))))


def test_a_truncated_picture_opens_but_does_not_decode(simulator: SimulatorClient) -> None:
    image = Image.open(io.BytesIO(picture_of(post(simulator.base_url, "[[sim:truncated-picture]]"))))
    with pytest.raises(OSError, match="truncated"):
        image.load()


def test_png_instead_sends_png_and_claims_jpeg(simulator: SimulatorClient) -> None:
    response = post(simulator.base_url, "[[sim:png-instead]]")
    assert Image.open(io.BytesIO(picture_of(response))).format == "PNG"
    assert response.json()["output_format"] == "jpeg"


def test_usage_can_be_absent_or_without_details(simulator: SimulatorClient) -> None:
    assert "usage" not in post(simulator.base_url, "[[sim:no-usage]]").json()
    usage = post(simulator.base_url, "[[sim:usage-without-details]]").json()["usage"]
    assert set(usage) == {"input_tokens", "output_tokens", "total_tokens"}


def test_drop_closes_the_connection_in_the_middle_of_the_answer(simulator: SimulatorClient) -> None:
    with pytest.raises(httpx.RemoteProtocolError, match="without sending complete message body"):
        post(simulator.base_url, "[[sim:drop-once]]")
    assert simulator.stats()["by_status"] == {"connection dropped": 1}
    assert post(simulator.base_url, "[[sim:drop-once]]").status_code == 200


def test_hang_never_answers_and_notices_when_the_client_gives_up(simulator: SimulatorClient) -> None:
    with pytest.raises(httpx.ReadTimeout):
        post(simulator.base_url, "[[sim:hang]]", timeout_seconds=0.3)
    wait_until(lambda: bool(simulator.stats()["by_status"] == {"client gone": 1}))
    assert simulator.stats()["in_flight"] == 0


def test_what_is_held_is_answered_when_it_is_released_the_oldest_first(simulator: SimulatorClient) -> None:
    with ThreadPoolExecutor(2) as pool:
        older = pool.submit(post, simulator.base_url, "[[sim:held]] older")
        wait_until(lambda: bool(simulator.stats()["held"] == 1))
        newer = pool.submit(post, simulator.base_url, "[[sim:held]][[sim:moderation]] newer")
        wait_until(lambda: bool(simulator.stats()["held"] == 2))
        simulator.release(1)
        assert older.result().status_code == 200
        assert (newer.done(), simulator.stats()["held"]) == (False, 1)
        simulator.release()
        assert newer.result().status_code == 400
    assert simulator.stats()["by_fault"] == {"held": 2, "moderation": 1}


def test_more_than_is_held_cannot_be_released(simulator: SimulatorClient) -> None:
    with pytest.raises(ValueError, match="1 were to be released, but only 0 are held"):
        simulator.release(1)


def test_a_client_that_has_gone_is_no_longer_held(simulator: SimulatorClient) -> None:
    with pytest.raises(httpx.ReadTimeout):
        post(simulator.base_url, "[[sim:held]]", timeout_seconds=0.3)
    wait_until(lambda: bool(simulator.stats()["by_status"] == {"client gone": 1}))
    assert simulator.stats()["held"] == 0


def test_a_reset_releases_what_is_held(simulator: SimulatorClient) -> None:
    with ThreadPoolExecutor(1) as pool:
        call = pool.submit(post, simulator.base_url, "[[sim:held]]")
        wait_until(lambda: bool(simulator.stats()["held"] == 1))
        simulator.reset()
        assert call.result().status_code == 200


def test_what_is_held_midway_has_sent_half_and_sends_the_rest_when_it_is_released(simulator: SimulatorClient) -> None:
    with posted(simulator.base_url, "[[sim:held-midway]]") as response:
        half = int(response.headers["content-length"]) // 2
        pieces = response.iter_raw()
        arrived = b""
        while len(arrived) < half:
            arrived += next(pieces)
        wait_until(lambda: bool(simulator.stats()["held"] == 1))
        assert len(arrived) == half
        simulator.release()
        assert json.loads(arrived + b"".join(pieces))["data"]


def test_a_slow_drip_takes_its_time_and_arrives_whole(simulator: SimulatorClient) -> None:
    started = time.monotonic()
    response = post(simulator.base_url, "[[sim:slow-drip=1]]")
    assert response.status_code == 200
    assert picture_of(response)
    assert time.monotonic() - started >= 1


def test_latency_is_measured_from_arrival_and_a_marker_overrides_it(simulator: SimulatorClient) -> None:
    simulator.set_latency("30")
    assert post(simulator.base_url, "[[sim:latency=0.4]]").status_code == 200
    assert post(simulator.base_url, "[[sim:latency=0.4]][[sim:moderation-output]]").status_code == 400
    assert post(simulator.base_url, "[[sim:latency=20]][[sim:moderation]]").status_code == 400
    durations = [seen["duration_seconds"] for seen in simulator.stats()["recent"]]
    assert 0.4 <= durations[0] < 20
    assert 0.4 <= durations[1] < 20
    assert durations[2] < 20, "what is refused at once waits for nothing"


@pytest.mark.parametrize("text", ["", "-1", "1-", "3-2", "fast", "1-2-3"])
def test_a_latency_that_makes_no_sense_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="latency"):
        Latency.parse(text)


def test_a_retired_model_is_gone_until_a_reset_and_the_others_are_not(simulator: SimulatorClient) -> None:
    simulator.retire(MODEL)
    refused = post(simulator.base_url, "hello")
    assert (refused.status_code, refused.json()["error"]["code"]) == (404, "model_not_found")
    assert post(simulator.base_url, "hello", model=OTHER_MODEL).status_code == 200
    simulator.reset()
    assert post(simulator.base_url, "hello").status_code == 200


def test_model_gone_can_name_the_model_it_means(simulator: SimulatorClient) -> None:
    prompt = f"[[sim:model-gone={MODEL}]]"
    assert post(simulator.base_url, prompt).status_code == 404
    assert post(simulator.base_url, prompt, model=OTHER_MODEL).status_code == 200
