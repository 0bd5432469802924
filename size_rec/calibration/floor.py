"""[pure] The floor: how well anyone can know a girth who knows sex, height and the body's frontal breadths exactly."""

from collections.abc import Mapping

import numpy as np

from size_rec.pose.pose import FloatArray

SEEN_FROM_THE_FRONT = ("stature", "bideltoidbreadth", "chestbreadth", "waistbreadth", "hipbreadth")
GIRTHS = {"chest_cm": "chestcircumference", "waist_navel_cm": "waistcircumference", "hip_cm": "buttockcircumference"}
FLOOR_COLUMNS = (*SEEN_FROM_THE_FRONT, *GIRTHS.values())


def breadth_floor(columns: Mapping[str, FloatArray]) -> dict[str, float]:
    """Mean absolute error in cm of each girth regressed (in logarithms, for each sex) on height and breadths.

    ``columns`` are in cm, by ANSUR's names, with ``female`` (0 or 1).
    """
    floor = {}
    female = columns["female"]
    for name, girth in GIRTHS.items():
        error = np.zeros(len(female))
        for sex in (0, 1):
            rows = female == sex
            seen = np.column_stack([np.ones(rows.sum()), *(np.log(columns[c][rows]) for c in SEEN_FROM_THE_FRONT)])
            weights, *_ = np.linalg.lstsq(seen, np.log(columns[girth][rows]), rcond=None)
            error[rows] = np.exp(seen @ weights) - columns[girth][rows]
        floor[name] = round(float(np.abs(error).mean()), 2)
    return floor
