"""[pure] From outline features to body measures with their spread: Bayes' rule on Gaussians.

Two things were fitted (``size_rec/calibration``), both on logarithms of centimetres and kilograms:

- how bodies are: for each sex the mean and covariance of height, weight, girths, shoulder breadth and inseam
  (6 068 tape-measured people, ANSUR II);
- how a body looks: each feature of the outline as a linear function of those measures, of the sex and of loose or
  close-fitting clothes, with the covariance of what is left (rendered bodies with exact measures).

One photograph turns this round: given the stated height (and weight), the features tell which bodies could look like
this. Sex and clothing are not asked for; the answer is the mixture over the four combinations, weighted by how well
each explains the picture. A feature that could not be measured is left out, which widens the spread by itself; a
figure unlike those of the calibration widens it too (multivariate t instead of normal).
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from math import log, sqrt
from statistics import NormalDist
from typing import NamedTuple

import numpy as np

from models.size_rec import MAX_WEIGHT_KG, MIN_WEIGHT_KG
from size_rec.pose.pose import FloatArray

LATENT = ("height_cm", "weight_kg", "chest_cm", "waist_navel_cm", "hip_cm", "shoulder_cm", "inseam_cm", "waist_cm")
"""The measures of a body, in the order of the fitted arrays. ``shoulder_cm`` is biacromial, ``waist_cm`` the natural
waist (ISO 8559-1: midway between lowest rib and iliac crest), ``waist_navel_cm`` ANSUR's waist at the navel."""

ANSWERED = ("chest_cm", "waist_cm", "hip_cm", "shoulder_cm", "inseam_cm")
SEXES = ("male", "female")
CLOTHES = ("close_fitting", "loose")

TAIL_WEIGHT = 50.0
"""Degrees of freedom of the multivariate t: between 20 and 100 the cross-validated spread follows the error equally
well; with normal tails (infinite) unusual figures would be answered too confidently."""


MISTYPED_SHARE = 0.01
"""One stated weight in a hundred is taken to be in pounds, of somebody else, or a slip of the finger. Between a tenth
and a thousandth the result is the same: real weights lie within three standard deviations of what a picture suggests,
and a weight four away is believed half."""

KNOWN_WEIGHINGS = 32
"""How many combinations of sex, stated measures and measured features are kept worked out: nearly every photograph has
all features, and inverting 51 x 51 numbers again for each would take half of the time."""


@dataclass(frozen=True, eq=False)
class BodyModel:
    """The fitted numbers; arrays are over ``features`` (F), :data:`LATENT` (L) and :data:`SEXES` (2).

    ``body_mean`` (2, L) and ``body_covariance`` (2, L, L): how bodies are. ``feature_mean`` (F),
    ``feature_slopes`` (L + 2, F: per measure, then female, then loose), ``design_mean`` (L + 2) and
    ``feature_covariance`` (F, F): how a body looks. ``loose_share`` is the prior probability of loose clothes.
    ``spread_factors`` (per :data:`ANSWERED`) make the predicted spread match the cross-validated error.
    """

    features: tuple[str, ...]
    body_mean: FloatArray
    body_covariance: FloatArray
    feature_mean: FloatArray
    feature_slopes: FloatArray
    design_mean: FloatArray
    feature_covariance: FloatArray
    loose_share: float
    spread_factors: FloatArray


class BodyEstimate(NamedTuple):
    """What is known of one body.

    ``mean_cm`` and ``spread_cm`` (one standard deviation) are in the order of :data:`ANSWERED`; ``loose`` is the
    probability of loose clothes; ``surprise`` is the mean squared deviation of what was seen and stated from the
    nearest kind of body in standard deviations (1 is ordinary).
    """

    mean_cm: FloatArray
    spread_cm: FloatArray
    loose: float
    surprise: float


class _Kind(NamedTuple):
    """One combination of sex and clothes, after the picture was taken into account."""

    log_weight: float
    mean: FloatArray
    covariance: FloatArray
    distance: float
    loose: int


class _Belief(NamedTuple):
    """Mean and covariance of :data:`LATENT` in logarithms; ``loose`` and ``surprise`` as in :class:`BodyEstimate`."""

    mean: FloatArray
    covariance: FloatArray
    loose: float
    surprise: float


def estimate_body(
    model: BodyModel, features: dict[str, float], *, height_cm: float, weight_kg: float | None = None
) -> BodyEstimate:
    """The body's measures given the outline's features and the stated height (and weight).

    A stated weight that the picture contradicts is probably mistyped; the more probably, the less it counts.
    """
    values = np.array([features[name] for name in model.features])
    belief = _belief(model, values, height_cm, None)
    if weight_kg is not None:
        mistyped = _mistyped(belief, weight_kg)
        weighed = _belief(model, values, height_cm, weight_kg)
        belief = _blend([weighed, belief], np.array([1 - mistyped, mistyped]))
    chosen = [LATENT.index(name) for name in ANSWERED]
    mean_cm = np.exp(belief.mean[chosen])
    return BodyEstimate(
        mean_cm=mean_cm,
        spread_cm=mean_cm * np.sqrt(np.diag(belief.covariance)[chosen]) * model.spread_factors,
        loose=belief.loose,
        surprise=belief.surprise,
    )


def _mistyped(unweighed: _Belief, weight_kg: float) -> float:
    """How probably the stated weight is not the person's, by Bayes' rule: a mistyped one may be any (evenly in
    logarithms), the real one is near what picture and height suggest."""
    weight = LATENT.index("weight_kg")
    suggested = NormalDist(float(unweighed.mean[weight]), sqrt(unweighed.covariance[weight, weight]))
    real = (1 - MISTYPED_SHARE) * suggested.pdf(log(weight_kg))
    other = MISTYPED_SHARE / log(MAX_WEIGHT_KG / MIN_WEIGHT_KG)
    return other / (real + other)


def _belief(model: BodyModel, values: FloatArray, height_cm: float, weight_kg: float | None) -> _Belief:
    """Over all kinds, with the tails of a multivariate t."""
    kinds = [kind for sex in range(len(SEXES)) for kind in _kinds_of(model, sex, values, height_cm, weight_kg)]
    log_weights = np.array([kind.log_weight for kind in kinds])
    weights = np.exp(log_weights - log_weights.max())
    known = float(np.isfinite(values).sum()) + (1 if weight_kg is None else 2)
    distance = min(kind.distance for kind in kinds)
    tail = (TAIL_WEIGHT + distance) / (TAIL_WEIGHT + known)
    return _blend(
        [_Belief(kind.mean, kind.covariance * tail, kind.loose, distance / known) for kind in kinds],
        weights / weights.sum(),
    )


def _blend(beliefs: Sequence[_Belief], weights: FloatArray) -> _Belief:
    """Mean and covariance of a mixture of Gaussians."""
    mean: FloatArray = weights @ np.array([belief.mean for belief in beliefs])
    covariance = np.zeros_like(beliefs[0].covariance)
    for weight, belief in zip(weights, beliefs, strict=True):
        covariance += weight * (belief.covariance + np.outer(belief.mean - mean, belief.mean - mean))
    loose, surprise = weights @ np.array([(belief.loose, belief.surprise) for belief in beliefs])
    return _Belief(mean, covariance, float(loose), float(surprise))


def _kinds_of(model: BodyModel, sex: int, values: FloatArray, height_cm: float, weight_kg: float | None) -> list[_Kind]:
    """Both kinds of clothes for one sex."""
    stated = np.log([height_cm] if weight_kg is None else [height_cm, weight_kg])
    seen = np.isfinite(values)
    weighing = _weighing(model, sex, len(stated), seen.tobytes())
    difference = stated - model.body_mean[sex, : len(stated)]
    stated_distance = float(difference @ weighing.stated_inverse @ difference)
    mean = model.body_mean[sex] + weighing.stated_gain @ difference
    kinds = []
    for loose in range(len(CLOTHES)):
        design = np.concatenate([mean, [sex, loose]]) - model.design_mean
        innovation = (values - model.feature_mean - design @ model.feature_slopes)[seen]
        distance = stated_distance + float(innovation @ weighing.inverse @ innovation)
        prior = log(model.loose_share if loose else 1 - model.loose_share)
        kinds.append(
            _Kind(
                log_weight=prior - (distance + weighing.log_determinant) / 2,
                mean=mean + weighing.gain @ innovation,
                covariance=weighing.covariance,
                distance=distance,
                loose=loose,
            )
        )
    return kinds


class _Weighing(NamedTuple):
    """What does not depend on the picture. Notation as for a Kalman update, done twice: for what was stated, then for
    what was seen. ``inverse`` is of the innovation covariance, ``log_determinant`` of both steps, ``covariance`` is the
    rest."""

    stated_gain: FloatArray
    stated_inverse: FloatArray
    gain: FloatArray
    inverse: FloatArray
    log_determinant: float
    covariance: FloatArray


@lru_cache(KNOWN_WEIGHINGS)
def _weighing(model: BodyModel, sex: int, stated: int, seen_flags: bytes) -> _Weighing:
    """For one sex, the first ``stated`` measures given and the features of ``seen_flags`` (one byte each) measured."""
    known, mixed = model.body_covariance[sex, :stated, :stated], model.body_covariance[sex, :, :stated]
    stated_inverse = np.linalg.inv(known).astype(np.float64, copy=False)
    stated_gain = mixed @ stated_inverse
    covariance = model.body_covariance[sex] - stated_gain @ mixed.T
    seen = np.frombuffer(seen_flags, dtype=np.bool_)
    look = model.feature_slopes[: len(LATENT), seen].T
    innovation = look @ covariance @ look.T + model.feature_covariance[np.ix_(seen, seen)]
    inverse = np.linalg.inv(innovation)
    gain = covariance @ look.T @ inverse
    return _Weighing(
        stated_gain=stated_gain,
        stated_inverse=stated_inverse,
        gain=gain,
        inverse=inverse,
        log_determinant=float(np.linalg.slogdet(known)[1] + np.linalg.slogdet(innovation)[1]),
        covariance=covariance - gain @ look @ covariance,
    )
