"""[pure] From outline features to body measures with their spread: Bayes' rule on Gaussians.

Two things were fitted (``size_rec/calibration``), both on logarithms of centimetres and kilograms:

- how bodies are: for each sex the mean and covariance of height, weight, girths, shoulder breadth and inseam
  (6 068 tape-measured people, ANSUR II);
- how a body looks: each feature of the outline as a linear function of those measures, of the sex and of loose or
  close-fitting clothes, with the covariance of what is left (rendered bodies with exact measures).

For one photograph this is inverted: from the stated height (and weight) and the features follow the bodies that could
look like this (the posterior). Sex and clothes are not asked for; the answer is the mixture over the four combinations,
each weighted by how well it explains the picture. People state their height too tall, men more than women: a stated
height is an observation of the true one with a bias and a spread, unless it was measured (ADR 0134). A feature that
could not be measured is left out, which widens the spread by itself; a figure unlike those of the calibration widens it
too (multivariate t instead of normal).
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
"""Prior probability that a stated weight is wrong: in pounds, of another person, or mistyped. With anything between a
tenth and a thousandth the result is the same: real weights lie within three standard deviations of what a picture
suggests; a weight that is four away counts half."""

CACHED_UPDATES = 32
"""How many combinations of sex, stated measures and measured features stay in the cache: nearly every photograph has
all features, and inverting a matrix of 51 x 51 again for each would take half of the time."""


@dataclass(frozen=True, eq=False)
class BodyModel:
    """The fitted numbers; arrays are over ``features`` (F), :data:`LATENT` (L) and :data:`SEXES` (2).

    ``body_mean`` (2, L) and ``body_covariance`` (2, L, L): how bodies are. ``feature_mean`` (F),
    ``feature_slopes`` (L + 2, F: per measure, then female, then loose), ``design_mean`` (L + 2) and
    ``feature_covariance`` (F, F): how a body looks. ``loose_share`` is the prior probability of loose clothes.
    ``spread_factors`` (per :data:`ANSWERED`) make the predicted spread match the cross-validated error.
    ``stated_height_bias`` and ``stated_height_spread`` (2) are the mean and the standard deviation of the logarithm of
    stated over true height.
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
    stated_height_bias: FloatArray
    stated_height_spread: FloatArray


class BodyEstimate(NamedTuple):
    """What is known of one body.

    ``mean_cm`` and ``spread_cm`` (one standard deviation) are in the order of :data:`ANSWERED`; ``loose`` is the
    probability of loose clothes; ``surprise`` is the mean squared deviation of what was seen and stated from the
    nearest kind of body in standard deviations (1 is ordinary). ``height_cm`` and ``height_spread_cm`` are of the true
    height.
    """

    mean_cm: FloatArray
    spread_cm: FloatArray
    loose: float
    surprise: float
    height_cm: float
    height_spread_cm: float


class _Stated(NamedTuple):
    """What the person says; a measured height is exact."""

    height_cm: float
    weight_kg: float | None
    height_measured: bool


class _Component(NamedTuple):
    """One component of the mixture: the posterior for one sex in one kind of clothes.

    ``log_weight`` is not normalised. ``distance`` is the squared Mahalanobis distance of what was stated and measured
    from what this component expects. ``loose`` is 1 for loose clothes, else 0.
    """

    log_weight: float
    mean: FloatArray
    covariance: FloatArray
    distance: float
    loose: int


class _Posterior(NamedTuple):
    """Posterior mean and covariance of :data:`LATENT`, in logarithms; ``loose`` and ``surprise`` are as in
    :class:`BodyEstimate`."""

    mean: FloatArray
    covariance: FloatArray
    loose: float
    surprise: float


def estimate_body(
    model: BodyModel,
    features: dict[str, float],
    *,
    height_cm: float,
    weight_kg: float | None = None,
    height_measured: bool = False,
) -> BodyEstimate:
    """The body's measures given the outline's features and the stated (or measured) height, and the weight if stated.

    A stated weight that the picture contradicts is probably mistyped; the more probably, the less it counts.
    """
    values = np.array([features[name] for name in model.features])
    posterior = _posterior(model, values, _Stated(height_cm, None, height_measured))
    if weight_kg is not None:
        mistyped = _mistyped_probability(posterior, weight_kg)
        with_weight = _posterior(model, values, _Stated(height_cm, weight_kg, height_measured))
        posterior = _mixture([with_weight, posterior], np.array([1 - mistyped, mistyped]))
    chosen = [LATENT.index(name) for name in ANSWERED]
    mean_cm = np.exp(posterior.mean[chosen])
    height = LATENT.index("height_cm")
    height_mean_cm = float(np.exp(posterior.mean[height]))
    return BodyEstimate(
        mean_cm=mean_cm,
        spread_cm=mean_cm * np.sqrt(np.diag(posterior.covariance)[chosen]) * model.spread_factors,
        loose=posterior.loose,
        surprise=posterior.surprise,
        height_cm=height_mean_cm,
        height_spread_cm=height_mean_cm * sqrt(max(posterior.covariance[height, height], 0.0)),
    )


def _mistyped_probability(without_weight: _Posterior, weight_kg: float) -> float:
    """The probability that the stated weight is wrong, by Bayes' rule.

    A wrong weight is uniform in its logarithm over all weights that are accepted. A right one is near what the picture
    and the height suggest (``without_weight``).
    """
    weight = LATENT.index("weight_kg")
    suggested = NormalDist(float(without_weight.mean[weight]), sqrt(without_weight.covariance[weight, weight]))
    right = (1 - MISTYPED_SHARE) * suggested.pdf(log(weight_kg))
    wrong = MISTYPED_SHARE / log(MAX_WEIGHT_KG / MIN_WEIGHT_KG)
    return wrong / (right + wrong)


def _posterior(model: BodyModel, values: FloatArray, stated: _Stated) -> _Posterior:
    """The mixture over both sexes and both kinds of clothes, with the tails of a multivariate t."""
    components = [each for sex in range(len(SEXES)) for each in _components(model, sex, values, stated)]
    log_weights = np.array([each.log_weight for each in components])
    weights = np.exp(log_weights - log_weights.max())
    known = float(np.isfinite(values).sum()) + (1 if stated.weight_kg is None else 2)
    distance = min(each.distance for each in components)
    tail = (TAIL_WEIGHT + distance) / (TAIL_WEIGHT + known)
    return _mixture(
        [_Posterior(each.mean, each.covariance * tail, each.loose, distance / known) for each in components],
        weights / weights.sum(),
    )


def _mixture(components: Sequence[_Posterior], weights: FloatArray) -> _Posterior:
    """Mean and covariance of a mixture of Gaussians; ``weights`` add up to 1."""
    mean: FloatArray = weights @ np.array([each.mean for each in components])
    covariance = np.zeros_like(components[0].covariance)
    for weight, each in zip(weights, components, strict=True):
        covariance += weight * (each.covariance + np.outer(each.mean - mean, each.mean - mean))
    loose, surprise = weights @ np.array([(each.loose, each.surprise) for each in components])
    return _Posterior(mean, covariance, float(loose), float(surprise))


def _components(model: BodyModel, sex: int, values: FloatArray, stated: _Stated) -> list[_Component]:
    """The components of one sex, one for each of :data:`CLOTHES`. ``values`` has NaN for a feature that could not be
    measured."""
    measured = np.isfinite(values)
    numbers = np.log([stated.height_cm] if stated.weight_kg is None else [stated.height_cm, stated.weight_kg])
    update = _update(model, sex, len(numbers), measured.tobytes(), height_measured=stated.height_measured)
    difference = numbers - model.body_mean[sex, : len(numbers)]
    if not stated.height_measured:
        difference[0] -= model.stated_height_bias[sex]
    stated_distance = float(difference @ update.stated_inverse @ difference)
    mean = model.body_mean[sex] + update.stated_gain @ difference
    components = []
    for loose in range(len(CLOTHES)):
        design = np.concatenate([mean, [sex, loose]]) - model.design_mean
        innovation = (values - model.feature_mean - design @ model.feature_slopes)[measured]
        distance = stated_distance + float(innovation @ update.inverse @ innovation)
        prior = log(model.loose_share if loose else 1 - model.loose_share)
        components.append(
            _Component(
                log_weight=prior - (distance + update.log_determinant) / 2,
                mean=mean + update.gain @ innovation,
                covariance=update.covariance,
                distance=distance,
                loose=loose,
            )
        )
    return components


class _Update(NamedTuple):
    """Two Kalman updates, one after the other, as far as they do not depend on any value: the first by the stated
    measures (``stated_gain``; ``stated_inverse`` of their covariance), the second by the measured features (``gain``;
    ``inverse`` of the innovation covariance).

    ``log_determinant`` is the sum of both covariances' log determinants; ``covariance`` is the posterior one, after
    both.
    """

    stated_gain: FloatArray
    stated_inverse: FloatArray
    gain: FloatArray
    inverse: FloatArray
    log_determinant: float
    covariance: FloatArray


@lru_cache(CACHED_UPDATES)
def _update(model: BodyModel, sex: int, stated: int, measured_flags: bytes, *, height_measured: bool) -> _Update:
    """For one sex, with the first ``stated`` of :data:`LATENT` given, the height exactly or as people state it;
    ``measured_flags`` has a byte for each feature, 1 where it was measured, else 0."""
    body_covariance = model.body_covariance[sex]
    stated_covariance, cross_covariance = body_covariance[:stated, :stated].copy(), body_covariance[:, :stated]
    if not height_measured:
        stated_covariance[0, 0] += model.stated_height_spread[sex] ** 2
    stated_inverse = np.linalg.inv(stated_covariance).astype(np.float64, copy=False)
    stated_gain = cross_covariance @ stated_inverse
    covariance = body_covariance - stated_gain @ cross_covariance.T
    measured = np.frombuffer(measured_flags, dtype=np.bool_)
    slopes = model.feature_slopes[: len(LATENT), measured].T
    innovation = slopes @ covariance @ slopes.T + model.feature_covariance[np.ix_(measured, measured)]
    inverse = np.linalg.inv(innovation)
    gain = covariance @ slopes.T @ inverse
    return _Update(
        stated_gain=stated_gain,
        stated_inverse=stated_inverse,
        gain=gain,
        inverse=inverse,
        log_determinant=float(np.linalg.slogdet(stated_covariance)[1] + np.linalg.slogdet(innovation)[1]),
        covariance=covariance - gain @ slopes @ covariance,
    )
