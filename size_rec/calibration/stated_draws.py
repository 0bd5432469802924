"""[pure] Heights that the owners of rendered bodies might state.

Nobody states the heights of rendered bodies: for each a difference of stated and true height is drawn from those of
ANSUR II's people of the same sex (slips of the pen included), several times, and always the same ones.
"""

import numpy as np

from size_rec.calibration.fit import OutlineTable
from size_rec.calibration.stated_heights import StatedHeights, drawn_differences_cm
from size_rec.pose.pose import FloatArray

DRAWS = 5
"""Stated heights for each body; with these the mean of a girth's error is known to 0.05 cm."""


def draws_cm(bodies: OutlineTable, stated: StatedHeights) -> list[FloatArray]:
    """The stated heights of :data:`DRAWS` draws, each (n,)."""
    return [_stated_heights_cm(bodies, stated, seed) for seed in range(DRAWS)]


def _stated_heights_cm(bodies: OutlineTable, stated: StatedHeights, seed: int) -> FloatArray:
    rng = np.random.default_rng(seed)
    heights_cm = np.exp(bodies.log_measures[:, 0])
    for sex, people_by_step in enumerate(stated.people_by_step):
        rows = np.flatnonzero(bodies.female == sex)
        heights_cm[rows] += drawn_differences_cm(people_by_step, len(rows), rng)
    return heights_cm
