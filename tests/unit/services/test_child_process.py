"""A child gets a link and few variables, and is ended for certain."""

import os
import signal
import socket
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

import psutil
import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.child_process import INHERITED, PROJECT_ROOT, ChildProcess, environment_of_child

LONG_SECONDS: Final = 60.0
LIVES_ON: Final = {"CHILD_LIVES_SECONDS": "600"}
SECRETS: Final = ("OPENAI_API_KEY", "SUPABASE_SERVICE_ROLE_KEY", "REDIS_URL", "CELERY_BROKER_URL", "HTTPS_PROXY")


@contextmanager
def child(variables: dict[str, str]) -> Iterator[ChildProcess]:
    """A child that is there and has said so."""
    started = ChildProcess("tests.support.child", variables)
    try:
        started.link.settimeout(LONG_SECONDS)
        assert started.link.recv(5) == b"here\n"
        yield started
    finally:
        started.kill_and_wait()
        started.link.close()


def test_a_child_gets_no_variable_that_is_not_on_the_list(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in SECRETS:
        monkeypatch.setenv(name, "s3cret")
    with child(LIVES_ON) as started:
        environment = psutil.Process(started.pid).environ()
    assert "s3cret" not in environment.values()
    assert environment["PATH"] == os.environ["PATH"]
    assert environment["CHILD_LIVES_SECONDS"] == "600"


@given(st.dictionaries(st.text(min_size=1), st.text()))
def test_only_what_begins_like_something_on_the_list_is_inherited(ours: dict[str, str]) -> None:
    inherited = environment_of_child(ours)
    assert all(name.startswith(INHERITED) for name in inherited)
    assert inherited.keys() - {"PYTHONPATH"} <= ours.keys()


def test_a_child_finds_our_modules_before_others_of_the_same_name() -> None:
    assert environment_of_child({})["PYTHONPATH"] == str(PROJECT_ROOT)
    both = environment_of_child({"PYTHONPATH": "/elsewhere"})["PYTHONPATH"]
    assert both.split(os.pathsep) == [str(PROJECT_ROOT), "/elsewhere"]


def test_a_child_that_ends_is_seen_to_end() -> None:
    with child({"CHILD_LIVES_SECONDS": "0"}) as started:
        assert started.ends_within(LONG_SECONDS)
        assert started.has_ended()
        assert started.link.recv(1) == b"", "and by its link"


def test_a_child_that_does_not_end_is_killed_for_certain() -> None:
    with child(LIVES_ON) as started:
        assert not started.ends_within(0)
        psutil.Process(started.pid).send_signal(signal.SIGSTOP)  # nothing but SIGKILL reaches it now
        started.kill_and_wait()
        assert not psutil.pid_exists(started.pid)


def test_ctrl_c_in_a_terminal_does_not_reach_a_child() -> None:
    with child(LIVES_ON) as started:
        assert os.getsid(started.pid) != os.getsid(0)


def test_a_child_that_cannot_be_started_leaves_nothing_open(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    made: list[socket.socket] = []
    pair = socket.socketpair

    def remembered() -> tuple[socket.socket, socket.socket]:
        made.extend(pair())
        return made[0], made[1]

    monkeypatch.setattr(socket, "socketpair", remembered)
    monkeypatch.setattr(sys, "executable", str(tmp_path / "python"))
    with pytest.raises(FileNotFoundError):
        ChildProcess("tests.support.child", LIVES_ON)
    assert [end.fileno() for end in made] == [-1, -1]
