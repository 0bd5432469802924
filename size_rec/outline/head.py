"""[pure] Finds the head on the mask, whether or not its face can be seen."""

from typing import Final

import numpy as np

from size_rec.outline.silhouette import Extent
from size_rec.pose.pose import FloatArray, Joint, Pose

FACE_SHARE: Final = 0.8
"""Height of the face, crown to chin, as a share of the distance from the crown to the line of the shoulder joints."""
SKULL_SHARE: Final = 0.5
"""The share of that distance, from the crown on, whose middle column is the head's: above the neck and its hair."""


def face_height_px(pose: Pose, extent: Extent) -> float:
    """Crown to chin in pixels of the mask; not positive when the shoulders lie above the crown."""
    shoulders = pose.middle(Joint.LEFT_SHOULDER, Joint.RIGHT_SHOULDER)
    return FACE_SHARE * (float(shoulders[1]) - extent.crown)


def crown_point(pose: Pose, extent: Extent) -> FloatArray:
    """The middle of the head's upper border, (x, y) in pixels of the mask.

    The column is the mask's centre of mass around the head: landmarks of a covered face may lie beside it.
    """
    skull_px = face_height_px(pose, extent) * SKULL_SHARE / FACE_SHARE
    top = max(int(extent.crown) + 1, 0)
    weights = pose.mask[top : max(top + 1, int(extent.crown + skull_px) + 1)].sum(axis=0, dtype=np.float64)
    total = float(weights.sum())
    column = float(weights @ np.arange(weights.size)) / total if total > 0 else float(pose.point(Joint.NOSE)[0])
    return np.array([column, extent.crown])
