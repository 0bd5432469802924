"""[pure] Fits a :class:`BodyModel` from two tables: tape-measured people, and bodies whose outline was measured."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from size_rec.body.body_model import ANSWERED, LATENT, SEXES, BodyModel, estimate_body
from size_rec.calibration.stated_heights import StatedHeights
from size_rec.pose.pose import FloatArray, IndexArray

TAPE_MEASURES = LATENT[:-1]
"""The natural waist is not in ANSUR II; how it follows from the other measures is fitted on the rendered bodies."""

RIDGE = 6.0
"""Pull of the slopes towards 0, in photographs; any value from 1 to 10 gives the same error."""

SHRINKAGE = 0.2
"""How far the features' leftover correlations are pulled towards 0; any value from 0.1 to 0.3 gives the same error."""

LIGHT_WEIGHT = 5.0
"""How many times the features' changes in other light count as noise. From 3 to 6 fewer sizes change and errors stay
the same; at 10 the waist suffers (ADR 0139)."""

FOLDS = 10
"""Cross-validation leaves out a tenth of the bodies at a time."""


@dataclass(frozen=True)
class TapeTable:
    """People measured by tape: ``log_measures`` (n, :data:`TAPE_MEASURES`) and ``female`` (n, 0 or 1)."""

    log_measures: FloatArray
    female: FloatArray


@dataclass(frozen=True)
class OutlineTable:
    """Photographs with a measured outline: ``values`` (n, features), ``log_measures`` (n, :data:`LATENT`), ``female``
    and ``loose`` (n, 0 or 1). A body may be in more than one photograph. ``in_other_light`` (n, lights, features) are
    the values of the same photograph in each of several lights, NaN where that was refused."""

    features: tuple[str, ...]
    values: FloatArray
    log_measures: FloatArray
    female: FloatArray
    loose: FloatArray
    in_other_light: FloatArray

    def rows(self, chosen: IndexArray) -> "OutlineTable":
        """The chosen bodies only."""
        return replace(
            self,
            values=self.values[chosen],
            log_measures=self.log_measures[chosen],
            female=self.female[chosen],
            loose=self.loose[chosen],
            in_other_light=self.in_other_light[chosen],
        )


def tape_covariance(people: TapeTable) -> FloatArray:
    """The measures' covariance for each sex: (2, :data:`TAPE_MEASURES`, :data:`TAPE_MEASURES`)."""
    return np.array([np.cov(people.log_measures[people.female == sex].T) for sex in (0, 1)])


def tape_covariance_of(model: BodyModel) -> FloatArray:
    """The same out of a fitted model, which keeps it unchanged: cross-validation needs no tape table."""
    known = len(TAPE_MEASURES)
    covariance: FloatArray = model.body_covariance[:, :known, :known]
    return covariance


def fit_body_model(people_covariance: FloatArray, bodies: OutlineTable) -> BodyModel:
    """All fitted numbers, with the spread factors still 1 and heights taken as exact."""
    body_mean, body_covariance = _fit_bodies(people_covariance, bodies)
    design = np.column_stack([bodies.log_measures, bodies.female, bodies.loose])
    design_mean, feature_mean = design.mean(axis=0), bodies.values.mean(axis=0)
    scale = (design - design_mean).std(axis=0)
    standard = (design - design_mean) / scale
    penalty = RIDGE * np.eye(standard.shape[1])
    slopes = np.linalg.solve(standard.T @ standard + penalty, standard.T @ (bodies.values - feature_mean))
    slopes /= scale[:, None]
    left = bodies.values - feature_mean - (design - design_mean) @ slopes
    covariance = left.T @ left / (len(left) - design.shape[1]) + LIGHT_WEIGHT * light_covariance(bodies)
    return BodyModel(
        features=bodies.features,
        body_mean=body_mean,
        body_covariance=body_covariance,
        feature_mean=feature_mean,
        feature_slopes=slopes,
        design_mean=design_mean,
        feature_covariance=(1 - SHRINKAGE) * covariance + SHRINKAGE * np.diag(np.diag(covariance)),
        loose_share=float(bodies.loose.mean()),
        spread_factors=np.ones(len(ANSWERED)),
        stated_height_bias=np.zeros(len(SEXES)),
        stated_height_spread=np.zeros(len(SEXES)),
    )


def light_covariance(bodies: OutlineTable) -> FloatArray:
    """Mean products of the features' changes from the photograph as it is to other light: (features, features).

    A feature that changes with the light says less about the body than its fit to these photographs makes believe.
    """
    changes = (bodies.in_other_light - bodies.values[:, None, :]).reshape(-1, len(bodies.features))
    complete = changes[np.isfinite(changes).all(axis=1)]
    covariance: FloatArray = complete.T @ complete / max(len(complete), 1)
    return covariance


def _fit_bodies(people_covariance: FloatArray, bodies: OutlineTable) -> tuple[FloatArray, FloatArray]:
    """Mean and covariance of the measures for each sex, natural waist included.

    Covariances are the tape-measured people's. Means are the rendered bodies': these are measured exactly as the
    answer is defined, while a tape over soldiers' clothing rules and posture differs by a few millimetres.
    """
    known = len(TAPE_MEASURES)
    design = np.column_stack([np.ones(len(bodies.female)), bodies.log_measures[:, :known], bodies.female])
    weights, *_ = np.linalg.lstsq(design, bodies.log_measures[:, known], rcond=None)
    left = bodies.log_measures[:, known] - design @ weights
    variance = float(left @ left) / max(len(left) - design.shape[1], 1)
    means, covariances = [], []
    for sex in (0, 1):
        extend = np.vstack([np.eye(known), weights[1 : known + 1]])
        covariance = extend @ people_covariance[sex] @ extend.T
        covariance[known, known] += variance
        mean = bodies.log_measures[bodies.female == sex, :known].mean(axis=0)
        means.append(np.append(mean, weights[0] + mean @ weights[1 : known + 1] + sex * weights[-1]))
        covariances.append(covariance)
    return np.array(means), np.array(covariances)


@dataclass(frozen=True)
class CrossValidation:
    """Predictions for photographs of bodies that the model had not seen, in cm.

    ``predicted``, ``spread`` and ``error`` (signed) are (n, :data:`ANSWERED`); ``height_cm`` (predicted), ``loose`` and
    ``surprise`` are (n,)."""

    predicted: FloatArray
    spread: FloatArray
    error: FloatArray
    height_cm: FloatArray
    loose: FloatArray
    surprise: FloatArray


def split_by_body(bodies: OutlineTable, seed: int = 0) -> list[IndexArray]:
    """The photographs' numbers in :data:`FOLDS` random parts of nearly equal size; a body is in one part only."""
    _, body = np.unique(bodies.log_measures, axis=0, return_inverse=True)
    body = body.ravel()
    part_of_body = np.random.default_rng(seed).permutation(body.max() + 1) % FOLDS
    return [np.flatnonzero(part_of_body[body] == part) for part in range(FOLDS)]


def cross_validate(
    people_covariance: FloatArray,
    bodies: OutlineTable,
    *,
    with_weight: bool = False,
    stated: StatedHeights | None = None,
    stated_cm: FloatArray | None = None,
    seed: int = 0,
) -> CrossValidation:
    """Predict each body from a model fitted on the other parts.

    Args:
        people_covariance: as for :func:`fit_body_model`.
        bodies: the photographs.
        with_weight: state the weight as well.
        stated: how people state their heights; without it the bodies' true heights are given as measured.
        stated_cm: for each photograph the height that is stated; needs ``stated``.
        seed: of the parts.
    """
    count = len(bodies.female)
    columns = [LATENT.index(name) for name in ANSWERED]
    predicted, spread = np.zeros((count, len(ANSWERED))), np.zeros((count, len(ANSWERED)))
    surprise, height_cm = np.zeros(count), np.zeros(count)
    true_cm, true_kg = np.exp(bodies.log_measures[:, :2]).T
    given_cm = true_cm if stated_cm is None else stated_cm
    for part in split_by_body(bodies, seed):
        model = fit_body_model(people_covariance, bodies.rows(np.setdiff1d(np.arange(count), part)))
        if stated is not None:
            model = replace(model, stated_height_bias=stated.bias, stated_height_spread=stated.spread)
        for body in part:
            estimate = estimate_body(
                model,
                dict(zip(bodies.features, bodies.values[body], strict=True)),
                height_cm=float(given_cm[body]),
                weight_kg=float(true_kg[body]) if with_weight else None,
                height_measured=stated is None,
            )
            predicted[body], spread[body], surprise[body] = estimate.mean_cm, estimate.spread_cm, estimate.surprise
            height_cm[body] = estimate.height_cm
    error = predicted - np.exp(bodies.log_measures[:, columns])
    return CrossValidation(predicted, spread, error, height_cm, bodies.loose, surprise)


def spread_factors(*told: Sequence[CrossValidation]) -> FloatArray:
    """What the predicted spread must be multiplied with to match the errors, per measure (root mean square).

    Of several ways to be told the height, each with its cross-validations, the one that needs most counts.
    """
    ratios = [np.concatenate([each.error / each.spread for each in validations]) for validations in told]
    factors: FloatArray = np.max([np.sqrt(np.mean(ratio**2, axis=0)) for ratio in ratios], axis=0)
    return factors
