"""Somebody else who is held before the trunk, a child on the arm, is noticed; nothing of the adult is taken for one."""

from collections.abc import Sequence
from dataclasses import replace
from functools import cache

import numpy as np
import pytest
from PIL import Image

from proofs.bench_size.carried import HEADS, HOLDS, cut_out_figure, with_child, with_large_head
from size_rec.body.fitted import load_fitted
from size_rec.calibration.changed_photographs import stretched
from size_rec.measuring import COMPANY_SURPRISE, Measured, measure_picture
from size_rec.photo.picture import Picture, prepare_picture
from size_rec.pose.company import CENTER_BELOW_SHOULDERS, SIDE_OVER_TRUNK, close_up, shows_another, trunk_square
from size_rec.pose.detection import ANCHORS, POINTS
from size_rec.pose.framing import WHOLE_SAMPLES
from size_rec.pose.model import Found, PoseModel
from size_rec.pose.pose import Joint
from size_rec.vocabulary import PictureRefused, Refusal
from tests.support.size_photos import decoded, measure, photo, pose_model, truth

ADULT = "b0012.jpg"
HEIGHT_CM = float(truth()[ADULT]["height_cm"])
CHILD = "b0009.jpg"

Point = tuple[float, float]


def detected(*seen: tuple[float, Point, Point]) -> bool:
    """What follows from boxes of this logit, with shoulders and hips at these places: x and y from the adult's own
    shoulders, in heights of the adult's trunk."""
    boxes = np.zeros((len(ANCHORS), 4 + 2 * POINTS), np.float32)
    logits = np.full((len(ANCHORS), 1), -20, np.float32)
    own_shoulders = np.array([0.5, 0.5 - CENTER_BELOW_SHOULDERS / SIDE_OVER_TRUNK])
    for anchor, (logit, shoulders, hips) in enumerate(seen):
        points = own_shoulders + np.array([hips, hips, shoulders, shoulders]) / SIDE_OVER_TRUNK
        boxes[anchor, 4:] = ((points - ANCHORS[anchor]) * WHOLE_SAMPLES).ravel()
        logits[anchor] = logit
    return shows_another(boxes, logits)


OWN = (3.0, (0.02, 0.03), (0.0, 1.02))
CARRIED = (1.0, (0.4, -0.1), (0.4, 0.4))


def test_a_smaller_person_beside_the_adult_is_another() -> None:
    assert detected(OWN, CARRIED)
    assert detected(CARRIED), "whether or not the adult's own box is there"


@pytest.mark.parametrize(
    "box",
    [
        OWN,
        (3.0, (0.15, 0.0), (0.1, 0.6)),
        (3.0, (0.4, -0.1), (0.4, 1.2)),
        (3.0, (0.4, 0.5), (0.4, 0.6)),
        (3.0, (0.4, 0.5), (0.8, 0.5)),
        (3.0, (0.4, 0.6), (0.4, 0.1)),
        (0.1, *CARRIED[1:]),
    ],
    ids=["own", "own shoulders", "as tall", "a speck", "lying", "upside down", "uncertain"],
)
def test_nothing_else_is(box: tuple[float, Point, Point]) -> None:
    assert not detected(box)
    assert not detected(OWN, box)


def test_the_close_up_begins_at_the_chin_and_ends_below_the_hips() -> None:
    square = trunk_square(np.array([200.0, 100.0]), np.array([204.0, 200.0]))
    assert square.center.tolist() == [200, 140]
    assert (square.corner[1], square.corner[1] + square.side) == (75, 205)


def test_the_close_up_shows_the_square_and_black_around_the_picture() -> None:
    picture = Image.new("RGB", (100, 100), (255, 0, 0))
    pixels = close_up(picture, trunk_square(np.array([0.0, 46.0]), np.array([0.0, 86.0])))
    assert pixels.shape == (WHOLE_SAMPLES, WHOLE_SAMPLES, 3)
    assert pixels.dtype == np.float32
    assert pixels[WHOLE_SAMPLES // 2, [20, -20]].tolist() == [[-1, -1, -1], [1, -1, -1]]


@cache
def adult() -> Measured:
    return measure(photo(ADULT), HEIGHT_CM)


class AskedPoseModel(PoseModel):
    """Sees the adult each time, with ``misplaced`` landmarks if told so; says of company what it is told."""

    def __init__(self, *, company: bool, misplaced: Sequence[Joint] = ()) -> None:
        self._company, self._misplaced = company, misplaced
        self.asked: list[Found] = []

    def find(self, image: Image.Image) -> Found | None:
        landmarks = adult().pose.landmarks.copy()
        landmarks[list(self._misplaced), 1] -= 12
        return Found(replace(adult().pose, landmarks=landmarks), adult().cut_out)

    def notices_another(self, image: Image.Image, found: Found) -> bool:
        self.asked.append(found)
        return self._company


def measured_by(model: PoseModel) -> Measured:
    picture = Picture(adult().picture.image, mirrored=False)
    return measure_picture(picture, model, load_fitted(), height_cm=HEIGHT_CM, height_measured=True)


STRANGE: tuple[Joint, ...] = (Joint.LEFT_HIP, Joint.RIGHT_HIP)
"""With these displaced the adult is unlike others."""


def test_a_figure_like_others_is_not_asked_for_company() -> None:
    model = AskedPoseModel(company=True)
    assert measured_by(model).estimate.surprise < COMPANY_SURPRISE
    assert not model.asked


def test_a_figure_unlike_others_that_is_alone_is_answered() -> None:
    model = AskedPoseModel(company=False, misplaced=STRANGE)
    assert measured_by(model).estimate.surprise > COMPANY_SURPRISE
    assert len(model.asked) == 1


def test_a_figure_unlike_others_with_somebody_before_it_is_more_than_one_person() -> None:
    with pytest.raises(PictureRefused) as refused:
        measured_by(AskedPoseModel(company=True, misplaced=STRANGE))
    assert refused.value.reason is Refusal.SEVERAL_PEOPLE


class ToldOfCompany(AskedPoseModel):
    """Sees what is there."""

    def find(self, image: Image.Image) -> Found | None:
        return pose_model().find(image)


@pytest.mark.parametrize(("company", "reason"), [(True, Refusal.SEVERAL_PEOPLE), (False, Refusal.STRETCHED)])
def test_a_picture_that_looks_stretched_is_asked_for_company_first(company: bool, reason: Refusal) -> None:
    model, narrow = ToldOfCompany(company=company), prepare_picture(stretched(decoded(ADULT), 0.75))
    with pytest.raises(PictureRefused) as refused:
        measure_picture(narrow, model, load_fitted(), height_cm=HEIGHT_CM, height_measured=True)
    assert refused.value.reason is reason
    assert len(model.asked) == 1


@pytest.mark.parametrize("hold", HOLDS)
def test_a_child_on_the_arm_is_noticed(hold: str) -> None:
    share = max(HEADS)
    child = with_large_head(cut_out_figure(decoded(CHILD), pose_model()), HEADS[share])
    with pytest.raises(PictureRefused) as refused:
        measure(with_child(decoded(ADULT), child, share, HOLDS[hold], pose_model()), HEIGHT_CM)
    assert refused.value.reason is Refusal.SEVERAL_PEOPLE
