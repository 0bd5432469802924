"""[pure] What is said of a body: the advice as the answer of ``POST /estimate-body``, and the chart it is to be in."""

from collections.abc import Sequence
from math import floor

from models.size_chart import ShopChart
from models.size_rec import EstimateBodyResponse, Measurements, SizeProbability, SizeRange
from size_rec.body.size_chart import DEFAULT_CHART, SizeChart
from size_rec.vocabulary import SizeAdvice

PROBABILITY_STEPS = 1000
"""Probabilities are told in thousandths."""


def chart_of(asked: ShopChart | None) -> SizeChart:
    """The chart to answer in: the shop's, or without one the built-in."""
    if asked is None:
        return DEFAULT_CHART
    return SizeChart(
        sizes=tuple(size.label for size in asked.sizes),
        chest_limits_cm=asked.bounds_cm("chest"),
        waist_limits_cm=asked.bounds_cm("waist"),
        hip_limits_cm=asked.bounds_cm("hip"),
    )


def response_of(advice: SizeAdvice) -> EstimateBodyResponse:
    """The answer's JSON shape: measures to the millimetre, confidence to two digits, probabilities to three."""
    shares = rounded_shares(list(advice.size_probabilities.values()))
    return EstimateBodyResponse.model_validate(
        {
            "recommended_size": advice.size,
            "measurements": Measurements(**{name: round(value, 1) for name, value in advice.measurements_cm.items()}),
            "confidence": round(advice.confidence, 2),
            "body_type": advice.body_type.value,
            "size_range": SizeRange(lower=advice.smallest, upper=advice.largest),
            "size_probabilities": [
                SizeProbability(size=size, probability=share)
                for size, share in zip(advice.size_probabilities, shares, strict=True)
            ],
            "notes": [note.value for note in advice.notes],
        }
    )


def rounded_shares(shares: Sequence[float]) -> list[float]:
    """Shares of 1 in whole steps that still add up to 1: those that lose most by cutting get what is left."""
    steps = [floor(share * PROBABILITY_STEPS) for share in shares]
    lost = [share * PROBABILITY_STEPS - whole for share, whole in zip(shares, steps, strict=True)]
    by_loss = sorted(range(len(shares)), key=lambda number: (-lost[number], number))
    for number in by_loss[: PROBABILITY_STEPS - sum(steps)]:
        steps[number] += 1
    return [whole / PROBABILITY_STEPS for whole in steps]
