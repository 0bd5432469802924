"""The desk beside a running worker: its health, its tasks, and a replay that ends in a picture."""

import json
import subprocess
import sys
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from models.generation import SessionRef, SessionStatus
from operations.__main__ import main as wearon
from operations.errors import EXIT_DONE, EXIT_REFUSED
from tests.support.worker import DEAD_LETTERS_KEY, Stage, Worker, wait_until
from worker.dead_letters import DeadLetter

pytest_plugins = ["tests.support.worker_fixtures"]

REPOSITORY = Path(__file__).resolve().parents[3]
PROGRAM_SECONDS = 60

STEP_SECONDS = 0.3
"""A program needs a second to come to the replay, and recovery up to one to settle what has lost its task."""


@pytest.fixture(scope="module")
def worker(stage: Stage) -> Worker:
    worker = stage.worker(ORPHAN_GRACE_SECONDS="600")  # no session is lost before a test says that it is old
    worker.start()
    return worker


@pytest.fixture(autouse=True)
def beside_the_worker(stage: Stage, worker: Worker, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The worker's own settings, as in its container."""
    monkeypatch.chdir(tmp_path)
    container = {"HOST": "0.0.0.0", "PORT": str(worker.port)}  # noqa: S104 - where a worker in a container listens
    for name, value in {**stage.world.settings(), **container}.items():
        monkeypatch.setenv(name, value)


@pytest.fixture
def told(capsys: pytest.CaptureFixture[str]) -> Callable[..., Any]:
    """What a command tells programs; it must end with the status."""

    def run(*arguments: str, status: int = EXIT_DONE) -> Any:
        capsys.readouterr()
        assert wearon([*arguments, "--json"]) == status
        return json.loads(capsys.readouterr().out)

    return run


def submit_into_a_letter(stage: Stage) -> SessionRef:
    """A session whose task is a dead letter, as after a run that broke."""
    submitted = stage.platform.submit_b2c([stage.photo], push=False)
    letter = DeadLetter.about(
        submitted.payload.encode(),
        reason="bad_task",
        detail="why",
        buried_at=datetime.now(UTC),
        session_ids=(submitted.session.session_id,),
        request_id=None,
    )
    stage.redis.lpush(DEAD_LETTERS_KEY, letter.encode())
    return submitted.session


def grow_old(stage: Stage, session: SessionRef) -> None:
    """Recovery may judge it from now on."""
    stage.platform.execute(
        "UPDATE generation_sessions SET created_at = created_at - interval '1 hour' WHERE id = %s", session.session_id
    )


def replay(stage: Stage, session: SessionRef) -> int:
    """From a process of its own, as an operator does; the exit status."""
    return subprocess.run(
        [sys.executable, "-m", "operations", "replay", str(session.session_id)],
        cwd=REPOSITORY,
        env=stage.world.settings(),
        capture_output=True,
        timeout=PROGRAM_SECONDS,
        check=False,
    ).returncode


def test_health_is_ok_in_one_line(worker: Worker, capsys: pytest.CaptureFixture[str]) -> None:
    wait_until(lambda: worker.health()["status"] == "ok", "the worker is well")
    assert wearon(["health"]) == EXIT_DONE
    assert capsys.readouterr().out == "ok\n"


def test_a_worker_that_is_not_well_is_told_by_the_exit_status(
    stage: Stage, worker: Worker, capsys: pytest.CaptureFixture[str]
) -> None:
    stage.world.redis.kill()
    try:
        wait_until(lambda: worker.health()["status"] == "degraded", "the worker notices")
        assert wearon(["health"]) == EXIT_REFUSED
    finally:
        stage.world.redis.start()
    assert capsys.readouterr().out.startswith("degraded: ")
    wait_until(lambda: worker.health()["status"] == "ok", "the worker is well again")


def test_the_address_of_the_env_file_is_the_worker_s(worker: Worker, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("HOST")
    monkeypatch.delenv("PORT")
    Path(".env").write_text(f"PORT={worker.port}\n")
    assert wearon(["health"]) == EXIT_DONE


def test_the_status_of_a_worker_at_work(stage: Stage, worker: Worker, told: Callable[..., Any]) -> None:
    stage.wait_for(stage.submit())
    status = told("status")
    assert status["silent"] == {}
    assert status["worker"]["is_well"] is True
    assert str(worker.executor()) in status["queue"]["in_flight"]
    [executor] = [each for each in status["activity"]["executors"] if each["executor"] == str(worker.executor())]
    assert executor["alive"] is True
    assert status["activity"]["completed"] >= 1
    assert status["models"]["are_known"] is True
    assert status["queue"]["turns_taken"] >= 1


def test_a_replayed_session_gets_its_picture_and_is_not_replayed_again(
    stage: Stage, told: Callable[..., Any], capsys: pytest.CaptureFixture[str]
) -> None:
    session = submit_into_a_letter(stage)
    session_id = str(session.session_id)
    assert told("replay", session_id)["replayed"] == session_id
    [row] = stage.wait_for(session)
    assert row.status is SessionStatus.COMPLETED
    assert wearon(["replay", session_id]) == EXIT_REFUSED
    assert "the credit is spent" in capsys.readouterr().err
    assert told("audit")["is_right"] is True


def test_replays_that_race_with_the_worker_s_recovery_leave_right_books(stage: Stage) -> None:
    """Recovery settles what has lost its task while two operators put it back: each session ends once."""
    sessions = [submit_into_a_letter(stage) for _ in range(5)]
    statuses: list[int] = []
    with ThreadPoolExecutor(2) as operators:
        for number, session in enumerate(sessions):
            replays = [operators.submit(replay, stage, session) for _ in range(2)]
            time.sleep(number * STEP_SECONDS)  # recovery comes first, and with each session later
            grow_old(stage, session)
            statuses += [each.result() for each in replays]
    assert set(statuses) <= {EXIT_DONE, EXIT_REFUSED}
    stage.wait_for(*sessions)
    wait_until(lambda: stage.waiting_sessions() == [], "the worker took what was put back")
    assert stage.wrong_books() == []
