"""[pure] Converts the detector's raw output into the people it detected, the most certain first.

The arithmetic is that of MediaPipe's ``pose_detection_cpu.pbtxt`` (anchors, threshold, weighted suppression).
"""

from typing import NamedTuple

import numpy as np

from size_rec.pose.framing import WHOLE_SAMPLES
from size_rec.pose.pose import Float32Array, FloatArray

GRIDS = ((8, 2), (16, 2), (32, 6))
"""(samples between neighbouring anchors, anchors at each place) of the detector's layers."""
MIN_LOGIT = 0.0
"""Boxes above this count as a person: a probability of one half."""
SAME_PERSON_OVERLAP = 0.3
"""Boxes with a larger intersection over union than this belong to the same person. (All boxes have one size, whatever
that of the person: findings/mediapipe-pose-boxes-have-one-size.sh. So this is a distance, a tenth of the input.)"""
POINTS = 4
"""Number of points of each box; ``size_rec/pose/framing.py`` says which they are."""


def _anchors() -> FloatArray:
    """The centres that boxes and points are relative to, as shares of the input's side: (2254, 2)."""
    layers = []
    for stride, repeated in GRIDS:
        side = WHOLE_SAMPLES // stride
        rows, columns = np.divmod(np.arange(side * side), side)
        layers.append(np.repeat((np.column_stack([columns, rows]) + 0.5) / side, repeated, axis=0))
    return np.concatenate(layers)


ANCHORS = _anchors()


def noticed_people(boxes: Float32Array, logits: Float32Array) -> list[FloatArray]:
    """The detected people: four points (x, y) of each, as shares of the input's side.

    Args:
        boxes: (2254, 12): x, y, width, height and four points, in samples from the anchors.
        logits: (2254, 1): how certain each box is.
    """
    corners, points, certainty = likely_boxes(boxes, logits, MIN_LOGIT)
    people = []
    left = np.arange(len(points))
    while left.size:
        same = _overlap(corners[left[0]], corners[left]) > SAME_PERSON_OVERLAP
        same[0] = True
        people.append(np.average(points[left[same]], axis=0, weights=certainty[left[same]]))
        left = left[~same]
    return people


class LikelyBoxes(NamedTuple):
    """The detector's likelier boxes, the most certain first; places are shares of the input's side: the corners
    (boxes, 4), four points of each (boxes, 4, 2), and how certain it is, 0 to 1 (boxes,)."""

    corners: FloatArray
    points: FloatArray
    certainty: FloatArray


def likely_boxes(boxes: Float32Array, logits: Float32Array, min_logit: float) -> LikelyBoxes:
    """The boxes above ``min_logit``; the other arguments are those of :func:`noticed_people`."""
    likely = np.flatnonzero(logits[:, 0] > min_logit)
    likely = likely[np.argsort(-logits[likely, 0], kind="stable")]
    certainty = 1 / (1 + np.exp(-logits[likely, 0].astype(np.float64)))
    raw = boxes[likely].astype(np.float64) / WHOLE_SAMPLES
    centers, sizes = raw[:, :2] + ANCHORS[likely], raw[:, 2:4]
    points = raw[:, 4:].reshape(-1, POINTS, 2) + ANCHORS[likely, None]
    corners = np.concatenate([centers - sizes / 2, centers + sizes / 2], axis=1)
    return LikelyBoxes(corners, points, certainty)


def _overlap(one: FloatArray, others: FloatArray) -> FloatArray:
    """Intersection over union of boxes given by their corners."""
    shared = np.minimum(one[2:], others[:, 2:]) - np.maximum(one[:2], others[:, :2])
    intersection = np.clip(shared, 0, None).prod(axis=1)
    areas = (others[:, 2:] - others[:, :2]).prod(axis=1)
    union = areas + (one[2:] - one[:2]).prod() - intersection
    overlap: FloatArray = intersection / np.maximum(union, 1e-12)
    return overlap
