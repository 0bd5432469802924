"""[pure] Measures a sign of loose clothing: a top that ends below the hips.

Close-fitting tops end at the waist or the hips, loose ones end lower. The hem is where the colour along the middle of
the body changes most.
"""

from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from size_rec.outline.silhouette import LEGS, limb_points
from size_rec.pose.pose import FloatArray, Joint, Pose, RgbArray

_Number = TypeVar("_Number", np.uint8, np.float64)

LEVELS = np.linspace(0.1, 1.95, 112)
"""Samples from the shoulder line (0) over the hip line (1) to the knees (2)."""
SEARCHED = (0.55, 1.9)
"""Range of levels in which a hem is looked for: below the collar and above the socks."""
BELOW_HIPS = (1.08, 1.45)
"""Range of levels, from just under the hip joints to mid-thigh, in which an untucked top ends; shorts end lower, a
tucked top higher."""
WINDOW = 5
"""Samples on each side of a border whose median colours are compared."""
TORSO_STRIP_SHARE, LEG_STRIP_SHARE = 0.15, 0.06
"""Half-width of the sampled strip, as a share of the trunk's length; narrow enough to stay on the garment."""
STRIP_SAMPLES = 11

SRGB_LINEAR_BELOW = 0.04045
SRGB_TO_XYZ = np.array([[0.4124, 0.3576, 0.1805], [0.2126, 0.7152, 0.0722], [0.0193, 0.1192, 0.9505]])
"""IEC 61966-2-1."""
WHITE_D65 = np.array([0.9505, 1.0, 1.089])
LAB_LINEAR_BELOW = 0.008856
"""CIE 15."""


def hem_below_hips(pose: Pose, rgb: RgbArray) -> float:
    """The strongest colour change below the hips, divided by the strongest on trunk and thighs: 0 to 1."""
    change = _colour_change(_lab(_strip_colours(pose, rgb)))
    anywhere = change[(SEARCHED[0] < LEVELS) & (SEARCHED[1] > LEVELS)].max()
    below = change[(BELOW_HIPS[0] < LEVELS) & (BELOW_HIPS[1] > LEVELS)].max()
    return float(below / max(anywhere, 1.0))


def _strip_colours(pose: Pose, rgb: RgbArray) -> FloatArray:
    """The median RGB at every level: down the middle of the trunk, then down both thighs (averaged)."""
    shoulders = pose.middle(Joint.LEFT_SHOULDER, Joint.RIGHT_SHOULDER)
    hips = pose.middle(Joint.LEFT_HIP, Joint.RIGHT_HIP)
    trunk = float(np.hypot(*(hips - shoulders)))
    upper = LEVELS[LEVELS <= 1]
    torso = _medians(rgb, shoulders + upper[:, None] * (hips - shoulders), TORSO_STRIP_SHARE * trunk)
    thighs = [_medians(rgb, limb_points(pose, leg, LEVELS[LEVELS > 1] - 1)[0], LEG_STRIP_SHARE * trunk) for leg in LEGS]
    return np.concatenate([torso, (thighs[0] + thighs[1]) / 2])


def _medians(rgb: RgbArray, centers: FloatArray, half_width: float) -> FloatArray:
    columns = centers[:, :1] + half_width * np.linspace(-1, 1, STRIP_SAMPLES)
    x = np.clip(columns.round(), 0, rgb.shape[1] - 1).astype(int)
    y = np.clip(centers[:, 1:].round(), 0, rgb.shape[0] - 1).astype(int)
    medians: FloatArray = _median(rgb[y, x], axis=1).astype(np.float64)
    return medians


def _median(samples: NDArray[_Number], axis: int) -> NDArray[_Number]:
    """The median of an odd number of samples, which is one of them; several times faster than NumPy's general one."""
    middle = samples.shape[axis] // 2
    return np.partition(samples, middle, axis=axis).take([middle], axis=axis).squeeze(axis)


def _colour_change(colours: FloatArray) -> FloatArray:
    """At every level the distance between the median colours just above and just below (0 at the ends)."""
    windows = _median(np.lib.stride_tricks.sliding_window_view(colours, WINDOW, axis=0), axis=-1)
    change = np.zeros(len(colours))
    change[WINDOW : len(colours) - WINDOW] = np.linalg.norm(windows[WINDOW + 1 :] - windows[: -WINDOW - 1], axis=1)
    return change


def _lab(rgb: FloatArray) -> FloatArray:
    """sRGB 0..255 to CIELAB (D65), in which distances are about proportional to visible differences."""
    share = rgb / 255
    linear = np.where(share > SRGB_LINEAR_BELOW, ((share + 0.055) / 1.055) ** 2.4, share / 12.92)
    xyz = linear @ SRGB_TO_XYZ.T / WHITE_D65
    x, y, z = np.where(xyz > LAB_LINEAR_BELOW, np.cbrt(xyz), 7.787 * xyz + 16 / 116).T
    return np.column_stack([116 * y - 16, 500 * (x - y), 200 * (y - z)])
