"""The networks' raw numbers become people, landmarks and a mask by MediaPipe's arithmetic."""

import numpy as np
import pytest

from size_rec.pose.detection import ANCHORS, POINTS, noticed_people
from size_rec.pose.framing import SAMPLES, WHOLE_SAMPLES
from size_rec.pose.landmarks import LANDMARKS, NUMBERS_EACH, landmarks_of, mask_of, world_landmarks_of
from size_rec.pose.network_files import POSE_LANDMARKS
from size_rec.pose.networks import Network
from size_rec.pose.pose import FloatArray

CELLS = 64
NUMBERS = 39
BOX_SAMPLES = 60


class Detections:
    """The detector's outputs, empty at first; the people in it are put at anchors."""

    def __init__(self) -> None:
        self.boxes = np.zeros((len(ANCHORS), 4 + 2 * POINTS), dtype=np.float32)
        self.logits = np.full((len(ANCHORS), 1), -20.0, dtype=np.float32)

    def notice(self, hips: tuple[float, float], logit: float, *, off: float = 0.0) -> None:
        """Somebody at the free anchor nearest to ``hips``; all four points lie there, ``off`` to the right."""
        distances = np.hypot(*(ANCHORS - hips).T) + 10 * (self.logits[:, 0] > -20)
        anchor = int(distances.argmin())
        self.logits[anchor] = logit
        center = (np.array(hips) - ANCHORS[anchor]) * WHOLE_SAMPLES
        points = np.tile(center + np.array([off, 0]) * WHOLE_SAMPLES, POINTS)
        self.boxes[anchor] = [*center, BOX_SAMPLES, BOX_SAMPLES, *points]

    def people(self) -> list[FloatArray]:
        return noticed_people(self.boxes, self.logits)


def test_there_are_as_many_anchors_as_the_detector_has_boxes_and_all_lie_in_the_picture() -> None:
    assert len(ANCHORS) == 2254
    assert ((ANCHORS > 0) & (ANCHORS < 1)).all()


def test_nobody_is_noticed_where_nothing_is_likely() -> None:
    assert Detections().people() == []


def test_people_are_named_by_certainty_and_those_less_than_half_certain_are_not() -> None:
    seen = Detections()
    seen.notice((0.2, 0.5), 1.0)
    seen.notice((0.8, 0.5), 3.0)
    seen.notice((0.5, 0.1), -0.1)
    assert [person[0] for person in seen.people()] == [pytest.approx((0.8, 0.5)), pytest.approx((0.2, 0.5))]


def test_boxes_of_one_person_are_averaged_by_their_certainty() -> None:
    seen = Detections()
    seen.notice((0.5, 0.5), 2.0)
    seen.notice((0.5, 0.5), 0.5, off=0.1)
    (person,) = seen.people()
    certain, less = 1 / (1 + np.exp(-2.0)), 1 / (1 + np.exp(-0.5))
    assert person.shape == (POINTS, 2)
    assert person[0] == pytest.approx((0.5 + 0.1 * less / (certain + less), 0.5))


@pytest.mark.parametrize(("apart", "people"), [(0.1, 1), (0.16, 2)])
def test_boxes_that_share_a_third_of_their_union_are_of_one_person(apart: float, people: int) -> None:
    """Boxes of 60 samples on 224: 0.1 beside each other they share 46 % of the union, 0.16 beside each other 25 %."""
    seen = Detections()
    seen.notice((0.4, 0.5), 2.0)
    seen.notice((0.4 + apart, 0.5), 1.0)
    assert len(seen.people()) == people


def test_a_box_without_extent_is_a_person_of_its_own() -> None:
    seen = Detections()
    seen.notice((0.4, 0.5), 2.0)
    seen.boxes[:, 2:4] = 0
    assert len(seen.people()) == 1


def raw_landmarks(x: float, y: float) -> np.ndarray[tuple[int], np.dtype[np.float32]]:
    """Every landmark at (x, y) samples, visibility logit 2."""
    numbers = np.zeros((NUMBERS, NUMBERS_EACH), dtype=np.float32)
    numbers[:, :2], numbers[:, 3] = (x, y), 2.0
    return numbers.ravel()


def cold() -> np.ndarray[tuple[int, int, int], np.dtype[np.float32]]:
    """Heat maps that are certain of nothing."""
    return np.full((CELLS, CELLS, NUMBERS), -20.0, dtype=np.float32)


def test_a_landmark_without_a_certain_heat_map_stays_where_it_is() -> None:
    landmarks = landmarks_of(raw_landmarks(100.0, 50.0), cold())
    assert landmarks.shape == (LANDMARKS, 3)
    assert landmarks[7] == pytest.approx((100.0, 50.0, 1 / (1 + np.exp(-2.0))))


def test_a_landmark_moves_to_the_centre_of_mass_of_the_heat_around_it() -> None:
    heat = cold()
    heat[13, 27, 7] = 20.0
    heat[13, 25, 7] = 20.0
    heat[40, 60, 7] = 20.0  # too far away to count
    landmarks = landmarks_of(raw_landmarks(100.0, 50.0), heat)
    assert landmarks[7, :2] == pytest.approx((26 * SAMPLES / CELLS, 13 * SAMPLES / CELLS), abs=0.01)
    assert landmarks[8, :2] == pytest.approx((100.0, 50.0))


@pytest.mark.parametrize(("x", "y"), [(-3.0, 50.0), (100.0, 256.5), (50.0, -0.5), (-4e3, 9e3)])
def test_a_landmark_beyond_the_border_stays_where_it_is(x: float, y: float) -> None:
    heat = np.zeros((CELLS, CELLS, NUMBERS), dtype=np.float32)
    assert landmarks_of(raw_landmarks(x, y), heat)[0, :2] == pytest.approx((x, y))


def test_of_the_heat_around_a_landmark_in_a_corner_only_what_exists_counts() -> None:
    even = np.zeros((CELLS, CELLS, NUMBERS), dtype=np.float32)
    cell = SAMPLES / CELLS
    assert landmarks_of(raw_landmarks(255.9, 0.1), even)[0, :2] == pytest.approx((61.5 * cell, 1.5 * cell))


def test_heat_that_is_not_even_half_certain_moves_nothing() -> None:
    heat = cold()
    heat[13, 27, 7] = -0.1
    assert landmarks_of(raw_landmarks(100.0, 50.0), heat)[7, :2] == pytest.approx((100.0, 50.0))


def test_world_landmarks_are_taken_as_they_are() -> None:
    raw = np.arange(3 * NUMBERS, dtype=np.float32)
    assert (world_landmarks_of(raw) == raw.reshape(-1, 3)[:LANDMARKS]).all()


def test_the_mask_is_a_probability_however_certain_the_network_is() -> None:
    raw = np.array([[[-1e4], [0.0], [1e4]]], dtype=np.float32)
    with np.errstate(over="raise", invalid="raise"):
        assert mask_of(raw).tolist() == [[0.0, 0.5, 1.0]]


def test_a_network_answers_the_same_picture_alike_every_time() -> None:
    network = Network(POSE_LANDMARKS)
    pixels = np.random.default_rng(1).random((SAMPLES, SAMPLES, 3), dtype=np.float32)
    first = network.run(pixels)
    network.run(np.zeros_like(pixels))
    assert [output.shape for output in first] == [(195,), (1,), (256, 256, 1), (64, 64, 39), (117,)]
    assert all((one == other).all() for one, other in zip(first, network.run(pixels), strict=True))
