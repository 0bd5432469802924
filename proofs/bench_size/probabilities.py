"""Whether ``size_probabilities`` are what they say, by cross-validation: Brier score, and reliability in five bins."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from proofs.bench_size.stated_heights import Validations
from size_rec.body.body_model import ANSWERED
from size_rec.body.size_calculator import size_probabilities
from size_rec.body.size_chart import CHEST_LIMITS_CM, DEFAULT_CHART, SIZES, SizeChart
from size_rec.calibration.fit import CrossValidation
from size_rec.pose.pose import FloatArray

BINS = 5

GIRTH_COUNT = 3
"""Chest, waist and hip are the first of ``ANSWERED``."""

DRESS_CHART = SizeChart(SIZES, CHEST_LIMITS_CM, (68.0, 76.0, 84.0, 92.0, 100.0), (90.0, 97.0, 104.0, 111.0, 118.0))
"""As a shop's chart for dresses is: waist and hips decide as often as the chest."""


@dataclass(frozen=True)
class Told:
    """What was told of many bodies: ``probabilities`` (bodies, sizes), and ``true`` (bodies): the right size's index by
    the chart, all girths considered."""

    probabilities: FloatArray
    true: Sequence[int]

    @property
    def happened(self) -> FloatArray:
        """1 for the right size of each body, else 0."""
        one_hot: FloatArray = np.eye(self.probabilities.shape[1])[list(self.true)]
        return one_hot

    @property
    def brier_score(self) -> float:
        """Mean squared distance from what is right; 0 is perfect, 2 is the worst."""
        return float(((self.probabilities - self.happened) ** 2).sum(axis=1).mean())

    @property
    def brier_score_of_shares(self) -> float:
        """Of somebody who tells everybody how common each size is."""
        return float(1 - (self.happened.mean(axis=0) ** 2).sum())

    def reliability(self) -> list[tuple[float, float, int]]:
        """For each bin of probabilities: their mean, how often they came true, and how many there are."""
        bins = np.minimum((self.probabilities * BINS).astype(int), BINS - 1)
        return [
            (float(self.probabilities[chosen].mean()), float(self.happened[chosen].mean()), int(chosen.sum()))
            for chosen in (bins == number for number in range(BINS))
            if chosen.any()
        ]


def told_of(validations: Sequence[CrossValidation], factors: FloatArray, chart: SizeChart) -> Told:
    """What would have been told of bodies that the model had not seen."""
    probabilities, true = [], []
    for each in validations:
        for predicted, spread, error in zip(each.predicted, each.spread * factors, each.error, strict=True):
            measures, spreads = (dict(zip(ANSWERED, map(float, values), strict=True)) for values in (predicted, spread))
            probabilities.append(size_probabilities(measures, spreads, chart))
            chest, waist, hip = (round(float(value), 1) for value in (predicted - error)[:GIRTH_COUNT])
            true.append(chart.index_for(chest_cm=chest, waist_cm=waist, hip_cm=hip))
    return Told(np.array(probabilities), true)


def print_probabilities(builds: Mapping[str, Validations]) -> None:
    """Print the calibration of each build's probabilities, by its name, with measured and with stated heights."""
    print("\nProbabilities of the sizes (cross-validated): Brier score beside that of the sizes' shares;")
    print(f"in {BINS} bins: told -> came true (how many)")
    for name, build in builds.items():
        for label, validations, chart in (
            (f"measured{name}", [build.measured], DEFAULT_CHART),
            (f"stated{name}", build.stated, DEFAULT_CHART),
            (f"stated, dress chart{name}", build.stated, DRESS_CHART),
        ):
            told = told_of(validations, build.factors, chart)
            bins = "  ".join(f"{mean:.2f} -> {share:.2f} ({count})" for mean, share, count in told.reliability())
            print(f"{label:28}{told.brier_score:6.3f} ({told.brier_score_of_shares:.3f})  {bins}")
