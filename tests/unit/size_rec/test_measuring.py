"""What is done with one look at a picture that shows only a part of the outline."""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pytest
from PIL import Image

from size_rec.measuring import clearest_look
from size_rec.photo.picture import Picture
from size_rec.pose.model import Found, PoseModel
from size_rec.pose.pose import Joint, PersonBox, Pose
from size_rec.vocabulary import PictureRefused, Refusal
from tests.support.size_figures import draw_figure, mirrored, whole_picture


class ScriptedPoseModel(PoseModel):
    """Sees what it is told to, one pose for each look."""

    def __init__(self, poses: Sequence[Pose | None]) -> None:
        self._poses = list(poses)
        self.seen: list[Image.Image] = []

    def find(self, image: Image.Image) -> Found | None:
        self.seen.append(image)
        pose = self._poses.pop(0)
        return None if pose is None else Found(pose, whole_picture(np.asarray(image)))


FIGURE, RGB = draw_figure(left_px=180)
MIRRORED_FIGURE, MIRRORED_RGB = mirrored(FIGURE, RGB)
PICTURE = Picture(Image.fromarray(RGB), mirrored=False)


def with_arms_crossed(pose: Pose) -> Pose:
    """The landmarks of a model that takes hanging arms for crossed ones: the wrists lie deep inside the trunk."""
    landmarks = pose.landmarks.copy()
    for elbow, wrist in ((Joint.LEFT_ELBOW, Joint.LEFT_WRIST), (Joint.RIGHT_ELBOW, Joint.RIGHT_WRIST)):
        landmarks[elbow, :2] = pose.middle(Joint.LEFT_HIP, Joint.RIGHT_HIP) - (0, 60)
        landmarks[wrist, :2] = pose.middle(Joint.LEFT_HIP, Joint.RIGHT_HIP) - (0, 55)
    return replace(pose, landmarks=landmarks)


def test_a_complete_outline_is_looked_at_once() -> None:
    model = ScriptedPoseModel([FIGURE])
    look = clearest_look(PICTURE, model)
    assert look.complete
    assert look.picture is PICTURE
    assert len(model.seen) == 1


def test_where_a_part_is_lost_the_mirror_image_is_measured_if_it_shows_the_whole() -> None:
    model = ScriptedPoseModel([with_arms_crossed(FIGURE), MIRRORED_FIGURE])
    look = clearest_look(PICTURE, model)
    assert look.complete
    assert look.picture.mirrored
    assert look.pose is MIRRORED_FIGURE
    assert (np.asarray(model.seen[1]) == MIRRORED_RGB).all()


@pytest.mark.parametrize("second", [with_arms_crossed(MIRRORED_FIGURE), None], ids=["lost as well", "nobody there"])
def test_where_the_mirror_image_shows_no_more_the_first_look_counts(second: Pose | None) -> None:
    first = with_arms_crossed(FIGURE)
    look = clearest_look(PICTURE, ScriptedPoseModel([first, second]))
    assert look.pose is first
    assert not look.complete
    assert look.features is not None
    assert np.isfinite(look.features.values["torso_0.60"])


def test_where_nobody_is_found_the_picture_is_looked_at_in_its_own_light() -> None:
    taken = Image.new("RGB", PICTURE.image.size)
    model = ScriptedPoseModel([None, FIGURE])
    look = clearest_look(replace(PICTURE, as_taken=taken), model)
    assert look.pose is FIGURE
    assert model.seen == [PICTURE.image, taken]


def test_where_nobody_is_found_in_either_light_nobody_is() -> None:
    with pytest.raises(PictureRefused) as refused:
        clearest_look(PICTURE, ScriptedPoseModel([None, None]))
    assert refused.value.reason is Refusal.NO_PERSON


def test_a_refused_pose_gets_no_second_look() -> None:
    model = ScriptedPoseModel([replace(FIGURE, people=(*FIGURE.people, PersonBox(1.0)))])
    with pytest.raises(PictureRefused) as refused:
        clearest_look(PICTURE, model)
    assert refused.value.reason is Refusal.SEVERAL_PEOPLE
    assert len(model.seen) == 1
