"""[pure] The figures that say how good the answers are: errors, sizes, ranges, confidence.

Defined as in the benchmark: error = estimate - truth; the true size follows from the true chest girth alone.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from size_rec.body.body_model import ANSWERED, BodyEstimate
from size_rec.body.size_calculator import advise
from size_rec.body.size_chart import CHEST_LIMITS_CM, SIZES
from size_rec.calibration.fit import CrossValidation
from size_rec.pose.pose import FloatArray

GIRTH_COUNT = 3
"""Chest, waist and hip are the first of ``ANSWERED``; confidence is judged by their mean error."""


@dataclass(frozen=True)
class Answered:
    """One answered photograph: estimates and truths in cm in the order of ``ANSWERED``, sizes as indices."""

    estimate_cm: Sequence[float]
    truth_cm: Sequence[float]
    size: int
    lower: int
    upper: int
    confidence: float
    loose: bool


@dataclass(frozen=True)
class Figures:
    """All figures of a set of answers; shares are 0..1, errors in cm."""

    error_cm: dict[str, dict[str, float]]
    bias_cm: dict[str, float]
    size_exact: float
    size_within_one: float
    range_holds: float
    range_width: float
    confidence_rank_correlation: float


def figures_of(answers: Sequence[Answered]) -> Figures:
    """The figures of a set of answers."""
    errors = np.array([np.subtract(answer.estimate_cm, answer.truth_cm) for answer in answers])
    loose = np.array([answer.loose for answer in answers])
    true_sizes = np.array([true_size(answer.truth_cm[0]) for answer in answers])
    sizes, lower, upper = (
        np.array([getattr(answer, name) for answer in answers]) for name in ("size", "lower", "upper")
    )
    confidence = np.array([answer.confidence for answer in answers])
    groups = {"all": loose | ~loose, "close_fitting": ~loose, "loose": loose}
    return Figures(
        error_cm={
            group: _by_measure(np.abs(errors[rows]).mean(axis=0)) for group, rows in groups.items() if rows.any()
        },
        bias_cm=_by_measure(errors.mean(axis=0)),
        size_exact=float(np.mean(sizes == true_sizes)),
        size_within_one=float(np.mean(np.abs(sizes - true_sizes) <= 1)),
        range_holds=float(np.mean((lower <= true_sizes) & (true_sizes <= upper))),
        range_width=float(np.mean(upper - lower + 1)),
        confidence_rank_correlation=rank_correlation(confidence, np.abs(errors[:, :GIRTH_COUNT]).mean(axis=1)),
    )


def answers_of(validation: CrossValidation, spread_factors: FloatArray) -> list[Answered]:
    """What the service would have answered in cross-validation."""
    answers = []
    for body in range(len(validation.loose)):
        estimate = BodyEstimate(
            mean_cm=validation.predicted[body],
            spread_cm=validation.spread[body] * spread_factors,
            loose=float(validation.loose[body]),
            surprise=float(validation.surprise[body]),
            height_cm=float(validation.height_cm[body]),
            height_spread_cm=0.0,
        )
        advice = advise(estimate)
        answers.append(
            Answered(
                estimate_cm=tuple(validation.predicted[body]),
                truth_cm=tuple(validation.predicted[body] - validation.error[body]),
                size=SIZES.index(advice.size),
                lower=SIZES.index(advice.smallest),
                upper=SIZES.index(advice.largest),
                confidence=advice.confidence,
                loose=bool(validation.loose[body]),
            )
        )
    return answers


def true_size(chest_cm: float) -> int:
    """The size the true chest girth asks for, as an index."""
    return sum(round(chest_cm, 1) > limit for limit in CHEST_LIMITS_CM)


def rank_correlation(one: FloatArray, other: FloatArray) -> float:
    """Spearman's rank correlation, ties sharing their mean rank."""
    return float(np.corrcoef(_ranks(one), _ranks(other))[0, 1])


def _ranks(values: FloatArray) -> FloatArray:
    _, place, counts = np.unique(values, return_inverse=True, return_counts=True)
    middle: FloatArray = (np.cumsum(counts) - (counts - 1) / 2)[place.ravel()]
    return middle


def _by_measure(values: FloatArray) -> dict[str, float]:
    return {name: round(float(value), 2) for name, value in zip(ANSWERED, values, strict=True)}
