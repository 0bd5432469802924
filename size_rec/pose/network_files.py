"""The two pose networks as files: which they are, where they come from, and where they lie on this machine.

They are BlazePose's person detector and full landmark network, by Google, from MediaPipe 0.10.21, under the Apache
License 2.0 (``LICENSE`` lies beside them). ``size_rec/pose/fetch_networks.py`` takes them out of the wheel that
``requirements-networks.txt`` pins; MediaPipe itself is not installed (ADR 0108).
"""

import hashlib
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Final


@dataclass(frozen=True)
class NetworkFile:
    """A file of the wheel: its path in there, and the SHA-256 of what was calibrated and tested with."""

    member: str
    sha256: str

    @property
    def name(self) -> str:
        """Its name on this machine."""
        return self.member.rpartition("/")[2]


PERSON_DETECTION: Final = NetworkFile(
    member="mediapipe/modules/pose_detection/pose_detection.tflite",
    sha256="9ba9dd3d42efaaba86b4ff0122b06f29c4122e756b329d89dca1e297fd8f866c",
)
POSE_LANDMARKS: Final = NetworkFile(
    member="mediapipe/modules/pose_landmark/pose_landmark_full.tflite",
    sha256="e9a5c5cb17f736fafd4c2ec1da3b3d331d6edbe8a0d32395855aeb2cdfd64b9f",
)
LICENSE: Final = NetworkFile(
    member="mediapipe-0.10.21.dist-info/LICENSE",
    sha256="8707eef0533987efc5b155d64761eeb6e20793f50b9bd1a68dad1cf4719d0ed8",
)
"""Whoever passes the networks on, as the image does, passes it on with them."""

FETCHED: Final = (PERSON_DETECTION, POSE_LANDMARKS, LICENSE)

NETWORK_FOLDER: Final = Path(sys.prefix) / "share" / "wearon-worker" / "networks"
"""In the virtual environment, like everything else that is installed for the worker."""


class NetworkUnusable(RuntimeError):
    """A network's file at ``path`` is missing or is not the pinned one; ``reason`` says which."""

    def __init__(self, path: Path, reason: str) -> None:
        self.path = path
        self.reason = reason
        super().__init__(f"{path} {reason}; run `make install` (or `python -m size_rec.pose.fetch_networks`)")


def fault_of(content: bytes, file: NetworkFile) -> str | None:
    """What is wrong with ``content`` in the place of ``file``; ``None`` if it is that file."""
    if hashlib.sha256(content).hexdigest() == file.sha256:
        return None
    return f"is not the pinned {file.name} ({len(content)} bytes with another SHA-256)"


def checked_path(file: NetworkFile, folder: Path = NETWORK_FOLDER) -> Path:
    """Where the file is, once its content was found to be the pinned one (10 ms).

    Raises:
        NetworkUnusable: it is missing, unreadable or another one.
    """
    path = folder / file.name
    try:
        content = path.read_bytes()
    except OSError as error:
        raise NetworkUnusable(path, f"cannot be read ({error.strerror})") from None
    if fault := fault_of(content, file):
        raise NetworkUnusable(path, fault)
    return path
