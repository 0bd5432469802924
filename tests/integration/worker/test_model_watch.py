"""The list of models, from the simulator and over a real connection."""

import json
from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from typing import Any

import httpx
import pytest

from sandbox.openai_sim import SimulatorClient, running_simulator
from sandbox.openai_sim.state import ModelList
from sandbox.plain_http import NO_AUTHORITIES
from services.providers.openai.model_list import (
    ModelListUnusable,
    ShutdownDates,
    ask_shutdown_dates,
    read_shutdown_dates,
)
from tests.support.openai_sim_calls import MODEL, post
from tests.support.worker import WAIT_SECONDS

API_KEY = "sk-test-0123456789"
FIRST_OF_DECEMBER = datetime(2026, 12, 1, tzinfo=UTC)


@pytest.fixture(scope="module")
def module_simulator() -> Iterator[SimulatorClient]:
    with running_simulator() as simulator:
        yield simulator


@pytest.fixture
def simulator(module_simulator: SimulatorClient) -> SimulatorClient:
    module_simulator.reset()
    return module_simulator


def ask(simulator: SimulatorClient, key: str = API_KEY, **limits: Any) -> ShutdownDates:
    return ask_shutdown_dates(simulator.base_url, key, **limits)


def test_the_list_says_which_models_end_and_when(simulator: SimulatorClient) -> None:
    assert ask(simulator) == ShutdownDates({"gpt-image-1.5": FIRST_OF_DECEMBER}, told=True)
    simulator.shut_down("gpt-image-2.6-flare", date(2030, 1, 2))
    assert ask(simulator).by_model["gpt-image-2.6-flare"] == datetime(2030, 1, 2, tzinfo=UTC)


def test_asking_is_no_request_for_a_picture(simulator: SimulatorClient) -> None:
    ask(simulator)
    stats = simulator.stats()
    assert (stats["requests"], stats["model_lists"]) == (0, 1)


def test_a_list_without_dates_says_so(simulator: SimulatorClient) -> None:
    simulator.set_model_list(ModelList.UNDATED)
    assert ask(simulator) == ShutdownDates({}, told=False)


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        (ModelList.MISSING, "HTTP 404 Unknown request URL"),
        (ModelList.FAILING, "HTTP 500 The server had an error."),
        (ModelList.WEB_PAGE, "no list of models"),
        (ModelList.SILENT, "ReadTimeout"),
    ],
)
def test_an_answer_that_is_no_list_is_one_error_with_what_was_said(
    simulator: SimulatorClient, answer: ModelList, words: str
) -> None:
    simulator.set_model_list(answer)
    with pytest.raises(ModelListUnusable, match=words):
        ask(simulator, timeout_seconds=0.5 if answer is ModelList.SILENT else WAIT_SECONDS)


def test_a_refused_key_does_not_show(simulator: SimulatorClient) -> None:
    with pytest.raises(ModelListUnusable, match="HTTP 401") as refused:
        ask(simulator, "a-key-that-is-none")
    assert "a-key" not in str(refused.value)


def test_nobody_there_is_the_same_error() -> None:
    with pytest.raises(ModelListUnusable, match="ConnectError"):
        ask_shutdown_dates("http://127.0.0.1:9/v1", API_KEY)


def test_an_endless_list_is_given_up(simulator: SimulatorClient) -> None:
    with pytest.raises(ModelListUnusable, match="too long"):
        ask(simulator, max_answer_bytes=100)


def document(*entries: object) -> bytes:
    return json.dumps({"object": "list", "data": entries}).encode()


@pytest.mark.parametrize(
    ("value", "moment"),
    [
        ("2026-12-01", FIRST_OF_DECEMBER),
        ("2026-12-01T18:00:00Z", FIRST_OF_DECEMBER + timedelta(hours=18)),
        ("2026-12-01T18:00:00", FIRST_OF_DECEMBER + timedelta(hours=18)),
    ],
)
def test_a_day_and_a_moment_are_both_understood(value: str, moment: datetime) -> None:
    assert read_shutdown_dates(document({"id": "m", "shutdown_date": value})).by_model == {"m": moment}


def test_an_entry_that_cannot_be_read_does_not_cost_the_others() -> None:
    body = document("x", {"id": 3}, {"id": "a", "shutdown_date": "soon"}, {"id": "b", "shutdown_date": "2026-12-01"})
    assert read_shutdown_dates(body) == ShutdownDates({"b": FIRST_OF_DECEMBER}, told=True)


@pytest.mark.parametrize("body", [b"", b"null", b"[]", b"{}", b'{"data": 3}', b"<html>", b"\xff"])
def test_what_is_no_list_is_refused(body: bytes) -> None:
    with pytest.raises(ModelListUnusable):
        read_shutdown_dates(body)


def test_the_simulator_ends_a_model_on_the_day_a_test_names(simulator: SimulatorClient) -> None:
    today = datetime.now(UTC).date()
    assert post(simulator.base_url, "hello").status_code == 200, "on whatever day this test runs"
    simulator.shut_down(MODEL, today + timedelta(days=1))
    assert post(simulator.base_url, "hello").status_code == 200
    simulator.shut_down(MODEL, today)
    answer = post(simulator.base_url, "hello")
    assert (answer.status_code, answer.json()["error"]["code"]) == (404, "model_not_found")
    listed = httpx.get(
        f"{simulator.base_url}/models", headers={"authorization": f"Bearer {API_KEY}"}, verify=NO_AUTHORITIES
    ).json()["data"]
    assert MODEL not in [model["id"] for model in listed]
