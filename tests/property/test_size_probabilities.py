"""Sizes and their probabilities follow the chart, whatever the chart is."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from models.size_chart import CM_PER_UNIT, GIRTHS, MAX_BOUND_CM, MAX_SIZES, MIN_BOUND_CM, ShopChart
from size_rec.answer import chart_of, response_of
from size_rec.body.body_model import BodyEstimate
from size_rec.body.size_calculator import RANGE_PROBABILITY, advise
from size_rec.body.size_chart import DEFAULT_CHART, SizeChart

HEIGHT_CM = 172.0
girths_cm = st.tuples(*(st.floats(55, 180) for _ in GIRTHS))
spreads_cm = st.tuples(*(st.floats(0.3, 9) for _ in GIRTHS))


@st.composite
def shop_charts(draw: st.DrawFn) -> ShopChart:
    """Any chart that a request may have, in cm."""
    count = draw(st.integers(1, MAX_SIZES))
    bounded = draw(st.sets(st.sampled_from(GIRTHS), min_size=1))
    open_ended = count > 1 and draw(st.booleans())
    sizes: list[dict[str, object]] = [{"label": f"{number}"} for number in range(count)]
    for girth in bounded:
        tenths = st.integers(int(MIN_BOUND_CM * 10) + 1, int(MAX_BOUND_CM * 10) - 1)
        bounds = sorted(draw(st.sets(tenths, min_size=count, max_size=count)))
        for size, bound in zip(sizes[: count - open_ended], bounds, strict=False):
            size[f"{girth}_max"] = bound / 10
    return ShopChart.model_validate({"unit": "cm", "sizes": sizes})


def estimate(girths: tuple[float, ...], spreads: tuple[float, ...]) -> BodyEstimate:
    return BodyEstimate(np.array([*girths, 40, 80]), np.array([*spreads, 1, 1]), 0.2, 1.0, HEIGHT_CM, 2.0)


@given(chart=shop_charts(), girths=girths_cm, spreads=spreads_cm)
def test_the_probabilities_are_of_the_charts_sizes_in_order_and_add_up_to_one(
    chart: ShopChart, girths: tuple[float, ...], spreads: tuple[float, ...]
) -> None:
    answer = response_of(advise(estimate(girths, spreads), chart=chart_of(chart)))
    labels = [size.label for size in chart.sizes]
    assert [each.size for each in answer.size_probabilities] == labels
    assert sum(each.probability for each in answer.size_probabilities) == pytest.approx(1, abs=1e-9)
    assert labels.index(answer.size_range.lower) <= labels.index(answer.recommended_size)
    assert labels.index(answer.recommended_size) <= labels.index(answer.size_range.upper)


@given(chart=shop_charts(), girths=girths_cm, spreads=spreads_cm)
def test_the_range_has_the_promised_probability(
    chart: ShopChart, girths: tuple[float, ...], spreads: tuple[float, ...]
) -> None:
    advice = advise(estimate(girths, spreads), chart=chart_of(chart))
    labels = list(advice.size_probabilities)
    chosen = labels[labels.index(advice.smallest) : labels.index(advice.largest) + 1]
    assert sum(advice.size_probabilities[label] for label in chosen) >= RANGE_PROBABILITY


@given(chart=shop_charts(), girths=girths_cm, spreads=spreads_cm, larger=st.sampled_from(GIRTHS), by=st.floats(0, 40))
def test_a_larger_body_never_gets_a_smaller_size(
    chart: ShopChart, girths: tuple[float, ...], spreads: tuple[float, ...], larger: str, by: float
) -> None:
    grown = tuple(girth + by * (name == larger) for name, girth in zip(GIRTHS, girths, strict=True))
    before, after = (advise(estimate(each, spreads), chart=chart_of(chart)) for each in (girths, grown))
    labels = list(before.size_probabilities)
    assert labels.index(after.size) >= labels.index(before.size)
    up_to_before, up_to_after = (np.cumsum(list(each.size_probabilities.values())) for each in (before, after))
    assert (up_to_after <= up_to_before + 1e-9).all()


@given(chart=shop_charts(), girths=girths_cm, spreads=spreads_cm)
def test_a_chart_in_inches_gives_the_answer_of_the_same_chart_in_cm(
    chart: ShopChart, girths: tuple[float, ...], spreads: tuple[float, ...]
) -> None:
    inches = ShopChart.model_validate(
        {
            "unit": "in",
            "sizes": [
                {
                    name: value if name == "label" else value / CM_PER_UNIT["in"]
                    for name, value in size.model_dump(exclude_none=True).items()
                }
                for size in chart.sizes
            ],
        }
    )
    body = estimate(girths, spreads)
    one, other = (advise(body, chart=chart_of(each)) for each in (chart, inches))
    assert list(one.size_probabilities.values()) == pytest.approx(list(other.size_probabilities.values()), abs=1e-9)


@given(girths=girths_cm, spreads=spreads_cm)
def test_a_chart_equal_to_the_built_in_one_gives_its_answer(
    girths: tuple[float, ...], spreads: tuple[float, ...]
) -> None:
    limits = (DEFAULT_CHART.chest_limits_cm, DEFAULT_CHART.waist_limits_cm, DEFAULT_CHART.hip_limits_cm)
    sizes: list[dict[str, object]] = [
        {"label": label, **{f"{girth}_max": bound for girth, bound in zip(GIRTHS, bounds, strict=True)}}
        for label, *bounds in zip(DEFAULT_CHART.sizes, *limits, strict=False)
    ]
    chart = ShopChart.model_validate({"unit": "cm", "sizes": [*sizes, {"label": DEFAULT_CHART.sizes[-1]}]})
    body = estimate(girths, spreads)
    assert advise(body, chart=chart_of(chart)) == advise(body)


def test_a_body_above_the_last_bound_is_told_so() -> None:
    chart = SizeChart(("S", "M"), (84.0, 92.0))
    above, within = (advise(estimate((chest, 70, 90), (2, 2, 2)), chart=chart) for chest in (93, 91))
    assert (above.size, above.notes) == ("M", ("above_chart",))
    assert (within.size, within.notes) == ("M", ())
