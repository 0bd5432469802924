"""Settings that are edited under a running worker are in force after its next start, and not for half of it."""

import os
import signal
from typing import Final

import psutil

from models.generation import SessionStatus
from tests.support.worker import Stage

pytest_plugins = ["tests.support.worker_fixtures"]

NOWHERE: Final = "http://127.0.0.1:1/v1"


def test_an_executor_that_is_replaced_lives_with_the_settings_of_its_worker(stage: Stage) -> None:
    """All settings stand in .env, as on a developer's machine; then one of them is changed."""
    worker = stage.worker("edited")
    settings, worker._settings = worker._settings, {}
    worker.directory.mkdir(parents=True)
    env_file = worker.directory / ".env"
    env_file.write_text("".join(f"{name}={value}\n" for name, value in settings.items()))
    worker.start()
    [before] = stage.wait_for(stage.submit("before the edit"))

    env_file.write_text(
        "".join(f"{name}={value}\n" for name, value in {**settings, "OPENAI_BASE_URL": NOWHERE}.items())
    )
    os.kill(worker.celery_pid(), signal.SIGKILL)
    worker.wait_for_line("executor_ready", count=2)
    [after] = stage.wait_for(stage.submit("after the edit"))
    assert (before.status, after.status) == (SessionStatus.COMPLETED, SessionStatus.COMPLETED)


def test_no_secret_is_on_a_command_line_or_in_the_environment_that_is_not_there_already(stage: Stage) -> None:
    worker = stage.worker("secretive")
    settings = dict(worker._settings)
    key, worker._settings = settings["SUPABASE_SERVICE_ROLE_KEY"], {}
    worker.directory.mkdir(parents=True)
    (worker.directory / ".env").write_text("".join(f"{name}={value}\n" for name, value in settings.items()))
    worker.start()
    celery = psutil.Process(worker.celery_pid())
    assert key not in " ".join([*celery.cmdline(), *celery.environ().values()])
