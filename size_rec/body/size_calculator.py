"""[pure] From measures with their spread to what a shop shows: size, range of sizes, confidence, body type."""

from itertools import pairwise
from statistics import NormalDist

import numpy as np

from size_rec.body.body_model import ANSWERED, BodyEstimate
from size_rec.body.body_type import body_type_of
from size_rec.body.known_heights import height_note, share_of_known_heights
from size_rec.body.size_chart import DEFAULT_CHART, SizeChart
from size_rec.vocabulary import Note, SizeAdvice

RANGE_PROBABILITY = 0.8
"""The range of sizes is the narrowest that contains the true one with this probability, by the predicted spread. A
range has whole sizes only, so it contains the true one more often: 95 % in cross-validation
(docs/size-recommendation.md)."""

HALF_SIZE_CM = 4.0
"""Two sizes are 8 cm of chest apart. An error of half of that moves a person from the middle of a size to its edge."""

LOOSE_LIKELY = 0.5
"""Clothes more likely loose than not are called so: of loose ones three in four, of close-fitting ones one in fifty."""

GIRTHS = ("chest_cm", "waist_cm", "hip_cm")
_STANDARD_NORMAL = NormalDist()


def advise(estimate: BodyEstimate, chart: SizeChart = DEFAULT_CHART, *, grey: bool = False) -> SizeAdvice:
    """Size, range, confidence and body type for one estimate; ``grey`` says that the picture had no colours."""
    known = share_of_known_heights(estimate.height_cm, estimate.height_spread_cm)
    measures = dict(zip(ANSWERED, (float(value) for value in estimate.mean_cm), strict=True))
    spread = dict(zip(ANSWERED, (float(value) for value in estimate.spread_cm), strict=True))
    girths = {girth: measures[girth] for girth in GIRTHS}
    best = chart.index_for(**girths)
    probabilities = size_probabilities(measures, spread, chart)
    lower, upper = narrowest_range(probabilities, best)
    return SizeAdvice(
        size=chart.sizes[best],
        smallest=chart.sizes[lower],
        largest=chart.sizes[upper],
        confidence=known * confidence_of(float(np.mean([spread[girth] for girth in GIRTHS]))),
        body_type=body_type_of(
            chest_cm=measures["chest_cm"], waist_cm=measures["waist_cm"], height_cm=estimate.height_cm
        ),
        measurements_cm=measures,
        size_probabilities=dict(zip(chart.sizes, probabilities, strict=True)),
        notes=notes_on(estimate, above_chart=chart.is_exceeded_by(**girths), grey=grey),
    )


def notes_on(estimate: BodyEstimate, *, above_chart: bool, grey: bool) -> tuple[Note, ...]:
    """What a person should know beyond the numbers."""
    notes = {
        Note.ABOVE_CHART: above_chart,
        Note.LOOSE_CLOTHES: estimate.loose > LOOSE_LIKELY,
        Note.GREY_PICTURE: grey,
    }
    of_height = height_note(estimate)
    first = () if of_height is None else (of_height,)
    return (*first, *(note for note, applies in notes.items() if applies))


def confidence_of(girth_spread_cm: float) -> float:
    """The probability that a girth is wrong by less than half a size: 0 to 1, the lower the larger the spread."""
    return 2 * NormalDist().cdf(HALF_SIZE_CM / girth_spread_cm) - 1


def size_probabilities(measures: dict[str, float], spread: dict[str, float], chart: SizeChart) -> list[float]:
    """The probability of every size, in the order of the chart; they add up to 1. The last size has whatever exceeds
    the others.

    The errors of the three girths are taken to be fully correlated: a wrong scale, or thick clothes, changes all of
    them together. (With the correlations that are fitted, 0.26 to 0.47, the Brier scores of three charts are 0.002 to
    0.02 worse.)
    """
    means = [measures[girth] for girth in GIRTHS]
    spreads = [spread[girth] for girth in GIRTHS]
    up_to = [
        min(
            (
                _STANDARD_NORMAL.cdf((limit - mean) / deviation)
                for limit, mean, deviation in zip(chart.limits_of(index), means, spreads, strict=True)
                if limit is not None
            ),
            default=1.0,
        )
        for index in range(len(chart.sizes) - 1)
    ]
    return [larger - smaller for smaller, larger in pairwise([0.0, *up_to, 1.0])]


def narrowest_range(probabilities: list[float], best: int) -> tuple[int, int]:
    """First and last index of the shortest run of sizes that includes ``best`` and has :data:`RANGE_PROBABILITY`.

    Of several equally short runs the most probable one is taken.
    """
    sizes = range(len(probabilities))
    ranges = [
        (last - first, -sum(probabilities[first : last + 1]), first, last)
        for first in sizes
        for last in sizes
        if first <= best <= last and sum(probabilities[first : last + 1]) >= RANGE_PROBABILITY
    ]
    _, _, first, last = min(ranges)
    return first, last
