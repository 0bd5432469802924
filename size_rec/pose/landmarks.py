"""[pure] Converts the landmark network's raw output into landmarks and mask.

The arithmetic is that of MediaPipe's ``tensors_to_pose_landmarks_and_segmentation.pbtxt``: points are moved to the
centre of mass of their heat map.
"""

from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from size_rec.pose.framing import SAMPLES
from size_rec.pose.pose import Float32Array, FloatArray, MaskArray

_Number = TypeVar("_Number", np.float32, np.float64)

LANDMARKS = 33
"""Landmarks that are used; the network gives six more, for tracking a person through a video."""
NUMBERS_EACH = 5
"""Numbers of each landmark: x, y, z, visibility, presence."""
VISIBILITY = 3
HEAT_MAP_REACH = 3
"""Cells on each side of a point that count for its centre of mass."""
MIN_HEAT = 0.5
"""A point is not moved when no cell of its heat map reaches this."""


def landmarks_of(raw: Float32Array, heat_maps: Float32Array) -> FloatArray:
    """(33, 3): x and y in samples of the square and visibility 0..1, from (195,) and (cells, cells, 39)."""
    numbers = raw.reshape(-1, NUMBERS_EACH)[:LANDMARKS].astype(np.float64)
    shares = _refined(numbers[:, :2] / SAMPLES, heat_maps)
    return np.column_stack([shares * SAMPLES, _logistic(numbers[:, VISIBILITY])])


def world_landmarks_of(raw: Float32Array) -> FloatArray:
    """(33, 3) in metres around the middle of the hips, from (117,)."""
    return raw.reshape(-1, 3)[:LANDMARKS].astype(np.float64)


def mask_of(raw: Float32Array) -> MaskArray:
    """The probability of the person at every sample, from (256, 256, 1)."""
    with np.errstate(over="ignore"):  # exp overflows to infinity, which gives 0 as it should
        return _logistic(raw[..., 0])


def _refined(shares: FloatArray, heat_maps: Float32Array) -> FloatArray:
    cells = len(heat_maps)
    nearest = (shares * cells).astype(int)
    window = np.arange(-HEAT_MAP_REACH, HEAT_MAP_REACH + 1)
    columns, rows = nearest[:, :1] + window, nearest[:, 1:] + window
    inside = _within(columns, cells)[:, None, :] & _within(rows, cells)[:, :, None]
    each = np.arange(len(shares))[:, None, None]
    logits = heat_maps[rows.clip(0, cells - 1)[:, :, None], columns.clip(0, cells - 1)[:, None, :], each]
    heat = np.where(inside, _logistic(logits.astype(np.float64)), 0.0)
    total = np.maximum(heat.sum(axis=(1, 2)), 1e-9)
    x, y = (heat.sum(axis=1) * columns).sum(axis=1) / total, (heat.sum(axis=2) * rows).sum(axis=1) / total
    refined = _within(nearest, cells).all(axis=1) & (shares >= 0).all(axis=1) & (heat.max(axis=(1, 2)) >= MIN_HEAT)
    moved: FloatArray = np.where(refined[:, None], np.column_stack([x, y]) / cells, shares)
    return moved


def _within(indices: NDArray[np.int64], length: int) -> NDArray[np.bool_]:
    within: NDArray[np.bool_] = (indices >= 0) & (indices < length)
    return within


def _logistic(logits: NDArray[_Number]) -> NDArray[_Number]:
    probabilities = 1 / (1 + np.exp(-logits))
    return probabilities.astype(logits.dtype, copy=False)
