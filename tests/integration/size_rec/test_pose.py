"""The pose model loads from the fetched files alone, and the command line uses it."""

import hashlib
import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageOps

from size_rec.__main__ import EXIT_NOT_SAVED, main
from size_rec.body.body_model import ANSWERED
from size_rec.pose.model import PoseModel
from size_rec.pose.pose import Joint
from tests.support.size_photos import BODIES, as_jpeg, decoded, measure, photo, pose_model, truth

SHOULDERS, HIPS = [Joint.LEFT_SHOULDER, Joint.RIGHT_SHOULDER], [Joint.LEFT_HIP, Joint.RIGHT_HIP]
NOT_NEEDED = ("mediapipe", "google.protobuf", "cv2", "matplotlib", "jax", "tensorflow")

LOAD_OFFLINE = f"""
import socket, sys
def refuse(*_, **__):
    raise AssertionError("the network was used")
socket.socket.connect = socket.getaddrinfo = refuse
from PIL import Image, ImageOps
from size_rec.pose.model import PoseModel
assert PoseModel().find(Image.new("RGB", (64, 64))) is None
print([name for name in {NOT_NEEDED!r} if name in sys.modules])
"""


def test_the_model_loads_without_the_network_and_without_the_packages_pose_does_not_use() -> None:
    run = subprocess.run([sys.executable, "-c", LOAD_OFFLINE], capture_output=True, text=True, check=True)
    assert run.stdout.strip() == "[]"


def test_size_rec_limits_the_matrix_threads_before_numpy_starts_them() -> None:
    code = "import os, sys, size_rec; print(os.environ['OPENBLAS_NUM_THREADS'], 'numpy' in sys.modules)"
    environment = {name: value for name, value in os.environ.items() if name != "OPENBLAS_NUM_THREADS"}
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, env=environment)
    assert run.stdout.split() == ["1", "False"]


def test_the_model_is_free_again_after_a_picture_that_broke_it() -> None:
    model = PoseModel()
    with pytest.raises(ValueError, match="shape"):
        model.find(Image.new("L", (64, 64)))
    assert model.find(decoded("b0001.jpg")) is not None


@pytest.mark.parametrize("name", ["b0001.jpg", "b0058.jpg", "b0075.jpg"])
def test_a_person_far_off_is_seen_from_crown_to_soles(name: str) -> None:
    """With 400 pixels of wall all around."""
    picture = decoded(name)
    wall = np.asarray(picture)[2, 2]
    bordered = ImageOps.expand(picture, 400, fill=tuple(int(value) for value in wall))
    assert measure(as_jpeg(bordered), float(truth()[name]["height_cm"])).features.complete


def test_a_head_close_to_the_pictures_border_is_not_cut_off() -> None:
    """Twelve pixels of 1024."""
    picture, height_cm = decoded("b0001.jpg"), float(truth()["b0001.jpg"]["height_cm"])
    measured = measure(as_jpeg(picture), height_cm)
    crown = measured.cut_out.in_picture(np.array([0.0, measured.features.extent.crown]))[1] / 512 * picture.height
    close = picture.crop((0, round(crown) - 12, picture.width, picture.height))
    assert measure(as_jpeg(close), height_cm).features.complete


def test_two_people_are_both_noticed() -> None:
    found = pose_model().find(decoded("x013.jpg"))
    assert found is not None
    assert len(found.pose.people) == 2


def test_landmarks_lie_in_the_picture_and_the_mask_covers_them() -> None:
    found = pose_model().find(decoded("b0001.jpg"))
    assert found is not None
    assert found.pose.mask.shape == found.cut_out.rgb.shape[:2]
    for joint in (Joint.LEFT_SHOULDER, Joint.RIGHT_HIP, Joint.LEFT_KNEE):
        x, y = found.pose.point(joint).round().astype(int)
        assert found.pose.mask[y, x] > 0.5


def test_the_landmarks_are_where_mediapipe_itself_sees_them() -> None:
    """Its own graph on the same photographs, stored by ``make reference-landmarks``; the framing differs, so a fiftieth
    of the trunk's length is allowed."""
    reference = json.loads((BODIES / "mediapipe_landmarks.json").read_text())["photographs"]
    apart = []
    for name, stored in reference.items():
        assert stored["sha256"] == hashlib.sha256(photo(name)).hexdigest(), "another photograph: remake the landmarks"
        found, expected = pose_model().find(decoded(name)), np.array(stored["landmarks"])
        assert found is not None
        seen = found.cut_out.in_picture(found.pose.landmarks[:, :2])
        trunk = expected[SHOULDERS].mean(axis=0) - expected[HIPS].mean(axis=0)
        apart.append(np.hypot(*(seen - expected).T) / np.hypot(*trunk))
    assert len(apart) == 10
    assert np.mean(apart) < 0.02


def test_the_command_line_answers_also_where_the_drawing_cannot_be_saved(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    for out in (tmp_path / "nowhere" / "drawn.png", tmp_path / "drawn.xyz"):
        status = main(["tests/data/bodies/images/b0001.jpg", "--height", "176.2", "--out", str(out)])
        said = capfd.readouterr()
        assert status == EXIT_NOT_SAVED
        assert set(json.loads(said.out)["measurements"]) == set(ANSWERED)
        assert said.err.startswith(f"{out}: the drawing cannot be saved")
        assert said.err.count("\n") == 1


def test_the_command_line_answers_and_draws_what_it_measured(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    drawing = tmp_path / "drawn.png"
    status = main(["tests/data/bodies/images/b0001.jpg", "--height", "176.2", "--out", str(drawing)])
    answer = json.loads(capsys.readouterr().out)
    assert status == 0
    assert set(answer["measurements"]) == set(ANSWERED)
    with Image.open(drawing) as picture:
        assert picture.height >= 1000


@pytest.mark.parametrize(
    ("name", "said"),
    [("x004.jpg", "feet_cut_off"), ("x000.jpg", "no_person"), ("missing.jpg", "No such file")],
)
def test_the_command_line_says_why_it_cannot(name: str, said: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([f"tests/data/bodies/images/{name}", "--height", "175"]) != 0
    assert said in capsys.readouterr().err


@pytest.mark.parametrize("height", ["17", "251", "175,5", "1_75", "nan", "tall", ""])
def test_the_command_line_refuses_what_is_no_possible_height(height: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["photo.jpg", f"--height={height}"])
    assert "argument --height: must be a number from 100 to 250, such as 175.5\n" in capsys.readouterr().err


def test_the_command_line_refuses_an_impossible_weight(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["photo.jpg", "--height", "175", "--weight", "154 lb"])
    assert "argument --weight: must be a number from 30 to 250, such as 70.5\n" in capsys.readouterr().err


def test_the_help_of_the_command_line_names_the_limits(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["--help"])
    told = " ".join(capsys.readouterr().out.split())
    assert "100 to 250, such as 175.5" in told
    assert "30 to 250, such as 70.5" in told


@pytest.mark.parametrize("source", ["photo.png", "chart.csv"])
@pytest.mark.parametrize("name", ["photo.png", "chart.csv", "linked.png"])
def test_the_drawing_overwrites_nothing_that_it_is_made_from(
    source: str, name: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for each in ("photo.png", "chart.csv"):
        (tmp_path / each).write_bytes(b"as it was")
    (tmp_path / "linked.png").symlink_to(source)
    with pytest.raises(SystemExit):
        main(
            [
                *(str(tmp_path / "photo.png"), "--height", "175"),
                *("--chart", str(tmp_path / "chart.csv"), "--out", str(tmp_path / "." / name)),
            ]
        )
    assert "the drawing would overwrite" in capsys.readouterr().err
    assert {(tmp_path / each).read_bytes() for each in ("photo.png", "chart.csv")} == {b"as it was"}


def test_the_photographs_in_the_repository_are_those_of_the_truth_table() -> None:
    assert all(photo(name)[:2] == b"\xff\xd8" for name in truth())
