"""[pure] What the pose model saw in one picture: 33 landmarks, the person mask and every person it noticed."""

from dataclasses import dataclass
from enum import IntEnum
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

BoolArray: TypeAlias = NDArray[np.bool_]
FloatArray: TypeAlias = NDArray[np.float64]
Float32Array: TypeAlias = NDArray[np.float32]
IndexArray: TypeAlias = NDArray[np.int64]
MaskArray: TypeAlias = NDArray[np.float32]
RgbArray: TypeAlias = NDArray[np.uint8]


class Joint(IntEnum):
    """The landmarks of MediaPipe Pose that are used here (left and right are the person's own)."""

    NOSE = 0
    LEFT_EYE_INNER = 1
    LEFT_EYE = 2
    LEFT_EYE_OUTER = 3
    RIGHT_EYE_INNER = 4
    RIGHT_EYE = 5
    RIGHT_EYE_OUTER = 6
    LEFT_EAR = 7
    RIGHT_EAR = 8
    MOUTH_LEFT = 9
    MOUTH_RIGHT = 10
    LEFT_SHOULDER = 11
    RIGHT_SHOULDER = 12
    LEFT_ELBOW = 13
    RIGHT_ELBOW = 14
    LEFT_WRIST = 15
    RIGHT_WRIST = 16
    LEFT_HIP = 23
    RIGHT_HIP = 24
    LEFT_KNEE = 25
    RIGHT_KNEE = 26
    LEFT_ANKLE = 27
    RIGHT_ANKLE = 28
    LEFT_HEEL = 29
    RIGHT_HEEL = 30
    LEFT_FOOT = 31
    RIGHT_FOOT = 32


INSIDE = 0.5
"""The mask value that separates person from background."""

VISIBLE = 0.5
"""MediaPipe's own threshold for a landmark that can be seen; visibility is 0..1."""


@dataclass(frozen=True)
class PersonBox:
    """One person the detector noticed: ``side`` of the square around them, the measured person's being 1."""

    side: float


@dataclass(frozen=True)
class Pose:
    """The pose model's answer for the most prominent person, in pixels of the mask it gave.

    ``landmarks`` is (33, 3): x, y and visibility 0..1. ``world`` is (33, 3) in metres around the middle of the
    hips, the third axis pointing away from the camera. ``mask`` is (height, width), 1 on the person.
    """

    landmarks: FloatArray
    world: FloatArray
    mask: MaskArray
    people: tuple[PersonBox, ...]

    def point(self, joint: Joint) -> FloatArray:
        """The joint's (x, y) in pixels."""
        return self.landmarks[joint, :2]

    def shows(self, *joints: Joint) -> bool:
        """Whether the model takes all of these joints for visible."""
        return bool((self.landmarks[list(joints), 2] >= VISIBLE).all())

    def middle(self, left: Joint, right: Joint) -> FloatArray:
        """The point half-way between two joints, in pixels."""
        middle: FloatArray = (self.point(left) + self.point(right)) / 2
        return middle
