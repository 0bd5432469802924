"""``make image-size``: how much the production image adds to its base image, worked out without Docker.

The Dockerfile's build stage is carried out in a temporary folder (it has ``ENV``, ``COPY`` and ``RUN`` only), and the
files of the last stage are counted. ``BASE=<commit>`` does the same with that commit and puts it beside.
"""

import argparse
import os
import shlex
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

REPOSITORY: Final = Path(__file__).resolve().parents[1]

VENV: Final = "/opt/venv"
"""Where the Dockerfile puts the packages."""

MEGABYTE: Final = 1_000_000

AIM_SHARE: Final = 0.60
"""Of the base's size."""


@dataclass(frozen=True, slots=True)
class Instruction:
    """One instruction of a Dockerfile: its keyword and the rest of the line, continued lines joined."""

    keyword: str
    rest: str


@dataclass(frozen=True, slots=True)
class ImageSize:
    """Bytes on top of the base image."""

    packages_bytes: int
    code_bytes: int

    @property
    def whole_bytes(self) -> int:
        """Both together."""
        return self.packages_bytes + self.code_bytes

    def __str__(self) -> str:
        packages, code = self.packages_bytes / MEGABYTE, self.code_bytes / MEGABYTE
        return f"{self.whole_bytes / MEGABYTE:6.1f} MB (packages and networks {packages:.1f}, code {code:.1f})"


def stages_of(dockerfile: str) -> list[list[Instruction]]:
    """[pure] The instructions of every stage, comments and what stands before the first stage left out."""
    stages: list[list[Instruction]] = []
    lines = [line for line in dockerfile.splitlines() if line.strip() and not line.lstrip().startswith("#")]
    for line in "\n".join(lines).replace("\\\n", " ").splitlines():
        keyword, _, rest = line.strip().partition(" ")
        if keyword == "FROM":
            stages.append([])
        if stages:
            stages[-1].append(Instruction(keyword, rest.strip()))
    return stages


def copied(repository: Path, stage: Sequence[Instruction]) -> Iterator[tuple[Path, Path]]:
    """Every file that COPY takes from the repository, with its place below the stage's folder."""
    for instruction in stage:
        if instruction.keyword != "COPY" or instruction.rest.startswith("--from="):
            continue
        *sources, target = shlex.split(instruction.rest)
        for found in (path for source in sources for path in sorted(repository.glob(source))):
            if found.is_file():
                yield found, Path(target) / found.name
                continue
            inside = (file for file in found.rglob("*") if file.is_file() and "__pycache__" not in file.parts)
            yield from ((file, Path(target) / file.relative_to(found)) for file in inside)


def build_packages(repository: Path, stage: Sequence[Instruction], python: str, folder: Path) -> Path:
    """Carry out the build stage; returns the folder of the packages.

    Raises:
        subprocess.CalledProcessError: a ``RUN`` failed; what it said is on standard error.
    """
    venv, context, tools = folder / "venv", folder / "context", folder / "bin"
    for file, target in copied(repository, stage):
        (context / target).parent.mkdir(parents=True, exist_ok=True)
        (context / target).write_bytes(file.read_bytes())
    tools.mkdir()
    context.mkdir(exist_ok=True)
    (tools / "python").write_text(f'#!/bin/sh\nexec {shlex.quote(python)} "$@"\n')
    (tools / "python").chmod(0o755)
    settings = dict(part.split("=", 1) for it in stage if it.keyword == "ENV" for part in shlex.split(it.rest))
    for instruction in (it for it in stage if it.keyword == "RUN"):
        subprocess.run(
            ["sh", "-c", instruction.rest.replace(VENV, str(venv))],
            cwd=context,
            env={**os.environ, **settings, "PATH": f"{tools}{os.pathsep}{os.environ['PATH']}"},
            stdout=subprocess.DEVNULL,
            check=True,
        )
    return venv


def size_bytes(folder: Path) -> int:
    """Of all files in it; links count as links."""
    return sum(path.lstat().st_size for path in folder.rglob("*") if path.is_symlink() or path.is_file())


def image_size(repository: Path, python: str) -> ImageSize:
    """What this repository's Dockerfile adds to its base image, with a Python of the image's version."""
    build, *_, last = stages_of((repository / "Dockerfile").read_text())
    with tempfile.TemporaryDirectory(prefix="wearon-image-") as folder:
        packages_bytes = size_bytes(build_packages(repository, build, python, Path(folder)))
    return ImageSize(packages_bytes, sum(file.stat().st_size for file, _ in copied(repository, last)))


def size_of_commit(commit: str, python: str) -> ImageSize:
    """The same of an earlier commit."""
    with tempfile.TemporaryDirectory(prefix="wearon-base-") as folder:
        archive = Path(folder) / "tree.tar"
        subprocess.run(["git", "archive", "--output", archive, commit], cwd=REPOSITORY, check=True)
        subprocess.run(["tar", "-xf", archive, "-C", folder], check=True)
        return image_size(Path(folder), python)


def main(arguments: Sequence[str] | None = None) -> int:
    """Print the size; with a base also its own and the share, and 1 when the aim was missed."""
    parser = argparse.ArgumentParser(prog="python -m proofs.image_size", description=__doc__.partition("\n")[0])
    parser.add_argument("--base", metavar="COMMIT", help="compare with this commit's image")
    parser.add_argument("--python", default=sys.executable, help="a Python of the image's version (3.12)")
    chosen = parser.parse_args(arguments)
    here = image_size(REPOSITORY, chosen.python)
    print(f"here  {here}")
    if not chosen.base:
        return 0
    base = size_of_commit(chosen.base, chosen.python)
    share = here.whole_bytes / base.whole_bytes
    print(f"base  {base}\nshare {share:6.2f}    (aim: {AIM_SHARE:.2f})")
    return int(share > AIM_SHARE)


if __name__ == "__main__":
    sys.exit(main())
