"""[pure] How people state their heights: what they state beside what was measured (ANSUR II has both).

People state whole inches; men state 2.2 cm too much, women 1.2 cm. The difference hardly depends on the height.
"""

from collections import Counter
from dataclasses import dataclass

import numpy as np

from size_rec.body.body_model import SEXES
from size_rec.pose.pose import FloatArray

MAX_SLIP_CM = 15.0
"""Nobody errs by half a foot: larger differences (0.3 % of the men, 0.6 % of the women) are slips of the pen. They are
left out of bias and spread, which they would widen by a third, but not of the distribution."""

STEP_CM = 0.5
"""The distribution is kept in steps of half a centimetre."""


@dataclass(frozen=True)
class StatedHeights:
    """For each of ``SEXES``: ``bias`` and ``spread``, mean and standard deviation of the logarithm of stated over true
    height; ``people_by_step``, how many people have which difference in cm (slips included)."""

    bias: FloatArray
    spread: FloatArray
    people_by_step: tuple[dict[str, int], ...]


def stated_heights_of(*, stated_cm: FloatArray, true_cm: FloatArray, female: FloatArray) -> StatedHeights:
    """The distribution in a table of people."""
    of_sex = [female == sex for sex in range(len(SEXES))]
    no_slip = np.abs(stated_cm - true_cm) < MAX_SLIP_CM
    ratios = [np.log(stated_cm[rows & no_slip] / true_cm[rows & no_slip]) for rows in of_sex]
    return StatedHeights(
        bias=np.array([ratio.mean() for ratio in ratios]),
        spread=np.array([ratio.std() for ratio in ratios]),
        people_by_step=tuple(_people_by_step(stated_cm[rows] - true_cm[rows]) for rows in of_sex),
    )


def _people_by_step(differences_cm: FloatArray) -> dict[str, int]:
    steps = Counter(int(step) for step in np.round(differences_cm / STEP_CM))
    return {f"{step * STEP_CM:g}": steps[step] for step in sorted(steps)}


def drawn_differences_cm(people_by_step: dict[str, int], count: int, rng: np.random.Generator) -> FloatArray:
    """``count`` differences of stated and true height, drawn from a distribution."""
    people = np.array(list(people_by_step.values()))
    steps_cm = np.array([float(step) for step in people_by_step])
    drawn: FloatArray = rng.choice(steps_cm, size=count, p=people / people.sum())
    return drawn
