"""The pose networks are the pinned files; whatever else lies in their place is named, with what to do."""

from pathlib import Path

import pytest

from size_rec.pose.network_files import FETCHED, LICENSE, POSE_LANDMARKS, NetworkUnusable, checked_path
from size_rec.pose.networks import Network


def test_all_of_them_were_installed_with_the_licence_beside_them() -> None:
    assert [checked_path(file).name for file in FETCHED] == [
        "pose_detection.tflite",
        "pose_landmark_full.tflite",
        "LICENSE",
    ]
    assert "Apache License" in checked_path(LICENSE).read_text()


def test_a_missing_file_is_named_with_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(NetworkUnusable, match=r"pose_landmark_full.tflite cannot be read .*run `make install`"):
        checked_path(POSE_LANDMARKS, tmp_path)


def test_a_file_that_is_cut_short_is_not_used(tmp_path: Path) -> None:
    whole = checked_path(POSE_LANDMARKS).read_bytes()
    (tmp_path / POSE_LANDMARKS.name).write_bytes(whole[:-1])
    with pytest.raises(NetworkUnusable, match=r"is not the pinned pose_landmark_full.tflite \(6440511 bytes"):
        Network(POSE_LANDMARKS, tmp_path)
