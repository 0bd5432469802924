"""What the production image has of the repository is enough for every command in it."""

import os
import re
import subprocess
import sys
from pathlib import Path, PurePosixPath
from typing import Final

import pytest

from main import EXIT_MISCONFIGURED
from tests.support.image_tree import Ignored, NotUnderstood, copies_of_stage, lay_out

REPOSITORY: Final = Path(__file__).resolve().parents[3]

COMMAND_SECONDS: Final = 60

COMMANDS: Final = (
    "main",
    "operations",
    "size_rec",
    "size_rec.calibration",
    "size_rec.calibration.stretch",
    "size_rec.pose.fetch_networks",
)

PROGRAMS: Final = {"operations": "wearon"}
"""Commands that call themselves otherwise than their module."""

WITHOUT_OTHER_PACKAGES: Final = """
import importlib.abc, importlib.metadata, sys
installed = set(sys.argv.pop(1).split(","))
owners = importlib.metadata.packages_distributions()
missing = {name for name, by in owners.items() if not {one.lower().replace("_", "-") for one in by} & installed}
class Missing(importlib.abc.MetaPathFinder):
    def find_spec(self, name, path, target=None):
        if name.partition(".")[0] in missing:
            raise ModuleNotFoundError(f"{name} is in no package of this image", name=name)
sys.meta_path.insert(0, Missing())
"""
"""As if only the packages of the first argument were installed."""

IMPORT_EVERYTHING: Final = """
import importlib, pathlib, sys
here = pathlib.Path.cwd()
for file in sorted(here.rglob("*.py")):
    parts = file.relative_to(here).with_suffix("").parts
    module = importlib.import_module(".".join(parts[:-1] if parts[-1] == "__init__" else parts))
    assert module.__file__ == str(file), f"{module.__name__} came from {module.__file__}"
    print(module.__name__)
"""


@pytest.fixture(scope="module")
def image(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the files that the image has in /app."""
    folder = tmp_path_factory.mktemp("image")
    lay_out(REPOSITORY, folder)
    return folder


@pytest.fixture(scope="module")
def bridge_image(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the files that the alert bridge's image has in /app."""
    folder = tmp_path_factory.mktemp("bridge-image")
    lay_out(REPOSITORY, folder, "whatsapp-bridge")
    return folder


def run(image: Path, *arguments: str) -> "subprocess.CompletedProcess[str]":
    """Python with these arguments where the image's files are and nothing is set."""
    return subprocess.run(
        [sys.executable, *arguments],
        cwd=image,
        env={"PATH": os.environ["PATH"], "PYTHONDONTWRITEBYTECODE": "1"},
        capture_output=True,
        text=True,
        timeout=COMMAND_SECONDS,
        check=False,
    )


def commands(image: Path) -> set[str]:
    """The modules for people: those that can be run and take arguments."""
    sources = {path: path.read_text() for path in image.rglob("*.py")}
    runnable = [path for path, text in sources.items() if '__name__ == "__main__"' in text and "argparse" in text]
    return {".".join(path.relative_to(image).with_suffix("").parts).removesuffix(".__main__") for path in runnable}


def operators_commands() -> set[str]:
    """The commands that the documents tell an operator to run where the worker runs."""
    text = "".join((REPOSITORY / name).read_text() for name in ("docs/operating.md", "docs/reliability.md"))
    return set(re.findall(r"`(?:\.venv/bin/)?python -m (\S+?)[ `]", text))


def test_every_module_of_the_image_can_be_imported_there(image: Path) -> None:
    ended = run(image, "-c", f"import sys; sys.path.insert(0, '')\n{IMPORT_EVERYTHING}")
    assert (ended.returncode, ended.stderr) == (0, "")
    assert {"main", "worker.execution.process", "size_rec.processes.process"} <= set(ended.stdout.split())


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_of_an_operator_explains_itself_in_the_image(image: Path, command: str) -> None:
    ended = run(image, "-m", command, "--help")
    assert (ended.returncode, ended.stderr) == (0, "")
    assert ended.stdout.startswith("usage: ")
    assert PROGRAMS.get(command, command) in ended.stdout.partition("\n")[0]


def test_the_operator_s_program_can_be_called_from_anywhere_in_the_image(image: Path, tmp_path: Path) -> None:
    ended = subprocess.run(
        [image / "bin" / "wearon", "health", "--port=1"],
        cwd=tmp_path,
        env={"PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}", "PYTHONDONTWRITEBYTECODE": "1"},
        capture_output=True,
        text=True,
        timeout=COMMAND_SECONDS,
        check=False,
    )
    assert (ended.returncode, ended.stderr) == (1, "")
    assert ended.stdout == "no worker answers at 127.0.0.1:1 (Connection refused)\n"


def test_the_image_s_health_check_is_that_program() -> None:
    dockerfile = (REPOSITORY / "Dockerfile").read_text()
    assert 'CMD ["wearon", "health"]' in dockerfile.partition("HEALTHCHECK")[2]
    assert "/app/bin" in dockerfile


def test_no_command_is_left_out_here(image: Path) -> None:
    assert commands(image) == set(COMMANDS)
    assert operators_commands() <= set(COMMANDS), "what the documents name"


def test_the_worker_in_the_image_gets_as_far_as_its_settings(image: Path) -> None:
    ended = run(image, "main.py")
    assert ended.returncode == EXIT_MISCONFIGURED
    assert ended.stderr.startswith("wearon-worker cannot start.\n")


def test_nothing_secret_and_no_test_is_in_the_image(image: Path) -> None:
    files = {path.relative_to(image).as_posix() for path in image.rglob("*") if path.is_file()}
    assert not [name for name in files if ".env" in name or name.startswith(("tests/", "sandbox/")) or ".pyc" in name]
    assert {"main.py", "operations/dead_letters.py"} <= files


def test_the_bridge_s_image_has_the_bridge_and_nothing_else_of_ours(bridge_image: Path) -> None:
    files = {path.relative_to(bridge_image).as_posix() for path in bridge_image.rglob("*") if path.is_file()}
    assert {"monitoring/__init__.py", "monitoring/whatsapp_bridge/__main__.py"} <= files
    others = {name for name in files if not name.startswith("monitoring/whatsapp_bridge/")}
    assert others == {"monitoring/__init__.py"}
    assert commands(bridge_image) == {"monitoring.whatsapp_bridge"}


def test_every_module_of_the_bridge_s_image_can_be_imported_there(bridge_image: Path) -> None:
    ended = run(bridge_image, "-c", f"import sys; sys.path.insert(0, '')\n{IMPORT_EVERYTHING}")
    assert (ended.returncode, ended.stderr) == (0, "")
    assert "monitoring.whatsapp_bridge.serve" in ended.stdout.split()


@pytest.mark.parametrize("arguments", [(), ("serve",), ("health",), ("send-test",)])
def test_the_bridge_explains_itself_in_its_image(bridge_image: Path, arguments: tuple[str, ...]) -> None:
    ended = run(bridge_image, "-m", "monitoring.whatsapp_bridge", *arguments, "--help")
    assert (ended.returncode, ended.stderr) == (0, "")
    assert ended.stdout.startswith("usage: python -m monitoring.whatsapp_bridge")


def test_the_bridge_loads_no_package_that_its_image_does_not_have(bridge_image: Path) -> None:
    lock = (REPOSITORY / "requirements-whatsapp-bridge.txt").read_text()
    installed = re.findall(r"^([a-z0-9-]+)==", lock, re.MULTILINE)
    ours = "import monitoring.whatsapp_bridge.serve, monitoring.whatsapp_bridge.send_test, anyio._backends._asyncio"
    servers = "import uvicorn.loops.auto, uvicorn.protocols.http.auto, uvicorn.lifespan.on"
    program = f"{WITHOUT_OTHER_PACKAGES}\nsys.path.insert(0, '')\n"
    loaded = run(bridge_image, "-c", f"{program}{ours}\n{servers}", ",".join(installed))
    assert (loaded.returncode, loaded.stderr) == (0, "")
    refused = run(bridge_image, "-c", f"{program}{ours}", ",".join({*installed} - {"structlog"}))
    assert "structlog is in no package of this image" in refused.stderr


def test_the_bridge_s_packages_have_the_worker_s_versions() -> None:
    pins = [
        set(re.findall(r"^([a-z0-9-]+==\S+)", (REPOSITORY / name).read_text(), re.MULTILINE))
        for name in ("requirements.txt", "requirements-whatsapp-bridge.txt")
    ]
    assert pins[1] <= pins[0]
    assert len(pins[1]) > 10


def test_the_builder_of_the_bridge_s_image_is_asked_by_its_name() -> None:
    assert [copy.target for copy in copies_of_stage("FROM x AS a\nCOPY b c\nFROM y AS d\nCOPY e f\n", "a")] == ["c"]
    assert [copy.target for copy in copies_of_stage("FROM x AS a\nCOPY b c\nFROM y AS d\nCOPY e f\n")] == ["f"]


@pytest.mark.parametrize("line", ["ADD a b", 'COPY ["a", "b"]', "COPY --chmod=755 a b", "COPY a \\"])
def test_a_dockerfile_that_this_reader_does_not_understand_is_refused(line: str) -> None:
    with pytest.raises(NotUnderstood):
        copies_of_stage(f"FROM x\n{line}\n")


def test_the_last_pattern_of_dockerignore_decides() -> None:
    ignored = Ignored.parse("# all\n*\n!kept\nkept/secret\n**/__pycache__\n!tools/one*.py\n")
    paths = ["kept/a.py", "kept/secret/b", "kept/x/__pycache__/c.pyc", "tools/one_view.py", "tools/two.py", ".env"]
    assert [ignored.has(PurePosixPath(path)) for path in paths] == [True, False, False, True, False, False]
