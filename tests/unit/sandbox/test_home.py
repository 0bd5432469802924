"""The directory of the lasting sandbox: one user at a time, ports that stay, and a wipe that is careful."""

from itertools import count
from pathlib import Path

import pytest

from sandbox.lasting.commands import Part, table
from sandbox.lasting.home import (
    PARTS,
    PREFERRED_PORTS,
    SandboxHome,
    SandboxIsNotRunning,
    SandboxIsRunning,
    choose_ports,
)


def test_a_new_sandbox_gets_the_preferred_ports() -> None:
    assert choose_ports({}, lambda _: True, lambda: 0) == PREFERRED_PORTS


def test_a_known_sandbox_keeps_its_ports() -> None:
    remembered = dict(zip(PARTS, count(40_000), strict=False))

    assert choose_ports(remembered, lambda _: True, lambda: 0) == remembered


def test_a_taken_port_is_replaced_and_the_others_stay() -> None:
    chosen = choose_ports({}, lambda port: port != PREFERRED_PORTS["redis"], lambda: 50_000)

    assert chosen == {**PREFERRED_PORTS, "redis": 50_000}


def test_no_two_parts_share_a_port() -> None:
    picked = count(50_000)
    chosen = choose_ports(dict.fromkeys(PARTS, 8000), lambda _: True, lambda: next(picked) // 2)

    assert len(set(chosen.values())) == len(PARTS)


def test_two_processes_cannot_hold_one_sandbox(tmp_path: Path) -> None:
    home = SandboxHome(tmp_path / "home")

    with home.held():
        assert home.is_running
        with pytest.raises(SandboxIsRunning), SandboxHome(home.directory).held():
            pass
    assert not home.is_running


def test_a_sandbox_that_does_not_run_offers_no_world(tmp_path: Path) -> None:
    with pytest.raises(SandboxIsNotRunning):
        SandboxHome(tmp_path).running_world()


def test_the_ports_of_one_start_are_those_of_the_next(tmp_path: Path) -> None:
    first, _ = SandboxHome(tmp_path).settle_ports()
    second, moved = SandboxHome(tmp_path).settle_ports()

    assert (second, moved) == (first, [])


def test_a_wipe_leaves_what_is_not_the_sandboxs(tmp_path: Path) -> None:
    home = SandboxHome(tmp_path)
    home.settle_ports()
    (tmp_path / "redis").mkdir()
    (tmp_path / "redis" / "data").touch()
    (tmp_path / "diary.txt").write_text("mine")

    home.wipe()

    assert [path.name for path in tmp_path.iterdir()] == ["diary.txt"]


def test_a_wipe_of_a_sandbox_alone_leaves_no_directory(tmp_path: Path) -> None:
    home = SandboxHome(tmp_path / "home")
    with home.held():
        home.settle_ports()

    home.wipe()

    assert not home.directory.exists()


def test_a_running_sandbox_is_not_wiped(tmp_path: Path) -> None:
    home = SandboxHome(tmp_path)
    (tmp_path / "redis").mkdir()

    with home.held(), pytest.raises(SandboxIsRunning):
        home.wipe()

    assert (tmp_path / "redis").exists()


def test_the_table_of_parts_is_aligned() -> None:
    lines = table([Part("a", "http://127.0.0.1", "first"), Part("longer", "x", "second")])

    assert lines[0].index("first") == lines[1].index("second")
