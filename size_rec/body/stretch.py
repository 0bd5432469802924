"""[pure] Estimates by which factor a picture was stretched sideways.

Pictures get stretched by an uploader that fills a square, by a screenshot, by another program's output. All breadths
then change by one factor, and with them every girth. Bodies vary by much more than that, heads and bone lengths do not:
from all features together the factor's logarithm is estimated by ridge regression, fitted on bodies whose pictures were
stretched on purpose (``size_rec/calibration/stretch.py``). It is one more nuisance, with a tight prior: nearly all
pictures are not stretched (ADR 0136).
"""

from dataclasses import dataclass
from math import sqrt
from statistics import NormalDist
from typing import Final, NamedTuple

import numpy as np

from size_rec.body.body_model import ANSWERED, BodyEstimate
from size_rec.pose.pose import FloatArray

MAX_SPREADS: Final = 2.65
"""A picture whose estimate is so many standard deviations away from 0 counts as stretched: of unstretched ones that is
one in a hundred, by the cross-validated spread (0.033 of the logarithm, so the limit is a factor of 9 %)."""
CONFIRMING_SPREADS: Final = 1.6
"""The same for a second look that is to confirm a first one: nine in ten covered faces stay below it."""
STRETCHED_SHARE: Final = 0.1
"""Prior probability of a stretched picture, a guess. It decides how much the answer's spread grows below the limit."""
USUAL_STRETCH: Final = 0.2
"""Standard deviation of the logarithm among stretched pictures: a photograph of 3 : 4 made square has 0.29."""
GROWING: Final = tuple(name != "inseam_cm" for name in ANSWERED)
"""Which measures change with the picture's breadth."""


@dataclass(frozen=True, eq=False)
class StretchModel:
    """The fitted numbers: the logarithm is ``weights`` times the ``features``' difference from their ``mean`` over
    pictures that are not stretched; ``spread`` is the standard deviation of its error for these."""

    features: tuple[str, ...]
    mean: FloatArray
    weights: FloatArray
    spread: float


class StretchModels(NamedTuple):
    """One for what is seen as it is, one for pictures with a drawn face, whose proportions tell nothing."""

    seen: StretchModel
    drawn: StretchModel


def log_stretch(model: StretchModel, values: dict[str, float]) -> float:
    """The estimated logarithm of the factor, positive where the picture is too wide. A feature that could not be
    measured counts as average."""
    difference = np.array([values[name] for name in model.features]) - model.mean
    return float(model.weights @ np.where(np.isfinite(difference), difference, 0.0))


def is_stretched(model: StretchModel, logarithm: float, max_spreads: float = MAX_SPREADS) -> bool:
    """Whether the picture is beyond the limit."""
    return abs(logarithm) > max_spreads * model.spread


def widened(estimate: BodyEstimate, model: StretchModel, logarithm: float) -> BodyEstimate:
    """The estimate with the spread of a picture that may be stretched: the mean of both possibilities' squares."""
    relative = np.where(GROWING, sqrt(_stretched_probability(model, logarithm)) * abs(logarithm), 0.0)
    return estimate._replace(spread_cm=np.hypot(estimate.spread_cm, relative * estimate.mean_cm))


def _stretched_probability(model: StretchModel, logarithm: float) -> float:
    """By Bayes' rule, given the estimate."""
    stretched = STRETCHED_SHARE * NormalDist(0.0, sqrt(USUAL_STRETCH**2 + model.spread**2)).pdf(logarithm)
    as_it_was = (1 - STRETCHED_SHARE) * NormalDist(0.0, model.spread).pdf(logarithm)
    return stretched / (stretched + as_it_was)
