"""The networks are taken out of a wheel that pip fetched: real pip, a small wheel in a folder in the index's place."""

import hashlib
import os
import re
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path
from typing import Final

import pytest

from sandbox.servers.processes import free_port
from size_rec.pose.fetch_networks import REQUIREMENTS, FetchFailed, fetch, is_complete, main
from size_rec.pose.network_files import NetworkFile

WHEEL: Final = "mediapipe-0.10.21-cp312-cp312-manylinux_2_28_x86_64.whl"
"""No Python and no machine but this one's own may install it; every one may fetch it."""

CONTENT: Final = {"mediapipe/modules/a/detector.tflite": b"boxes", "mediapipe/modules/b/landmarks.tflite": b"points"}
FILES: Final = tuple(NetworkFile(name, hashlib.sha256(content).hexdigest()) for name, content in CONTENT.items())

WHAT_FETCHING_IMPORTS: Final = """
import sys
before = set(sys.modules)
import size_rec.pose.fetch_networks as fetching
imported = [sys.modules[name] for name in set(sys.modules) - before]
print(fetching.REQUIREMENTS.exists(), any("site-packages" in str(module) for module in imported))
"""


@pytest.fixture(autouse=True)
def index(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder that pip takes for the package index, with the wheel in it."""
    for name in [name for name in os.environ if name.startswith("PIP_")]:
        monkeypatch.delenv(name)
    folder = tmp_path / "index"
    folder.mkdir()
    for name, value in {"CONFIG_FILE": os.devnull, "NO_INDEX": "1", "FIND_LINKS": str(folder)}.items():
        monkeypatch.setenv(f"PIP_{name}", value)
    make_wheel(folder, CONTENT)
    return folder


def make_wheel(folder: Path, content: dict[str, bytes]) -> None:
    """A wheel with these files and nothing else but what makes it one."""
    about = "mediapipe-0.10.21.dist-info"
    with zipfile.ZipFile(folder / WHEEL, "w") as archive:
        for name, data in content.items():
            archive.writestr(name, data)
        archive.writestr(f"{about}/METADATA", "Metadata-Version: 2.1\nName: mediapipe\nVersion: 0.10.21\n")
        archive.writestr(f"{about}/WHEEL", "Wheel-Version: 1.0\nTag: cp312-cp312-manylinux_2_28_x86_64\n")
        archive.writestr(f"{about}/RECORD", "")


@pytest.fixture
def requirements(tmp_path: Path, index: Path) -> Path:
    """Pins the wheel that is in the index when the test begins."""
    path = tmp_path / "requirements.txt"
    path.write_text(f"mediapipe==0.10.21 --hash=sha256:{hashlib.sha256((index / WHEEL).read_bytes()).hexdigest()}\n")
    return path


def test_the_files_are_taken_out_on_every_machine_and_nothing_is_left_beside_them(
    tmp_path: Path, requirements: Path
) -> None:
    folder = tmp_path / "new" / "networks"
    fetch(FILES, folder, requirements)
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == {
        "detector.tflite": b"boxes",
        "landmarks.tflite": b"points",
    }
    assert is_complete(FILES, folder)


def test_a_file_that_was_cut_short_is_replaced(tmp_path: Path, requirements: Path) -> None:
    fetch(FILES, tmp_path, requirements)
    (tmp_path / "detector.tflite").write_bytes(b"box")
    assert not is_complete(FILES, tmp_path)
    fetch(FILES, tmp_path, requirements)
    assert is_complete(FILES, tmp_path)


def test_another_wheel_than_the_pinned_one_is_refused(
    tmp_path: Path, requirements: Path, index: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    make_wheel(index, {**CONTENT, "mediapipe/more.py": b"import os"})
    with pytest.raises(FetchFailed, match="could not be fetched"):
        fetch(FILES, tmp_path / "networks", requirements)
    assert "DO NOT MATCH THE HASHES" in capfd.readouterr().err
    assert list((tmp_path / "networks").iterdir()) == []


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ({**CONTENT, FILES[1].member: b"other"}, "is not the pinned landmarks.tflite"),
        ({FILES[0].member: b"boxes"}, "has no mediapipe/modules/b/landmarks.tflite"),
    ],
)
def test_a_wheel_with_other_networks_is_refused(
    tmp_path: Path, index: Path, content: dict[str, bytes], said: str, request: pytest.FixtureRequest
) -> None:
    make_wheel(index, content)
    with pytest.raises(FetchFailed, match=said):
        fetch(FILES, tmp_path / "networks", request.getfixturevalue("requirements"))


def test_without_the_index_it_says_so_in_one_sentence_and_exits_1(
    tmp_path: Path, requirements: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.delenv("PIP_NO_INDEX")
    monkeypatch.delenv("PIP_FIND_LINKS")
    monkeypatch.setenv("PIP_INDEX_URL", f"http://127.0.0.1:{free_port()}/simple")
    monkeypatch.setenv("PIP_RETRIES", "0")
    assert main(FILES, tmp_path / "networks", requirements) == 1
    said = capfd.readouterr()
    assert "Fetching MediaPipe's two pose networks (a 36 MB wheel, once) ..." in said.out
    assert said.err.splitlines()[-1].startswith("The pose networks could not be fetched; pip says why above.")


def test_what_is_there_is_not_fetched_again() -> None:
    """As ``make install`` and the image's build call it, without any index."""
    run = subprocess.run(
        [sys.executable, "-m", "size_rec.pose.fetch_networks"], capture_output=True, text=True, check=True
    )
    assert run.stdout + run.stderr == ""


def test_the_images_build_has_all_that_fetching_needs(tmp_path: Path) -> None:
    """What its first stage copies, and no package."""
    stage = Path("Dockerfile").read_text().split("\nFROM ")[1]
    for line in re.findall(r"^COPY (.*)$", stage, re.MULTILINE):
        *sources, target = line.split()
        (tmp_path / target).mkdir(exist_ok=True)
        for source in map(Path, sources):
            if source.is_dir():
                shutil.copytree(source, tmp_path / target, dirs_exist_ok=True)
            else:
                shutil.copy(source, tmp_path / target)
    run = subprocess.run(
        [sys.executable, "-c", WHAT_FETCHING_IMPORTS], cwd=tmp_path, capture_output=True, text=True, check=True
    )
    assert run.stdout.split() == ["True", "False"]


def test_one_wheel_is_pinned_by_its_hash() -> None:
    pins = [line for line in REQUIREMENTS.read_text().splitlines() if line and not line.startswith("#")]
    assert len(pins) == 1
    assert pins[0].count("--hash=sha256:") == 1
