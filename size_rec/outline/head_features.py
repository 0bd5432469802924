"""[pure] Computes the features of a head: what tells whether a picture was stretched, as heads vary less than bodies.

Like the body's features (``size_rec/outline/features.py``) they are logarithms of shares of the figure's height. A
picture that was made wider by a factor adds its logarithm to the breadths and nothing to the heights.
"""

from itertools import pairwise
from math import dist, log
from typing import Final

import numpy as np

from size_rec.outline.silhouette import Extent
from size_rec.pose.pose import FloatArray, Joint, Pose

BREADTHS: Final = {
    "ears": (Joint.LEFT_EAR, Joint.RIGHT_EAR),
    "eyes": (Joint.LEFT_EYE, Joint.RIGHT_EYE),
    "outer_eyes": (Joint.LEFT_EYE_OUTER, Joint.RIGHT_EYE_OUTER),
    "inner_eyes": (Joint.LEFT_EYE_INNER, Joint.RIGHT_EYE_INNER),
    "mouth": (Joint.MOUTH_LEFT, Joint.MOUTH_RIGHT),
}
EYES: Final = slice(Joint.LEFT_EYE_INNER, Joint.RIGHT_EYE_OUTER + 1)
EARS: Final = slice(Joint.LEFT_EAR, Joint.RIGHT_EAR + 1)
MOUTH: Final = slice(Joint.MOUTH_LEFT, Joint.MOUTH_RIGHT + 1)
SHOULDERS: Final = slice(Joint.LEFT_SHOULDER, Joint.RIGHT_SHOULDER + 1)
FEET: Final = ((Joint.LEFT_HEEL, Joint.LEFT_FOOT), (Joint.RIGHT_HEEL, Joint.RIGHT_FOOT))

SKULL_LEVELS: Final = (0.35, 0.55, 1.0)
"""Levels of the skull at which its breadth is measured on the mask: 0 at the crown, 1 at the eyes."""
NECK_LEVELS: Final = np.linspace(0.0, 0.9, 9)
"""Levels between mouth (0) and shoulders (1) among which the neck is the narrowest."""
HALF_WIDTH_SHARE: Final = 0.12
"""Half-width of the strip around the nose in which the head's breadth is summed, as a share of the figure's height."""
MIN_PX, MIN_SHARE, MIN_METRES = 0.5, 1e-3, 1e-3
"""Shorter lengths count as these, so that they have a logarithm."""


def head_features(pose: Pose, extent: Extent) -> dict[str, float]:
    """The features of the head (and of the feet, which the network also knows the usual shape of); all are finite."""
    height = extent.height
    points, nose = pose.landmarks[:, :2], pose.point(Joint.NOSE)
    eyes, mouth, ears, shoulders = (points[part].mean(axis=0) for part in (EYES, MOUTH, EARS, SHOULDERS))
    heights = (extent.crown, eyes[1], mouth[1], shoulders[1])
    skull = [extent.crown + level * (eyes[1] - extent.crown) for level in SKULL_LEVELS]
    breadths = _mask_breadths(pose, height, [*skull, mouth[1], *(mouth[1] + NECK_LEVELS * (shoulders[1] - mouth[1]))])
    between_ears = abs(points[Joint.LEFT_EAR, 0] - points[Joint.RIGHT_EAR, 0])
    numbers = {
        **{
            name: _log(abs(points[one, 0] - points[other, 0]), MIN_PX) - log(height)
            for name, (one, other) in BREADTHS.items()
        },
        **{
            f"{name}_height": _log(lower - upper, MIN_PX) - log(height)
            for name, (upper, lower) in zip(("forehead", "face", "neck"), pairwise(heights), strict=True)
        },
        "nose_above_mouth": (mouth[1] - nose[1]) / height,
        "ears_below_eyes": (ears[1] - eyes[1]) / height,
        "turn": abs(nose[0] - ears[0]) / max(between_ears, MIN_PX),
        **{f"skull_{level:.2f}": _log(width, MIN_SHARE) for level, width in zip(SKULL_LEVELS, breadths, strict=False)},
        "jaw": _log(breadths[len(SKULL_LEVELS)], MIN_SHARE),
        "neck": _log(min(breadths[len(SKULL_LEVELS) + 1 :]), MIN_SHARE),
        "feet": _log(sum(dist(points[heel], points[toes]) for heel, toes in FEET), MIN_PX) - log(height),
        **_world_features(pose),
    }
    return {f"head_{name}": float(number) for name, number in numbers.items()}


def _log(length: float, least: float) -> float:
    return log(max(length, least))


def _mask_breadths(pose: Pose, height: float, rows: list[float]) -> FloatArray:
    """How broad the mask is around the nose's column at every row, as a share of the figure's height."""
    nearest = np.clip(np.round(rows), 0, len(pose.mask) - 1).astype(int)
    column, half = float(pose.point(Joint.NOSE)[0]), HALF_WIDTH_SHARE * height
    left, right = max(0, round(column - half)), max(0, round(column + half) + 1)
    breadths: FloatArray = pose.mask[nearest, left:right].sum(axis=1, dtype=np.float64) / height
    return breadths


def _world_features(pose: Pose) -> dict[str, float]:
    """Lengths of face and feet over the breadth of the shoulders, in the model's own metric space."""
    world = pose.world
    shoulders = _log(dist(*world[SHOULDERS]), MIN_METRES)
    feet = sum(dist(world[heel], world[toes]) for heel, toes in FEET)
    return {
        "world_ears": _log(dist(*world[EARS]), MIN_METRES) - shoulders,
        "world_eyes": _log(dist(world[Joint.LEFT_EYE], world[Joint.RIGHT_EYE]), MIN_METRES) - shoulders,
        "world_face": _log(dist(world[MOUTH].mean(axis=0), world[EYES].mean(axis=0)), MIN_METRES) - shoulders,
        "world_nose": world[EARS].mean(axis=0)[2] - world[Joint.NOSE][2],
        "world_feet": _log(feet, MIN_METRES) - shoulders,
    }
