"""From measures to size, range, confidence and body type: the tables at their edges."""

import numpy as np
import pytest

from size_rec.body.body_model import BodyEstimate
from size_rec.body.body_type import body_type_of
from size_rec.body.size_calculator import RANGE_PROBABILITY, advise, confidence_of, narrowest_range, size_probabilities
from size_rec.body.size_chart import DEFAULT_CHART, SIZES, SizeChart
from size_rec.vocabulary import BodyType, Note


def size_for(chart: SizeChart, *, chest_cm: float, waist_cm: float, hip_cm: float) -> str:
    return chart.sizes[chart.index_for(chest_cm=chest_cm, waist_cm=waist_cm, hip_cm=hip_cm)]


@pytest.mark.parametrize(
    ("chest", "size"),
    [
        (60, "XS"),
        (84, "XS"),
        (84.1, "S"),
        (92, "S"),
        (92.1, "M"),
        (100, "M"),
        (100.1, "L"),
        (108, "L"),
        (108.1, "XL"),
        (116, "XL"),
        (116.1, "XXL"),
        (170, "XXL"),
    ],
)
def test_the_chest_decides_the_size(chest: float, size: str) -> None:
    assert size_for(DEFAULT_CHART, chest_cm=chest, waist_cm=60, hip_cm=60) == size


@pytest.mark.parametrize(
    ("chest", "waist", "hip", "size"),
    [
        pytest.param(90, 94, 100, "S", id="a waist at its limit"),
        pytest.param(90, 94.1, 100, "M", id="a waist beyond it"),
        pytest.param(90, 80, 110, "S", id="hips at their limit"),
        pytest.param(90, 80, 110.1, "M", id="hips beyond it"),
        pytest.param(110, 70, 80, "XL", id="a small waist moves nothing down"),
    ],
)
def test_waist_and_hips_can_only_move_the_size_up(chest: float, waist: float, hip: float, size: str) -> None:
    assert size_for(DEFAULT_CHART, chest_cm=chest, waist_cm=waist, hip_cm=hip) == size


def test_a_stores_own_chart_is_only_another_value() -> None:
    chart = SizeChart(("one", "two"), (100,), (90,), (110,))
    assert size_for(chart, chest_cm=99, waist_cm=91, hip_cm=100) == "two"


@pytest.mark.parametrize(
    ("chest", "waist", "kind"),
    [
        pytest.param(90, 0.43 * 180 - 0.1, BodyType.SLIM, id="just below 43 % of the height"),
        pytest.param(90, 0.43 * 180 + 0.1, BodyType.AVERAGE, id="just above it"),
        pytest.param(1.2 * 80, 80, BodyType.ATHLETIC, id="chest 20 % larger than the waist"),
        pytest.param(1.19 * 80, 80, BodyType.AVERAGE, id="chest 19 % larger"),
        pytest.param(130, 0.55 * 180, BodyType.BROAD, id="broad wins over athletic"),
        pytest.param(110, 0.55 * 180 - 0.1, BodyType.AVERAGE, id="just below 55 %"),
    ],
)
def test_the_body_type_follows_two_ratios(chest: float, waist: float, kind: BodyType) -> None:
    assert body_type_of(chest_cm=chest, waist_cm=waist, height_cm=180) is kind


def estimate(chest: float, spread: float) -> BodyEstimate:
    return BodyEstimate(np.array([chest, 80, 95, 40, 80.0]), np.array([spread, 1, 1, 1, 1.0]), 0.2, 1.0, 175.0, 2.0)


def test_a_sure_measure_in_the_middle_of_a_size_gives_this_size_alone() -> None:
    advice = advise(estimate(96, 1.0))
    assert (advice.size, advice.smallest, advice.largest) == ("M", "M", "M")


def test_a_measure_on_the_border_gives_both_neighbours() -> None:
    advice = advise(estimate(100, 2.0))
    assert (advice.size, advice.smallest, advice.largest) == ("M", "M", "L")


@pytest.mark.parametrize("chest", [80, 84, 90, 99.9, 104, 116.1, 130])
@pytest.mark.parametrize("spread", [0.5, 3.0, 8.0, 15.0])
def test_the_range_holds_the_recommended_size_and_the_promised_probability(chest: float, spread: float) -> None:
    advice = advise(estimate(chest, spread))
    low, best, high = (SIZES.index(size) for size in (advice.smallest, advice.size, advice.largest))
    assert low <= best <= high
    measures = {"chest_cm": chest, "waist_cm": 80.0, "hip_cm": 95.0}
    spreads = {"chest_cm": spread, "waist_cm": 1.0, "hip_cm": 1.0}
    assert sum(size_probabilities(measures, spreads, DEFAULT_CHART)[low : high + 1]) >= RANGE_PROBABILITY


def test_of_equally_narrow_ranges_the_more_probable_is_taken() -> None:
    assert narrowest_range([0.0, 0.12, 0.7, 0.18, 0.0, 0.0], 2) == (2, 3)


@pytest.mark.parametrize(
    ("height_cm", "notes"),
    [
        (100, (Note.ADULTS_ONLY,)),
        (140, (Note.ADULTS_ONLY,)),
        (150, ()),
        (200, ()),
        (210, (Note.BEYOND_KNOWN_HEIGHTS,)),
        (250, (Note.BEYOND_KNOWN_HEIGHTS,)),
    ],
)
@pytest.mark.parametrize("height_spread_cm", [0.0, 1.8])
def test_of_heights_that_nobody_was_measured_with_little_is_promised(
    height_cm: float, height_spread_cm: float, notes: tuple[Note, ...]
) -> None:
    ordinary = advise(estimate(96, 3.0))
    advice = advise(estimate(96, 3.0)._replace(height_cm=height_cm, height_spread_cm=height_spread_cm))
    assert advice.notes == notes
    assert advice.confidence == pytest.approx(0 if notes else ordinary.confidence, abs=0.03)


@pytest.mark.parametrize(("loose", "notes"), [(0.49, ()), (0.51, (Note.LOOSE_CLOTHES,))])
def test_clothes_more_likely_loose_than_not_are_noted(loose: float, notes: tuple[Note, ...]) -> None:
    assert advise(estimate(96, 3.0)._replace(loose=loose)).notes == notes


def test_a_picture_without_colours_is_noted() -> None:
    assert advise(estimate(96, 3.0), grey=True).notes == (Note.GREY_PICTURE,)


def test_confidence_falls_as_the_spread_grows_and_stays_a_probability() -> None:
    values = [confidence_of(spread) for spread in (0.1, 1, 2, 4, 8, 16, 100)]
    assert values == sorted(values, reverse=True)
    assert all(0 < value <= 1 for value in values)


def test_confidence_is_the_probability_of_being_within_half_a_size() -> None:
    assert confidence_of(4.0) == pytest.approx(0.6827, abs=1e-4)
