"""A person who faces the camera with the face covered is measured like anybody else."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import cache

import numpy as np
import pytest
from PIL import Image, ImageDraw

from size_rec.body.fitted import load_fitted
from size_rec.measuring import Measured, measure_picture
from size_rec.outline.admission import toes_point_at_camera
from size_rec.outline.head import crown_point, face_height_px
from size_rec.photo.drawn_face import MIN_HEIGHT_PX, FacePlace, with_drawn_face
from size_rec.photo.picture import Picture, prepare_picture
from size_rec.pose.model import Found, PoseModel
from size_rec.pose.pose import Joint, Pose
from size_rec.vocabulary import PictureRefused, Refusal
from tests.support.size_photos import as_bytes, measure, photo, pose_model, truth

DARK = (20, 20, 24)
NAME = "b0019.jpg"


@cache
def found() -> tuple[Picture, Found]:
    """A picture, and what the pose model sees there."""
    picture = prepare_picture(photo(NAME))
    seen = pose_model().find(picture.image)
    assert seen is not None
    return picture, seen


class ScriptedPoseModel(PoseModel):
    """Sees the person of :func:`found` in the poses it is told, one for each look."""

    def __init__(self, changes: Sequence[Callable[[Pose], Pose] | None]) -> None:
        self._changes = list(changes)
        self.seen: list[Image.Image] = []

    def find(self, image: Image.Image) -> Found | None:
        self.seen.append(image)
        change = self._changes.pop(0)
        return None if change is None else replace(found()[1], pose=change(found()[1].pose))


def as_it_is(pose: Pose) -> Pose:
    return pose


def seen_from_behind(pose: Pose) -> Pose:
    """The landmarks of a model that takes the person for one seen from behind: left and right are exchanged."""
    landmarks = pose.landmarks.copy()
    left, right = landmarks[Joint.LEFT_SHOULDER :: 2].copy(), landmarks[Joint.RIGHT_SHOULDER :: 2].copy()
    landmarks[Joint.LEFT_SHOULDER :: 2], landmarks[Joint.RIGHT_SHOULDER :: 2] = right, left
    return replace(pose, landmarks=landmarks)


def with_feet_from_behind(pose: Pose) -> Pose:
    landmarks = pose.landmarks.copy()
    heels, toes = [Joint.LEFT_HEEL, Joint.RIGHT_HEEL], [Joint.LEFT_FOOT, Joint.RIGHT_FOOT]
    landmarks[heels + toes] = landmarks[toes + heels]
    return replace(pose, landmarks=landmarks)


def measured_by(model: ScriptedPoseModel) -> Measured:
    height_cm = float(truth()[NAME]["height_cm"])
    return measure_picture(found()[0], model, load_fitted(), height_cm=height_cm, height_measured=True)


def with_phone_before_the_face(name: str) -> bytes:
    """The photograph with a dark rectangle from crown to chin, a little narrower than the head."""
    seen = measure(photo(name), float(truth()[name]["height_cm"]))
    x, top = seen.cut_out.in_picture(crown_point(seen.pose, seen.features.extent))
    height = face_height_px(seen.pose, seen.features.extent) * seen.cut_out.square.sample_px
    image = seen.picture.image.copy()
    box = (x - 0.3 * height, top - 0.03 * height, x + 0.3 * height, top + height)
    ImageDraw.Draw(image).rounded_rectangle(box, radius=3, fill=DARK)
    return as_bytes(image)


@pytest.mark.parametrize("name", ["b0009.jpg", "b0019.jpg", "b0037.jpg", "b0044.jpg"])
def test_a_phone_before_the_face_changes_no_girth_by_half_a_size(name: str) -> None:
    height_cm = float(truth()[name]["height_cm"])
    girths = measure(photo(name), height_cm).estimate.mean_cm[:3]
    covered = measure(with_phone_before_the_face(name), height_cm).estimate.mean_cm[:3]
    assert np.abs(covered - girths).max() < 4


def test_who_seems_to_be_seen_from_behind_is_looked_at_again_with_a_drawn_face() -> None:
    model = ScriptedPoseModel([seen_from_behind, as_it_is])
    measured = measured_by(model)
    picture, seen = found()
    assert measured.pose is seen.pose
    assert measured.picture is picture, "and not the one with the drawn face"
    drawn = (np.asarray(model.seen[1]) != np.asarray(picture.image)).any(axis=(1, 2))
    shoulders = seen.cut_out.in_picture(seen.pose.point(Joint.LEFT_SHOULDER))
    assert drawn.any()
    assert np.flatnonzero(drawn).max() < shoulders[1], "nothing of the trunk is drawn over"


@pytest.mark.parametrize("second", [seen_from_behind, with_feet_from_behind, None], ids=["body", "feet", "nobody"])
def test_who_is_seen_from_behind_with_a_drawn_face_as_well_is_refused(second: Callable[[Pose], Pose] | None) -> None:
    with pytest.raises(PictureRefused) as refused:
        measured_by(ScriptedPoseModel([seen_from_behind, second]))
    assert refused.value.reason is Refusal.TURNED_AWAY


def test_a_face_that_can_be_seen_is_looked_at_once() -> None:
    model = ScriptedPoseModel([as_it_is])
    measured_by(model)
    assert len(model.seen) == 1


def test_toes_are_lower_in_the_picture_than_heels_only_from_the_front() -> None:
    pose = found()[1].pose
    assert toes_point_at_camera(pose)
    assert not toes_point_at_camera(with_feet_from_behind(pose))


def test_a_face_is_drawn_where_it_belongs_and_nowhere_else() -> None:
    blank = Image.new("RGB", (60, 80), "white")
    drawn = with_drawn_face(blank, FacePlace(np.array([30.0, 10.0]), 40))
    assert drawn is not None
    rows, columns = np.nonzero((np.asarray(drawn) != 255).any(axis=2))
    assert (rows.min(), rows.max(), columns.min(), columns.max()) == (10, 49, 16, 43)
    assert (np.asarray(blank) == 255).all(), "the picture itself stays as it is"


def test_no_face_is_drawn_where_it_would_have_no_features() -> None:
    blank = Image.new("RGB", (60, 80))
    assert with_drawn_face(blank, FacePlace(np.array([30.0, 10.0]), MIN_HEIGHT_PX / 2)) is None
