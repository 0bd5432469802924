"""What is taken out of the image's packages is opened by nobody, and its size can be told without Docker."""

import json
import subprocess
import sys
import sysconfig
from pathlib import Path
from typing import Final

import pytest

from image.prune_packages import UNUSED, prune, unused_in
from proofs.image_size import ImageSize, Instruction, build_packages, copied, size_bytes, stages_of

ROOT: Final = Path(__file__).resolve().parents[3]
PACKAGES: Final = Path(sysconfig.get_path("platlib"))

EVERY_FILE_IN_USE: Final = """
import json, pathlib, sys
import main, worker.execution.process, operations.__main__
from size_rec.processes.process import load, reply_to
from size_rec.processes.link import Question
from size_rec.vocabulary import SizeAdvice
models = load()
photo = pathlib.Path("tests/data/bodies/images/b0001.jpg").read_bytes()
assert isinstance(reply_to(Question(photo, 176.2, None), models.pose, models.body), SizeAdvice)
modules = [module.__file__ for module in list(sys.modules.values()) if getattr(module, "__file__", None)]
mapped = [line.split()[-1] for line in open("/proc/self/maps") if "/" in line]
print(json.dumps(modules + mapped))
"""


@pytest.mark.heavy
def test_nothing_is_taken_out_that_the_workers_processes_open() -> None:
    ended = subprocess.run(
        [sys.executable, "-c", EVERY_FILE_IN_USE], cwd=ROOT, capture_output=True, text=True, check=True
    )
    opened = {Path(name).resolve() for name in json.loads(ended.stdout)}
    unused = {path.resolve() for path in unused_in(PACKAGES)}
    assert unused
    assert [str(path) for path in opened if unused & {path, *path.parents}] == []


def test_what_is_named_goes_and_all_else_stays(tmp_path: Path) -> None:
    names = [
        "numpy/core.py",
        "numpy/core.pyi",
        "numpy/lib/tests/test_a.py",
        "pip/__init__.py",
        "pip-1.dist-info/RECORD",
    ]
    for name in names:
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    prune(tmp_path)
    assert [path.name for path in tmp_path.rglob("*") if path.is_file()] == ["core.py"]


def test_every_pattern_says_why_and_names_something_that_a_package_has() -> None:
    assert all(UNUSED.values())
    missing = [pattern for pattern in UNUSED if not list(PACKAGES.glob(pattern))]
    assert not missing, "another release has it elsewhere, or no more"


def test_the_last_thing_in_the_build_stage_is_the_pruning() -> None:
    build, *_ = stages_of((ROOT / "Dockerfile").read_text())
    assert "image.prune_packages" in build[-1].rest


def test_continued_lines_and_comments_are_read_as_docker_reads_them() -> None:
    stages = stages_of("# one\nARG BASE=a\nFROM a AS b\nRUN x \\\n    # between\n    && y\nFROM c\nCOPY d e\n")
    assert stages[0][1:] == [Instruction("RUN", "x      && y")]
    assert stages[1][1:] == [Instruction("COPY", "d e")]


def test_the_build_stage_is_carried_out_in_a_folder(tmp_path: Path) -> None:
    repository, folder = tmp_path / "repository", tmp_path / "folder"
    (repository / "code").mkdir(parents=True)
    (repository / "code" / "a.py").write_text("12345")
    folder.mkdir()
    run = 'python -c "import pathlib, os; pathlib.Path(\'/opt/venv\').mkdir()" && cp code/a.py "/opt/venv/$NAME"'
    stage = [Instruction("ENV", "NAME=b.py"), Instruction("COPY", "code code"), Instruction("RUN", run)]
    venv = build_packages(repository, stage, sys.executable, folder)
    assert size_bytes(venv) == len("12345")
    assert [str(target) for _, target in copied(repository, stage)] == ["code/a.py"]


def test_a_step_that_fails_ends_the_measuring(tmp_path: Path) -> None:
    with pytest.raises(subprocess.CalledProcessError):
        build_packages(tmp_path, [Instruction("RUN", "exit 3")], sys.executable, tmp_path)


def test_sizes_are_told_in_megabytes() -> None:
    assert str(ImageSize(200_000_000, 1_000_000)) == " 201.0 MB (packages and networks 200.0, code 1.0)"
