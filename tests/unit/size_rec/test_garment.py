"""A top that ends below the hips is a sign of loose clothes."""

import numpy as np
import pytest

from size_rec.outline.garment import hem_below_hips
from size_rec.pose.pose import Pose, RgbArray
from tests.support.size_figures import SHIRT, TROUSERS, draw_figure

HIPS_ROW, KNEES_ROW, SHOULDERS_ROW = 0.48, 0.72, 0.2


def dressed(hem: float) -> tuple[Pose, RgbArray]:
    pose, rgb = draw_figure()
    person = pose.mask > 0.5
    rows = (np.arange(len(pose.mask)) - 40)[:, None] / 400
    rgb = rgb.copy()
    rgb[person & (rows <= hem)] = SHIRT
    rgb[person & (rows > hem)] = TROUSERS
    return pose, rgb


@pytest.mark.parametrize(
    ("hem", "below"),
    [
        pytest.param(SHOULDERS_ROW + 0.8 * (HIPS_ROW - SHOULDERS_ROW), False, id="tucked in at the waist"),
        pytest.param(HIPS_ROW - 0.01, False, id="ends on the hips"),
        pytest.param(HIPS_ROW + 0.25 * (KNEES_ROW - HIPS_ROW), True, id="hangs below the hips"),
        pytest.param(HIPS_ROW + 0.7 * (KNEES_ROW - HIPS_ROW), False, id="shorts end above the knees"),
    ],
)
def test_only_a_hem_between_hips_and_mid_thigh_counts(hem: float, below: bool) -> None:
    pose, rgb = dressed(hem)
    assert (hem_below_hips(pose, rgb) > 0.9) is below


def test_a_figure_in_one_colour_has_no_hem() -> None:
    pose, rgb = draw_figure()
    assert hem_below_hips(pose, np.full_like(rgb, 128)) == 0
