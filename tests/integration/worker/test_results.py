"""What one running worker makes of every kind of task: pictures, failures with their refund, and a clean log.

All tasks are submitted at once to one worker (``day``); each test looks at what became of its own.
"""

import base64
import json
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any
from uuid import UUID

import httpx
import pytest

from models.generation import Channel, SessionStatus
from sandbox.openai_sim.profiles import MODELS
from sandbox.openai_sim.usage import input_tokens
from sandbox.plain_http import NO_AUTHORITIES
from sandbox.platform.producer import StoreMode
from sandbox.servers.processes import LOOPBACK
from sandbox.servers.redis import LocalRedis
from sandbox.world import SIMULATED_API_KEY, World
from tests.support.tls import Authority, TlsFront
from tests.support.worker import Stage
from tests.support.worker_day import (
    BAD_ELEMENTS,
    COMPLETED,
    DONE_SECONDS,
    HOST_FAULTS,
    MODERATED,
    NOT_LOADED,
    PROMPT,
    PROVIDER_FAULTS,
    REFUSED_URLS,
    SIGNED_QUERY,
    WENT_WRONG,
    Day,
    submit_everything,
    wait_until_everything_is_over,
)

pytest_plugins = ["tests.support.worker_fixtures"]

COMPLETED_TASKS = ("b2c", *StoreMode)

REDIS_PASSWORD = "a-password-nobody-may-read"


@pytest.fixture(scope="module")
def own_redis(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalRedis]:
    """A Redis with a password, to see that it works and never shows."""
    with LocalRedis(tmp_path_factory.mktemp("redis-with-password"), password=REDIS_PASSWORD) as server:
        yield server


@pytest.fixture(scope="module")
def day(stage: Stage, own_redis: LocalRedis, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Day]:
    """One worker whose queue and broker are behind TLS, and every task of this module at once."""
    certificates = tmp_path_factory.mktemp("certificates")
    authority = Authority.create(certificates, "authority")
    world = World(own_redis, stage.world.postgres, stage.world.supabase, stage.world.simulator)
    own_stage = Stage(world, stage.pictures, stage.directory)
    with TlsFront(authority.server_context(certificates, LOOPBACK), own_redis.port) as front:
        url = f"rediss://:{REDIS_PASSWORD}@{LOOPBACK}:{front.port}/0"
        worker = own_stage.worker(
            REDIS_URL=url,
            CELERY_BROKER_URL=f"{url}?ssl_ca_certs={authority.certificate_path}",
            SSL_CERT_FILE=str(authority.certificate_path),
            WORKER_CONCURRENCY="64",
            LOG_LEVEL="DEBUG",
        )
        day = Day(own_stage, worker)
        try:
            worker.start()
            submit_everything(day)
            wait_until_everything_is_over(day)
            yield day
        finally:
            own_stage.close()


@pytest.mark.parametrize("name", COMPLETED_TASKS)
def test_a_task_ends_as_a_completed_session_with_every_column_set(day: Day, name: str) -> None:
    row = day.row(name)
    request = day.stage.provider_requests(PROMPT)[0]
    model = MODELS["gpt-image-2.6-sunburst"]
    usage = sum(input_tokens(model, image["width"], image["height"]) for image in request["images"])  # and the prompt
    assert row.status is SessionStatus.COMPLETED
    assert row.error_message is None
    assert row.completed_at is not None
    assert timedelta(0) < row.completed_at - row.created_at < timedelta(seconds=DONE_SECONDS)
    assert row.processing_time_ms is not None
    assert 0 < row.processing_time_ms < DONE_SECONDS * 1000
    assert row.input_tokens is not None
    assert 0 < row.input_tokens - usage < 100
    assert row.output_tokens == 1372  # medium, portrait like the photo
    assert row.estimated_cost_usd is not None
    assert Decimal("0.04") < row.estimated_cost_usd < Decimal("0.075")
    assert request["fields"]["model"] == model.name
    assert (request["fields"]["quality"], request["fields"]["complexity"]) == ("medium", "medium")
    assert "input_fidelity" not in request["fields"]
    assert request["fields"]["safety_identifier"] not in {"", str(row.owner_id)}


@pytest.mark.parametrize("name", COMPLETED_TASKS)
def test_the_link_on_the_row_gives_a_jpeg_from_the_channels_path_for_six_hours(day: Day, name: str) -> None:
    row = day.row(name)
    folder = f"generated/{row.owner_id}" if name == "b2c" else f"stores/{row.owner_id}/generated"
    url = httpx.URL(row.generated_image_url or "")
    answer = httpx.get(url, trust_env=False, verify=NO_AUTHORITIES)
    expires_at = datetime.fromtimestamp(claims_of(url.params["token"])["exp"], UTC)
    assert url.path.endswith(f"/virtual-tryon-images/{folder}/{row.id}.jpg")
    assert answer.status_code == 200
    assert answer.headers["content-type"] == "image/jpeg"
    assert answer.content.startswith(b"\xff\xd8\xff")
    assert row.completed_at is not None
    assert abs(expires_at - row.completed_at - timedelta(hours=6)) < timedelta(seconds=10)


def claims_of(token: str) -> dict[str, Any]:
    """The claims of a JSON web token (RFC 7519), its signature not checked."""
    part = token.split(".")[1]
    claims: dict[str, Any] = json.loads(base64.urlsafe_b64decode(part + "=" * (-len(part) % 4)))
    return claims


@pytest.mark.parametrize("name", PROVIDER_FAULTS)
def test_every_fault_of_the_provider_has_its_outcome_its_message_and_its_refund(day: Day, name: str) -> None:
    message, reason, requests = PROVIDER_FAULTS[name]
    day.expect(f"provider: {name}", message, reason)
    assert len(day.stage.provider_requests(f"[[sim:{name}]] fault")) == requests


def test_a_rate_limited_task_waits_ten_seconds_and_runs_once_more(day: Day) -> None:
    first, second = (request["arrived_at"] for request in day.stage.provider_requests("[[sim:429-always]] fault"))
    claim = day.stage.claim(day.submitted["provider: 429-always"].session)
    assert delays_of(day, "provider: 429-always") == [10.0]
    assert second - first > 9.5
    assert (claim["rate_limited"], claim["attempt"]) == (1, 1)


def test_a_rate_limited_task_waits_as_long_as_the_provider_names(day: Day) -> None:
    first, second = (request["arrived_at"] for request in day.stage.provider_requests("[[sim:429-wait=16]] fault"))
    assert delays_of(day, "provider: 429-wait=16") == [16.0]
    assert second - first > 15.5


def delays_of(day: Day, name: str) -> list[float]:
    """For how many seconds a task was put off, each time."""
    lines = day.worker.lines("run_postponed", session_id=str(day.submitted[name].session.session_id))
    return [line["delay_seconds"] for line in lines]


@pytest.mark.parametrize("name", HOST_FAULTS)
def test_every_fault_of_an_input_picture_has_its_plain_message_and_its_refund(day: Day, name: str) -> None:
    day.expect(f"host: {name}", *HOST_FAULTS[name])


@pytest.mark.parametrize("name", REFUSED_URLS)
def test_an_address_that_may_not_be_fetched_fails_with_the_message_of_a_missing_picture(day: Day, name: str) -> None:
    day.expect(name, NOT_LOADED, "image_address_refused")


@pytest.mark.parametrize("name", BAD_ELEMENTS)
def test_a_bad_element_becomes_a_dead_letter_and_its_session_is_refunded_where_it_can_be_told(
    day: Day, name: str
) -> None:
    make, reason, is_known = BAD_ELEMENTS[name]
    element = make(day.submitted[name].payload)
    letters = [letter for letter in day.stage.dead_letters() if element == letter_element(day, letter, type(element))]
    session_id = str(day.submitted[name].session.session_id)
    assert [(letter["reason"], letter["session_ids"]) for letter in letters] == [
        (reason, [session_id] if is_known else [])
    ]
    assert datetime.fromisoformat(letters[0]["buried_at"]) <= datetime.now(UTC)
    if is_known:
        day.expect(name, WENT_WRONG, f"bad_task:{reason}")
    else:
        assert day.row(name).status is SessionStatus.QUEUED  # recovery settles it after the grace
        assert day.refund(name) == {}


def letter_element(day: Day, letter: dict[str, Any], kind: type) -> str | bytes:
    """The element of a stored letter, or set aside for it, in the type it was pushed in."""
    if letter["element_key"] is not None:
        kept: Any = day.stage.redis.lindex(letter["element_key"], 0)
        element: bytes = kept
    else:
        element = letter["text"].encode() if letter["text"] is not None else base64.b64decode(letter["base64"])
    return element.decode(errors="replace") if kind is str else element


def test_a_task_that_names_another_owner_than_its_row_is_buried_and_the_row_refunded(day: Day) -> None:
    day.expect("another owner", WENT_WRONG, "owner_mismatch")
    assert str(day.submitted["another owner"].session.session_id) in buried_sessions(day)


def test_a_task_without_a_row_is_buried(day: Day) -> None:
    assert str(day.submitted["a row that is gone"].session.session_id) in buried_sessions(day)


def buried_sessions(day: Day) -> set[str]:
    """Sessions named by dead letters."""
    return {session_id for letter in day.stage.dead_letters() for session_id in letter["session_ids"]}


def test_a_session_the_platform_settled_first_is_neither_refunded_nor_completed(day: Day) -> None:
    row = day.row("settled by the platform")
    assert (row.status, row.error_message, row.generated_image_url) == (SessionStatus.FAILED, None, None)
    assert day.refund("settled by the platform") == {}


@pytest.mark.parametrize("name", ["an empty prompt", "ten pictures", "a legacy row"])
def test_unusual_but_good_tasks_are_done(day: Day, name: str) -> None:
    day.expect(name, COMPLETED, "")


def test_a_task_pushed_three_times_is_made_once(day: Day) -> None:
    day.expect("pushed three times", COMPLETED, "")
    assert len(day.stage.provider_requests("[[sim:latency=0.5]] thrice")) == 1


def test_a_refused_task_pushed_twice_is_refunded_once(day: Day) -> None:
    day.expect("refused twice", MODERATED, "moderated")
    assert len(day.stage.provider_requests("[[sim:moderation]] twice")) == 1


@pytest.mark.parametrize(
    ("mode", "kind"),
    [
        (StoreMode.ABSORB, "store_credit"),
        (StoreMode.RESELL, "shopper_credit"),
        (StoreMode.OVERAGE, "store_overage"),
    ],
)
def test_a_refund_undoes_exactly_what_the_store_mode_charged(day: Day, mode: StoreMode, kind: str) -> None:
    day.expect(f"{mode} refused", MODERATED, "moderated")
    assert day.refund(f"{mode} refused")["kind"] == kind


def test_a_session_of_three_credits_gets_three_back(day: Day) -> None:
    assert day.refund("three credits")["credits"] == 3


def test_the_metrics_count_what_happened(day: Day) -> None:
    metric = day.worker.metric
    rows = [day.row(name) for name in day.submitted if name != "a row that is gone"]
    completed = sum(row.status is SessionStatus.COMPLETED for row in rows)
    assert metric("wearon_generation_total", outcome="completed") == completed
    assert metric("wearon_generation_total", outcome="completed", channel="b2b") == len(StoreMode)
    assert metric("wearon_generation_duration_seconds_count") == completed
    assert metric("wearon_refund_total", kind="store_overage") == 1
    assert metric("wearon_refund_total", kind="shopper_credit") == 1
    assert metric("wearon_refund_total", kind="store_credit") == 1
    assert metric("wearon_dead_letters_total") == len(day.stage.dead_letters()) == len(BAD_ELEMENTS) + 2
    assert metric("wearon_openai_requests_total") == len(day.stage.provider_requests())
    runs = day.worker.lines("session_claimed")
    sessions = {line["session_id"] for line in runs}
    assert metric("wearon_stage_duration_seconds_count", stage="store") == completed
    assert len(runs) > len(sessions), "some were sent back by the provider and run again"
    assert metric("wearon_stage_duration_seconds_count", stage="queue") == len(sessions), "and are timed once"
    billed = {kind: metric("wearon_openai_tokens_total", kind=kind) for kind in ("image_in", "image_out")}
    assert all(tokens > 0 for tokens in billed.values())
    assert metric("wearon_openai_cost_dollars_total") > 0
    assert metric("wearon_unforeseen_errors_total") == 0
    assert metric("wearon_tasks_in_flight") == 0
    assert metric("wearon_executor_restarts_total") == 0


@pytest.mark.parametrize("name", StoreMode)
def test_a_task_leaves_one_line_for_each_stage_in_their_order(day: Day, name: str) -> None:
    session_id = str(day.submitted[name].session.session_id)
    lines = [line for line in day.worker.lines(session_id=session_id) if line["level"] != "debug"]
    assert [line["event"] for line in lines] == [
        "task_taken",
        "session_claimed",
        "images_downloaded",
        "images_prepared",
        "provider_asked",
        "provider_image_made",
        "result_stored",
        "session_completed",
    ]
    assert {line["level"] for line in lines} == {"info"}
    assert all(line["seconds"] >= 0 for line in lines if line["event"] in {"images_downloaded", "result_stored"})


def test_every_line_of_the_log_is_json_with_the_tasks_ids_on_each_line_of_a_task(day: Day) -> None:
    """A line of the Celery process that comes from our code while a task runs, or one that names a session."""
    lines = day.worker.lines()  # raises for a line that is no JSON
    of_tasks = [
        line
        for line in lines
        if line["logger"].startswith(("worker.execution", "worker.settlement.settle", "services."))
    ]
    assert len(of_tasks) > 100
    assert [line for line in of_tasks if line["process"] == "celery" and not has_ids(line)] == []
    assert [line for line in lines if "session_id" in line and not has_ids(line)] == []
    for name, submitted in day.submitted.items():
        if name in BAD_ELEMENTS:
            continue
        mine = [line for line in lines if line.get("session_id") == str(submitted.session.session_id)]
        assert {line["request_id"] for line in mine} == {submitted.request_id}, name
        assert {line["process"] for line in mine} == {"worker", "celery"}, name


def has_ids(line: dict[str, Any]) -> bool:
    """Whether a line carries the ids of Pattern 1, in a believable form."""
    return "request_id" in line and Channel(line["channel"]) in Channel and UUID(line["session_id"]) is not None


def test_an_orderly_end_leaves_no_secret_and_no_signed_query_anywhere_in_the_log(day: Day) -> None:
    """The whole run at DEBUG, Celery's own words included, down to the last line; then the books."""
    day.worker.terminate()
    assert day.worker.wait(DONE_SECONDS) == 0
    text = day.worker.log_path.read_text()
    signatures = [
        httpx.URL(row.generated_image_url).params["token"]
        for name in COMPLETED_TASKS
        if (row := day.row(name)).generated_image_url
    ]
    assert len(signatures) == 4
    for secret in (
        REDIS_PASSWORD,
        SIGNED_QUERY,
        SIMULATED_API_KEY,
        day.stage.world.supabase.service_role_key,
        *signatures,
    ):
        assert secret not in text
    assert "stopped" in {line.get("event") for line in day.worker.lines()}
    assert not any("base64" in line or "/9j/" in line for line in text.splitlines())  # the start of a JPEG in base64
    assert day.stage.wrong_books() == []
