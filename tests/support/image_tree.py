"""The files of a production image, laid out in a folder from the Dockerfile and .dockerignore without any Docker.

Of the two formats only what ours use is understood, and everything else is refused: ``COPY SOURCE… TARGET`` of one
stage, ``COPY --from=…`` (left out: installed packages), and patterns of one folder level with ``!`` and ``**/``.
"""

import shlex
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path, PurePosixPath


class NotUnderstood(Exception):
    """The Dockerfile or .dockerignore has what this reader does not know."""


@dataclass(frozen=True, slots=True)
class Copy:
    """One COPY of a stage."""

    sources: tuple[str, ...]
    target: str


def copies_of_stage(dockerfile: str, stage: str = "") -> list[Copy]:
    """What the image of a stage, or of the last one, gets from the build context, in order."""
    copies: list[Copy] = []
    current = ""
    for line in dockerfile.splitlines():
        instruction, _, rest = line.strip().partition(" ")
        if instruction == "FROM":
            if stage and copies and current == stage:
                return copies
            copies, current = [], rest.partition(" AS ")[2]
        elif instruction in {"COPY", "ADD"}:
            if instruction == "ADD" or line.rstrip().endswith("\\") or rest.lstrip().startswith(("[", "--ch")):
                raise NotUnderstood(line)
            words = shlex.split(rest)
            if not words[0].startswith("--from="):
                copies.append(Copy(tuple(words[:-1]), words[-1]))
    return copies


@dataclass(frozen=True, slots=True)
class Ignored:
    """The build context as .dockerignore leaves it: the last pattern that fits a file or a folder above it decides."""

    patterns: tuple[tuple[str, bool], ...]

    @classmethod
    def parse(cls, text: str) -> "Ignored":
        """From the text of .dockerignore."""
        lines = [line.strip() for line in text.splitlines() if line.strip() and not line.startswith("#")]
        return cls(tuple((line.removeprefix("!"), line.startswith("!")) for line in lines))

    def has(self, path: PurePosixPath) -> bool:
        """Whether the file is in the build context."""
        kept = True
        for pattern, keeps in self.patterns:
            if any(_fits(part, pattern) for part in (path, *path.parents[:-1])):
                kept = keeps
        return kept


def _fits(path: PurePosixPath, pattern: str) -> bool:
    anywhere = pattern.startswith("**/")
    wanted = PurePosixPath(pattern.removeprefix("**/")).parts
    parts = path.parts[-len(wanted) :] if anywhere else path.parts
    return len(parts) == len(wanted) and all(map(fnmatchcase, parts, wanted))


def lay_out(repository: Path, image: Path, stage: str = "") -> None:
    """Copy into ``image`` what the image of this stage, or of the last one, has of the repository."""
    ignored = Ignored.parse((repository / ".dockerignore").read_text())
    for copy in copies_of_stage((repository / "Dockerfile").read_text(), stage):
        for file, target in _files(repository, copy):
            if ignored.has(PurePosixPath(file.relative_to(repository).as_posix())):
                (image / target).parent.mkdir(parents=True, exist_ok=True)
                shutil.copy(file, image / target)


def _files(repository: Path, copy: Copy) -> Iterator[tuple[Path, Path]]:
    """Every file with its place in the image: COPY puts what is in a folder, not the folder itself."""
    target = Path(copy.target)
    for source in copy.sources:
        found = sorted(repository.glob(source))
        if not found:
            raise NotUnderstood(f"COPY {source}: there is no such file")
        for path in found:
            if path.is_dir():
                yield from ((file, target / file.relative_to(path)) for file in path.rglob("*") if file.is_file())
            else:
                yield path, target / path.name if copy.target.endswith("/") else target
