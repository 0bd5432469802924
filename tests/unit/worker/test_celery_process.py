"""What the Celery process arranges for itself before it starts."""

import subprocess
import sys
import warnings
from collections.abc import Iterator
from pathlib import Path

import pytest
from celery import platforms
from celery.exceptions import CPendingDeprecationWarning, SecurityWarning
from celery.worker.consumer.consumer import CANCEL_TASKS_BY_DEFAULT
from structlog.testing import capture_logs

from worker.execution.process import shorten_warnings

REPOSITORY = Path(__file__).resolve().parents[3]

LIMITS = """
import resource
from worker.execution.process import allow_open_files
resource.setrlimit(resource.RLIMIT_NOFILE, ({soft}, {hard}))
allow_open_files({count})
print(*resource.getrlimit(resource.RLIMIT_NOFILE))
"""


@pytest.mark.parametrize(
    ("soft", "hard", "count", "after"),
    [
        pytest.param(256, 512, 400, (400, 512), id="raised"),
        pytest.param(256, 512, 1024, (512, 512), id="as far as allowed"),
        pytest.param(256, 512, 128, (256, 512), id="never lowered"),
    ],
)
def test_the_limit_of_open_files_is_raised_as_far_as_allowed(
    soft: int, hard: int, count: int, after: tuple[int, int]
) -> None:
    program = LIMITS.format(soft=soft, hard=hard, count=count)
    ended = subprocess.run([sys.executable, "-c", program], cwd=REPOSITORY, capture_output=True, text=True, check=True)
    assert tuple(map(int, ended.stdout.split())) == after


@pytest.fixture
def _own_warnings() -> Iterator[None]:
    with warnings.catch_warnings():
        yield


@pytest.mark.usefixtures("_own_warnings")
def test_running_as_root_is_one_line_of_ours_and_none_of_celerys(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("getuid", "geteuid"):
        monkeypatch.setattr(f"os.{name}", lambda: 0)
    warnings.simplefilter("error")
    with pytest.raises(SecurityWarning):
        platforms.check_privileges(["json"])
    with capture_logs() as lines:
        shorten_warnings()
    assert [(line["event"], line["log_level"]) for line in lines] == [("running_as_root", "warning")]
    platforms.check_privileges(["json"])  # raises the warnings that are not ignored


@pytest.mark.usefixtures("_own_warnings")
def test_celerys_other_warnings_are_not_touched(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("getuid", "geteuid"):
        monkeypatch.setattr(f"os.{name}", lambda: 10_001)
    warnings.simplefilter("error")
    with capture_logs() as lines:
        shorten_warnings()
    assert lines == []
    with pytest.raises(SecurityWarning):
        warnings.warn(SecurityWarning(platforms.ROOT_DISCOURAGED), stacklevel=1)
    with pytest.raises(CPendingDeprecationWarning):
        warnings.warn("Another setting goes.", CPendingDeprecationWarning, stacklevel=1)


@pytest.mark.usefixtures("_own_warnings")
def test_that_tasks_outlive_a_lost_broker_is_decided_and_not_warned_of() -> None:
    warnings.simplefilter("error")
    with pytest.raises(CPendingDeprecationWarning):
        warnings.warn(CANCEL_TASKS_BY_DEFAULT, CPendingDeprecationWarning, stacklevel=1)
    shorten_warnings()
    warnings.warn(CANCEL_TASKS_BY_DEFAULT, CPendingDeprecationWarning, stacklevel=1)
