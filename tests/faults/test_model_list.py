"""When the provider's list of models is not to be had: nobody notices, apart from one line in the log."""

import httpx
import pytest

from models.generation import SessionStatus
from sandbox.openai_sim.state import ModelList
from sandbox.plain_http import NO_AUTHORITIES
from tests.support.worker import Stage, wait_until

pytest_plugins = ["tests.support.worker_fixtures"]


@pytest.mark.parametrize(
    ("answer", "line"),
    [
        (ModelList.SILENT, None),  # while it is waited for
        (ModelList.MISSING, "openai_model_list_unusable"),
        (ModelList.UNDATED, "openai_model_list_undated"),
    ],
)
def test_a_worker_starts_works_and_is_well_without_the_list_of_models(
    stage: Stage, answer: ModelList, line: str | None
) -> None:
    with stage.world.simulator.control() as simulator:
        simulator.set_model_list(answer)
        worker = stage.worker(f"with a list that is {answer}")
        worker.start()
        wait_until(lambda: simulator.stats()["model_lists"], "the list is asked for")
        [row] = stage.wait_for(stage.submit("a picture without a list"))
        assert row.status is SessionStatus.COMPLETED
        assert httpx.get(f"{worker.url}/health", trust_env=False, verify=NO_AUTHORITIES).json()["status"] == "ok"
        if line is not None:
            assert worker.wait_for_line(line)["level"] == "warning"
        worker.stop()
        simulator.reset()
    assert stage.wrong_books() == []
