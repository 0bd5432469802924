"""A shop's own chart in the request: what is taken, and what the caller is told of one that is no chart."""

import json
from typing import Any

import pytest

from models.size_chart import GIRTHS, MAX_GARMENT_CHARS, MAX_LABEL_CHARS, MAX_SIZES, ShopChart
from models.size_rec import MAX_URL_LENGTH, EstimateBodyRequest
from size_rec.answer import chart_of, rounded_shares
from size_rec.body.size_chart import DEFAULT_CHART, SIZES
from tests.unit.web.test_request_faults import JSON, URL, faults_of
from web.edges import MAX_BODY_BYTES
from web.request_faults import explain, known_fields

PLAIN_TEXT = "printable characters, with no space at either end and no non-breaking space"
TWO: list[dict[str, Any]] = [{"label": "36", "chest_max": 84.0}, {"label": "38", "chest_max": 92.0}]


def request_with(chart: object) -> dict[str, object]:
    return {"image_url": URL, "height_cm": 170, "size_chart": chart}


def told(chart: object) -> str:
    return explain(faults_of(request_with(chart)), JSON)


def cm(*sizes: object) -> dict[str, object]:
    return {"unit": "cm", "sizes": list(sizes)}


@pytest.mark.parametrize(
    "chart",
    [
        pytest.param(cm(*TWO), id="one girth"),
        pytest.param(cm(*TWO, {"label": "40"}), id="a last size without an upper end"),
        pytest.param(cm({"label": "one size", "hip_max": 120}), id="a single size"),
        pytest.param(cm({"label": "36", "chest_max": 84, "waist_max": 68.5, "hip_max": 92}), id="all girths"),
        pytest.param(
            {"unit": "in", "garment_type": "summer dress", "sizes": [{"label": "S", "waist_max": 28.5}]}, id="inches"
        ),
        pytest.param(
            cm(*({"label": f"{number}", "hip_max": 60 + number} for number in range(MAX_SIZES))), id="24 sizes"
        ),
    ],
)
def test_a_shops_chart_is_taken(chart: dict[str, object]) -> None:
    request = EstimateBodyRequest.model_validate(request_with(chart))
    assert request.size_chart is not None
    assert len(request.size_chart.sizes) == len(chart_of(request.size_chart).sizes)


@pytest.mark.parametrize(
    ("chart", "sentence"),
    [
        pytest.param([], "size_chart must be an object with unit and sizes, or be left out.", id="a list"),
        pytest.param({"sizes": TWO}, "size_chart: unit is missing.", id="no unit"),
        pytest.param(
            {"unit": "mm", "sizes": TWO}, 'size_chart: unit must be "cm" or "in" (inches).', id="another unit"
        ),
        pytest.param({"unit": "cm"}, "size_chart: sizes is missing.", id="no sizes"),
        pytest.param(cm(), "size_chart: sizes must be a list of 1 to 24 sizes, the smallest first.", id="empty"),
        pytest.param(
            cm(*({"label": f"{number}", "hip_max": 60 + number} for number in range(MAX_SIZES + 1))),
            "size_chart: sizes must be a list of 1 to 24 sizes, the smallest first.",
            id="25 sizes",
        ),
        pytest.param(
            cm(*reversed(TWO)),
            "size_chart: chest_max of size 2 must be above that of size 1, as the smallest size comes first.",
            id="unordered",
        ),
        pytest.param(
            cm(TWO[0], {"label": "38", "chest_max": 84}),
            "size_chart: chest_max of size 2 must be above that of size 1, as the smallest size comes first.",
            id="equal bounds",
        ),
        pytest.param(
            cm({"label": "XL", "chest_max": 84}, {"label": "xl", "chest_max": 92}),
            "size_chart: size 2 has the same label as size 1.",
            id="a label twice",
        ),
        pytest.param(
            cm({"label": "gr\u00fcn", "chest_max": 84}, {"label": "gru\u0308n", "chest_max": 92}),
            "size_chart: size 2 has the same label as size 1.",
            id="a label twice, its umlaut written in two ways",
        ),
        pytest.param(
            cm({"label": "36"}, {"label": "38"}),
            "size_chart: the sizes need at least one of chest_max, waist_max, hip_max.",
            id="no bounds",
        ),
        pytest.param(
            cm(TWO[0], {"label": "38", "waist_max": 80}, {"label": "40", "chest_max": 99}),
            "size_chart: chest_max is missing in size 2; only the last size may leave it out.",
            id="a gap",
        ),
        pytest.param(
            cm({"label": "36", "chest_max": 33}),
            "size_chart: chest_max of size 1 must be a number from 50 to 200 cm (19.7 to 78.7 in); the unit is cm.",
            id="inches declared as cm",
        ),
        pytest.param(
            {"unit": "in", "sizes": TWO},
            "size_chart: chest_max of size 1 must be a number from 50 to 200 cm (19.7 to 78.7 in); the unit is in.",
            id="cm declared as inches",
        ),
        pytest.param(
            cm({"label": "36", "chest_max": "84"}),
            "size_chart: chest_max of size 1 must be a number from 50 to 200 cm (19.7 to 78.7 in).",
            id="text for a number",
        ),
        pytest.param(
            cm({"label": "36", "chest_max": float("inf")}),
            "size_chart: chest_max of size 1 must be a number from 50 to 200 cm (19.7 to 78.7 in).",
            id="infinite",
        ),
        pytest.param(
            cm({"label": "x" * (MAX_LABEL_CHARS + 1), "chest_max": 84}),
            f"size_chart: label of size 1 must be 1 to 40 {PLAIN_TEXT}.",
            id="a label too long",
        ),
        pytest.param(
            cm({"label": "a\nb", "chest_max": 84}),
            f"size_chart: label of size 1 must be 1 to 40 {PLAIN_TEXT}.",
            id="a label of two lines",
        ),
        *(
            pytest.param(
                cm({"label": label, "chest_max": 84}),
                f"size_chart: label of size 1 must be 1 to 40 {PLAIN_TEXT}.",
                id=f"the label {label!r}",
            )
            for label in (" S", "S ", "EU\u00a036")
        ),
        pytest.param(cm({"chest_max": 84}), "size_chart: label of size 1 is missing.", id="no label"),
        pytest.param(
            cm(*TWO, "L"), "size_chart: size 3 must be an object with a label and upper bounds.", id="a bare label"
        ),
        pytest.param(
            cm({"label": "36", "chest_max": 84, "chest": 80}),
            "size_chart: there is no field chest of size 1.",
            id="an unknown field",
        ),
        pytest.param(
            cm(*TWO) | {"https://a?token=1": 1}, "size_chart: there is an unknown field.", id="an unspeakable field"
        ),
        pytest.param(
            cm(*TWO) | {"garment_type": "x" * 61},
            f"size_chart: garment_type must be 1 to 60 {PLAIN_TEXT}, or be left out.",
            id="a long garment type",
        ),
        pytest.param(
            cm(*TWO) | {"garment_type": "dress "},
            f"size_chart: garment_type must be 1 to 60 {PLAIN_TEXT}, or be left out.",
            id="a garment type with a space at its end",
        ),
    ],
)
def test_the_caller_is_told_what_is_wrong_with_a_chart(chart: object, sentence: str) -> None:
    assert told(chart) == sentence


def test_of_a_chart_that_is_none_no_value_is_repeated() -> None:
    sentence = told(cm({"label": "s3cret", "chest_max": 90}, {"label": "s3cret", "chest_max": 123.25}))
    assert "s3cret" not in sentence
    assert "123" not in sentence
    assert known_fields(faults_of(request_with(cm()))) == ["size_chart"]


@pytest.mark.parametrize("letter", ["x", "ü", "👗"])
@pytest.mark.parametrize("indent", [None, 1])
def test_the_largest_chart_with_the_longest_address_stays_within_the_requests_limit(
    letter: str, indent: int | None
) -> None:
    sizes = [
        {"label": f"{number:02}" + letter * (MAX_LABEL_CHARS - 2)}
        | {f"{girth}_max": 100.12345678901234 + number for girth in GIRTHS}
        for number in range(MAX_SIZES)
    ]
    chart = cm(*sizes) | {"garment_type": letter * MAX_GARMENT_CHARS}
    request = {"image_url": "x" * MAX_URL_LENGTH, "height_cm": 170.123456789, "size_chart": chart}
    assert EstimateBodyRequest.model_validate(request)
    assert len(json.dumps(request, indent=indent).encode()) <= MAX_BODY_BYTES


def test_a_chart_in_inches_means_the_same_in_cm() -> None:
    def chart(unit: str, factor: float) -> ShopChart:
        sizes = [{"label": size["label"], "chest_max": size["chest_max"] * factor} for size in TWO]
        return ShopChart.model_validate({"unit": unit, "sizes": sizes})

    inches, centimetres = chart_of(chart("in", 1 / 2.54)), chart_of(chart("cm", 1))
    assert inches.chest_limits_cm == pytest.approx(centimetres.chest_limits_cm)
    assert inches.sizes == centimetres.sizes


def test_without_a_chart_the_answer_is_in_the_built_in_one() -> None:
    assert chart_of(None) is DEFAULT_CHART
    assert chart_of(None).sizes == SIZES


def test_rounded_probabilities_still_add_up_to_one() -> None:
    thirds = rounded_shares([1 / 3, 1 / 3, 1 / 3])
    assert thirds == [0.334, 0.333, 0.333]
    assert rounded_shares([0.0004, 0.9996]) == [0.0, 1.0]


def test_the_openapi_page_says_what_a_chart_must_be() -> None:
    shapes = ShopChart.model_json_schema()
    size, chart = shapes["$defs"]["ChartSize"]["properties"], shapes["properties"]
    for girth in GIRTHS:
        told = size[f"{girth}_max"]["description"]
        assert "50 to 200 cm (19.7 to 78.7 in), above that of the size before; in every size or in none" in told
    assert f"1 to 40 {PLAIN_TEXT}. No two sizes have the same one; case does not count." in size["label"]["description"]
    assert f"1 to 60 {PLAIN_TEXT}." in chart["garment_type"]["description"]
    for rule in (
        "1 to 24 sizes, the smallest first.",
        "at least one girth, and the same girths in every size",
        "each bound is above the one before",
        "Only the last size may leave its bounds out",
    ):
        assert rule in chart["sizes"]["description"]
