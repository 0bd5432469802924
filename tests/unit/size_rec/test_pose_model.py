"""From the networks' answers to the person who is measured, with networks that say what they are told to."""

from typing import Final

import numpy as np
import pytest
from PIL import Image

from size_rec.pose import model as mediapipe_service
from size_rec.pose.detection import ANCHORS, POINTS
from size_rec.pose.framing import SAMPLES, WHOLE_SAMPLES
from size_rec.pose.model import Found, PoseModel
from size_rec.pose.network_files import PERSON_DETECTION, NetworkFile
from size_rec.pose.pose import Float32Array

PICTURE: Final = Image.new("RGB", (448, 448), "grey")


class ScriptedNetwork:
    """In the detector's place it notices two people of different sizes; in the other's it is ``presence`` certain."""

    presence = 0.9
    fills = False

    def __init__(self, file: NetworkFile) -> None:
        self._answer = self._people() if file == PERSON_DETECTION else None

    def run(self, pixels: Float32Array) -> list[Float32Array]:
        if self._answer is not None:
            return self._answer
        assert pixels.shape == (SAMPLES, SAMPLES, 3)
        mask = np.full((SAMPLES, SAMPLES, 1), 20 if self.fills else -20, dtype=np.float32)
        return [
            np.zeros(195, np.float32),
            np.array([self.presence], np.float32),
            mask,
            np.full((64, 64, 39), -20, np.float32),
            np.zeros(117, np.float32),
        ]

    @staticmethod
    def _people() -> list[Float32Array]:
        boxes = np.zeros((len(ANCHORS), 4 + 2 * POINTS), np.float32)
        logits = np.full((len(ANCHORS), 1), -20, np.float32)
        for place, reach, logit in (((0.15, 0.5), 0.2, 3.0), ((0.75, 0.5), 0.1, 1.0)):
            anchor = int(np.hypot(*(ANCHORS - place).T).argmin())
            hips = (np.array(place) - ANCHORS[anchor]) * WHOLE_SAMPLES
            up = np.array([0, -reach * WHOLE_SAMPLES])
            logits[anchor] = logit
            boxes[anchor] = [0, 0, 60, 60, *hips, *(hips + up), *(hips + 0.6 * up), *(hips + 1.3 * up)]
        return [boxes, logits]


@pytest.fixture(autouse=True)
def scripted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(mediapipe_service, "Network", ScriptedNetwork)


def find() -> Found | None:
    return PoseModel().find(PICTURE)


@pytest.mark.parametrize(("presence", "somebody"), [(0.49, False), (0.51, True)])
def test_somebody_is_there_when_the_landmark_network_is_half_certain(
    presence: float, somebody: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ScriptedNetwork, "presence", presence)
    assert (find() is not None) is somebody


@pytest.mark.parametrize(("side_px", "seen"), [(0, False), (32, False), (34, True), (448, True)])
def test_a_speck_is_not_looked_at(side_px: int, seen: bool) -> None:
    """The first person's square is just under half as wide as the picture; 16 pixels are looked at."""
    picture = PICTURE.resize((max(1, side_px), max(1, side_px)))
    assert (PoseModel().find(picture) is not None) is seen


def test_the_most_certain_person_is_framed_and_the_others_are_told_by_their_size_beside_them() -> None:
    found = find()
    assert found is not None
    assert found.cut_out.square.center[0] == pytest.approx(0.15 * PICTURE.width)
    assert [person.side for person in found.pose.people] == pytest.approx([1.0, 0.5])


def test_landmarks_and_mask_are_told_in_the_same_pixels() -> None:
    found = find()
    assert found is not None
    assert found.pose.mask.shape == found.cut_out.rgb.shape[:2]
    assert found.cut_out.origin[0] > 0, "the square begins left of the picture"
    assert (found.pose.landmarks[0, :2] == -found.cut_out.origin).all(), "the network's zero is the square's corner"


def test_a_person_who_fills_the_square_is_looked_at_on_larger_ones_as_long_as_that_helps(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    first = find()
    monkeypatch.setattr(ScriptedNetwork, "fills", True)
    last = find()
    assert first is not None
    assert last is not None
    assert last.cut_out.square.side == pytest.approx(1.15**2 * first.cut_out.square.side)
    assert [person.side for person in last.pose.people] == pytest.approx([1.0, 0.5])
