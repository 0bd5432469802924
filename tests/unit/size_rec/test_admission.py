"""Which figures may be measured, and what is said to be missing from the others."""

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest

from size_rec.body.body_model import BodyEstimate
from size_rec.outline.admission import (
    MAX_GIRTH_SPREAD_CM,
    MAX_SURPRISE,
    refusal_of_estimate,
    refusal_of_outline,
    refusal_of_pose,
)
from size_rec.outline.features import measure_features
from size_rec.outline.silhouette import Extent
from size_rec.pose.pose import FloatArray, Joint, PersonBox, Pose
from size_rec.problems import REFUSALS
from size_rec.vocabulary import Refusal
from tests.support.size_figures import draw_figure, mirrored


def changed(
    landmarks: Callable[[FloatArray], None] = lambda _: None, world: Callable[[FloatArray], None] = lambda _: None
) -> Pose:
    pose, _ = draw_figure()
    new = replace(pose, landmarks=pose.landmarks.copy(), world=pose.world.copy())
    landmarks(new.landmarks)
    world(new.world)
    return new


def with_second_person(share: float) -> Pose:
    pose, _ = draw_figure()
    return replace(pose, people=(*pose.people, PersonBox(share)))


def hide(*joints: Joint) -> Callable[[FloatArray], None]:
    def change(landmarks: FloatArray) -> None:
        landmarks[list(joints), 2] = 0.2

    return change


def move_below_the_picture(landmarks: FloatArray) -> None:
    landmarks[[Joint.LEFT_ANKLE, Joint.RIGHT_ANKLE], 1] = 600


def bend_thighs(world: FloatArray) -> None:
    for hip, knee in ((Joint.LEFT_HIP, Joint.LEFT_KNEE), (Joint.RIGHT_HIP, Joint.RIGHT_KNEE)):
        world[knee] = world[hip] + np.array([0.0, 0.15, -0.4])


def spread_legs(landmarks: FloatArray) -> None:
    landmarks[Joint.LEFT_KNEE, 0] += 120


def tilt(landmarks: FloatArray) -> None:
    landmarks[[Joint.LEFT_SHOULDER, Joint.RIGHT_SHOULDER], 0] += 60


def turn(world: FloatArray) -> None:
    world[Joint.LEFT_SHOULDER, 2], world[Joint.RIGHT_SHOULDER, 2] = 0.3, -0.3


def face_away(landmarks: FloatArray) -> None:
    landmarks[[Joint.LEFT_SHOULDER, Joint.RIGHT_SHOULDER], 0] = landmarks[
        [Joint.RIGHT_SHOULDER, Joint.LEFT_SHOULDER], 0
    ]


@pytest.mark.parametrize(
    ("pose", "reason"),
    [
        pytest.param(with_second_person(0.51), Refusal.SEVERAL_PEOPLE, id="a second person half as large"),
        pytest.param(with_second_person(0.5), None, id="a passer-by in the background"),
        pytest.param(changed(hide(Joint.NOSE)), Refusal.HEAD_CUT_OFF, id="no face"),
        pytest.param(changed(hide(Joint.LEFT_ANKLE)), Refusal.FEET_CUT_OFF, id="a foot hidden"),
        pytest.param(changed(move_below_the_picture), Refusal.FEET_CUT_OFF, id="feet below the picture"),
        pytest.param(changed(world=bend_thighs), Refusal.NOT_STANDING, id="seated"),
        pytest.param(changed(spread_legs), Refusal.NOT_STANDING, id="a lunge"),
        pytest.param(changed(tilt), Refusal.NOT_STANDING, id="leaning far to the side"),
        pytest.param(changed(world=turn), Refusal.TURNED_AWAY, id="seen from the side"),
        pytest.param(changed(face_away), Refusal.TURNED_AWAY, id="seen from behind"),
        pytest.param(changed(), None, id="standing and facing"),
        pytest.param(mirrored(*draw_figure())[0], None, id="standing in a mirror"),
    ],
)
def test_the_first_thing_missing_is_named(pose: Pose, reason: Refusal | None) -> None:
    assert refusal_of_pose(pose) is reason


@pytest.mark.parametrize(
    ("extent", "reason"),
    [
        (Extent(0.5, 400), Refusal.HEAD_CUT_OFF),
        (Extent(0.6, 400), None),
        (Extent(20, 478.5), Refusal.FEET_CUT_OFF),
        (Extent(20, 478.4), None),
        (Extent(20, 440), None),
    ],
)
def test_a_figure_that_reaches_the_pictures_upper_or_lower_edge_is_cut_off(
    extent: Extent, reason: Refusal | None
) -> None:
    pose, rgb = draw_figure(height=480)
    features = measure_features(pose, rgb)
    assert features is not None
    assert refusal_of_outline(pose, replace(features, extent=extent)) is reason


def test_without_crown_or_soles_the_outline_is_unclear() -> None:
    assert refusal_of_outline(draw_figure()[0], None) is Refusal.UNCLEAR


@pytest.mark.parametrize(("left_px", "reason"), [(30, Refusal.SIDE_CUT_OFF), (370, Refusal.SIDE_CUT_OFF), (70, None)])
def test_a_trunk_that_reaches_the_pictures_side_is_cut_off_and_a_hand_is_not(
    left_px: float, reason: Refusal | None
) -> None:
    pose, rgb = draw_figure(left_px=left_px)
    assert refusal_of_outline(pose, measure_features(pose, rgb)) is reason


@pytest.mark.parametrize(
    ("height_cm", "spread_cm", "surprise", "reason"),
    [
        (170.0, 4.0, 1.0, None),
        (170.0, MAX_GIRTH_SPREAD_CM, MAX_SURPRISE, None),
        (170.0, MAX_GIRTH_SPREAD_CM + 0.1, 1.0, Refusal.UNCLEAR),
        (170.0, 4.0, MAX_SURPRISE + 0.1, Refusal.UNCLEAR),
        (240.0, MAX_GIRTH_SPREAD_CM + 0.1, 1.0, None),
        (120.0, MAX_GIRTH_SPREAD_CM + 0.1, 1.0, None),
        (240.0, 4.0, MAX_SURPRISE + 0.1, Refusal.UNCLEAR),
    ],
)
def test_an_answer_without_meaning_is_not_given_unless_its_note_says_so(
    height_cm: float, spread_cm: float, surprise: float, reason: Refusal | None
) -> None:
    estimate = BodyEstimate(np.full(5, 90.0), np.full(5, spread_cm), 0.5, surprise, height_cm, 2.0)
    assert refusal_of_estimate(estimate) is reason


def test_every_reason_has_words_for_the_person() -> None:
    assert set(REFUSALS) == set(Refusal)
    assert all(words.endswith(".") and "_" not in words for words in REFUSALS.values())
