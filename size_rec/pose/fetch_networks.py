"""``python -m size_rec.pose.fetch_networks``: take the pose networks out of MediaPipe's wheel, without installing it.

Both ``make install`` and the image's build run it. The wheel is fetched by pip, pinned and checked by hash, whatever
this machine's platform and Python are: the two files are the same on all of them. Standard library only, as nothing
else is needed for it.
"""

import argparse
import subprocess
import sys
import tempfile
import zipfile
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Final

from size_rec.pose.network_files import FETCHED, NETWORK_FOLDER, NetworkFile, NetworkUnusable, checked_path, fault_of

REQUIREMENTS: Final = Path(__file__).parents[2] / "requirements-networks.txt"

WHEEL_TARGET: Final = (
    *("--platform", "manylinux_2_28_x86_64"),
    *("--python-version", "3.12"),
    *("--implementation", "cp"),
    *("--abi", "cp312"),
)
"""Which of MediaPipe's wheels it is: the one whose hash is in ``requirements-networks.txt``."""


class FetchFailed(Exception):
    """The networks are not there; the message is for whoever installs."""


def is_complete(files: Sequence[NetworkFile] = FETCHED, folder: Path = NETWORK_FOLDER) -> bool:
    """Whether all the files are there and are the pinned ones."""
    with suppress(NetworkUnusable):
        return all(checked_path(file, folder) for file in files)
    return False


def fetch(
    files: Sequence[NetworkFile] = FETCHED, folder: Path = NETWORK_FOLDER, requirements: Path = REQUIREMENTS
) -> None:
    """Put the files into ``folder``, each at once: whoever reads meanwhile finds the old one or the new one.

    Raises:
        FetchFailed: the package index does not answer or has another wheel, or the wheel has other files.
    """
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=folder) as scratch:
        wheel = _download(requirements, Path(scratch))
        for file in files:
            fetched = Path(scratch) / file.name
            fetched.write_bytes(_content(wheel, file))
            fetched.replace(folder / file.name)


def _download(requirements: Path, scratch: Path) -> Path:
    # Not quiet on a terminal: pip draws how far it is.
    quiet = () if sys.stderr.isatty() else ("--quiet",)
    command = [
        *(sys.executable, "-m", "pip", "download", "--disable-pip-version-check", *quiet),
        *("--no-deps", "--require-hashes", "--only-binary=:all:", *WHEEL_TARGET),
        *("--requirement", requirements, "--dest", scratch),
    ]
    ended = subprocess.run(command, check=False)
    wheels = list(scratch.glob("*.whl"))
    if ended.returncode or len(wheels) != 1:
        raise FetchFailed(
            "The pose networks could not be fetched; pip says why above. They come out of MediaPipe's wheel, from the "
            "same package index as everything else: see that it can be reached, and try again."
        )
    return wheels[0]


def _content(wheel: Path, file: NetworkFile) -> bytes:
    with zipfile.ZipFile(wheel) as archive:
        try:
            content = archive.read(file.member)
        except KeyError:
            raise FetchFailed(f"{wheel.name} has no {file.member}.") from None
    if fault := fault_of(content, file):
        raise FetchFailed(f"{file.member} in {wheel.name} {fault}.")
    return content


def main(
    files: Sequence[NetworkFile] = FETCHED, folder: Path = NETWORK_FOLDER, requirements: Path = REQUIREMENTS
) -> int:
    """Fetch the networks unless they are there; returns the exit status."""
    if is_complete(files, folder):
        return 0
    print("Fetching MediaPipe's two pose networks (a 36 MB wheel, once) ...", flush=True)  # noqa: T201
    try:
        fetch(files, folder, requirements)
    except FetchFailed as failure:
        print(failure, file=sys.stderr)  # noqa: T201
        return 1
    return 0


if __name__ == "__main__":
    argparse.ArgumentParser(
        prog="python -m size_rec.pose.fetch_networks",
        description="Take the two pose networks out of MediaPipe's wheel, unless they are there.",
    ).parse_args()
    sys.exit(main())
