"""The outline of a drawn figure is measured as it was drawn."""

import math
from dataclasses import replace

import numpy as np
import pytest

from size_rec.outline.features import TORSO_LEVELS, measure_features
from size_rec.outline.silhouette import border_distance, measure_extent, spans_at
from size_rec.pose.pose import FloatArray, Joint, MaskArray, Pose
from tests.support.size_figures import draw_figure

TORSO_BREADTH = 0.2
LEG_BREADTH = 0.08
ARM_THICKNESS = 0.04
GAP_BETWEEN_LEGS = 0.03


def drawn() -> dict[str, float]:
    features = measure_features(*draw_figure())
    assert features is not None
    return features.values


def test_crown_and_soles_are_those_of_the_mask_and_not_of_the_landmarks() -> None:
    pose, _ = draw_figure(height_px=400, top_px=40)
    extent = measure_extent(pose)
    assert extent is not None
    assert extent.crown == pytest.approx(40, abs=1)
    assert extent.soles == pytest.approx(440, abs=1)


@pytest.mark.parametrize("level", [f"torso_{level:.2f}" for level in TORSO_LEVELS if 0.3 <= level <= 1.0])
def test_every_torso_line_has_the_drawn_breadth_without_the_arms(level: str) -> None:
    assert math.exp(drawn()[level]) == pytest.approx(TORSO_BREADTH, rel=0.01)


@pytest.mark.parametrize("level", ["leg_0.15", "leg_0.60", "leg_1.00", "leg_1.60"])
def test_a_leg_has_the_drawn_breadth(level: str) -> None:
    assert math.exp(drawn()[level]) == pytest.approx(LEG_BREADTH, rel=0.02)


@pytest.mark.parametrize("level", ["arm_0.80", "arm_1.20", "arm_1.50"])
def test_an_arm_has_the_drawn_thickness_square_to_its_bone(level: str) -> None:
    assert math.exp(drawn()[level]) == pytest.approx(ARM_THICKNESS, rel=0.04)


def test_the_gap_between_the_legs_has_the_drawn_width() -> None:
    assert drawn()["gap_0.68"] == pytest.approx(GAP_BETWEEN_LEGS, abs=0.001)


def test_an_arm_hanging_against_the_torso_is_cut_off_at_the_same_breadth() -> None:
    pose, rgb = draw_figure()
    hanging = Pose(_with_arms_down(pose), pose.world, _filled_to_the_arms(pose), pose.people)
    features = measure_features(hanging, rgb)
    assert features is not None
    assert math.exp(features.values["torso_0.60"]) == pytest.approx(TORSO_BREADTH, rel=0.03)


def _with_arms_down(pose: Pose) -> FloatArray:
    landmarks = pose.landmarks.copy()
    for side, joints in ((1, (Joint.LEFT_SHOULDER, Joint.LEFT_ELBOW, Joint.LEFT_WRIST)), (-1, (12, 14, 16))):
        for joint, row in zip(joints, (0.2, 0.35, 0.5), strict=True):
            landmarks[joint, :2] = (200 + side * 0.12 * 400, 40 + row * 400)
    return landmarks


def _filled_to_the_arms(pose: Pose) -> MaskArray:
    """Torso and both arms as one block: half a torso (0.1), then an arm of 0.04 whose bone is at 0.12."""
    mask = pose.mask.copy()
    mask[40 + 72 : 40 + 220, :] = 0
    mask[40 + 72 : 40 + 220, 200 - 56 : 200 + 56 + 1] = 1
    return mask


def test_a_mask_without_feet_has_no_extent() -> None:
    pose, _ = draw_figure()
    mask = pose.mask.copy()
    mask[380:] = 0
    assert measure_extent(Pose(pose.landmarks, pose.world, mask, pose.people)) is None


def test_a_span_is_lost_when_the_outline_is_further_away_than_the_reach() -> None:
    mask = np.zeros((10, 40), dtype=np.float32)
    mask[:, 5:10] = 1
    spans = spans_at(mask, np.array([4.0, 4.0]), np.array([12.0, 30.0]), reach=4)
    assert spans.widths[0] == pytest.approx(5, abs=1)
    assert math.isnan(spans.widths[1])


def test_a_span_ends_at_the_pictures_border() -> None:
    spans = spans_at(np.ones((4, 20), dtype=np.float32), np.array([1.5]), np.array([7.0]), reach=1)
    assert (spans.left[0], spans.right[0]) == (0, 19)


def test_the_border_is_found_between_two_pixels() -> None:
    mask = np.zeros((20, 60), dtype=np.float32)
    mask[:, :30] = 1
    mask[:, 30] = 0.25
    distance = border_distance(mask, np.array([[10.0, 10.0]]), np.array([[1.0, 0.0]]), length=40)
    assert distance[0] == pytest.approx(19 + (1 - 0.5) / (1 - 0.25), abs=0.2)


def test_a_ray_that_leaves_the_picture_before_the_outline_has_no_length() -> None:
    mask = np.ones((20, 60), dtype=np.float32)
    assert math.isnan(border_distance(mask, np.array([[40.0, 10.0]]), np.array([[1.0, 0.0]]), length=40)[0])


def test_lines_that_the_pictures_side_cuts_off_have_no_breadth() -> None:
    features = measure_features(*draw_figure(left_px=30))
    assert features is not None
    assert not features.complete
    assert math.isnan(features.values["torso_0.60"])


def test_an_arm_that_cannot_be_seen_counts_for_nothing_and_the_other_for_both() -> None:
    pose, rgb = draw_figure()
    landmarks = pose.landmarks.copy()
    landmarks[Joint.LEFT_WRIST, 2] = 0.2
    one_hidden = measure_features(replace(pose, landmarks=landmarks), rgb)
    landmarks[Joint.RIGHT_ELBOW, 2] = 0.2
    both_hidden = measure_features(replace(pose, landmarks=landmarks), rgb)
    assert one_hidden is not None
    assert both_hidden is not None
    assert math.exp(one_hidden.values["arm_1.20"]) == pytest.approx(ARM_THICKNESS, rel=0.04)
    assert math.isnan(both_hidden.values["arm_1.20"])


def test_a_ray_that_never_leaves_the_outline_has_no_length() -> None:
    mask = np.ones((20, 60), dtype=np.float32)
    assert math.isnan(border_distance(mask, np.array([[10.0, 10.0]]), np.array([[1.0, 0.0]]), length=20)[0])
