"""The fit recovers what a made-up world was made of, and never learns from the body it is judged on."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from size_rec.body.body_model import ANSWERED, LATENT, BodyModel, estimate_body
from size_rec.body.model_file import load_body_model, model_text
from size_rec.calibration.figures import Answered, figures_of, rank_correlation
from size_rec.calibration.fit import (
    FOLDS,
    TAPE_MEASURES,
    OutlineTable,
    TapeTable,
    cross_validate,
    fit_body_model,
    light_covariance,
    split_by_body,
    spread_factors,
    tape_covariance,
    tape_covariance_of,
)
from size_rec.calibration.floor import FLOOR_COLUMNS, breadth_floor
from size_rec.calibration.stated_heights import StatedHeights, drawn_differences_cm, stated_heights_of
from size_rec.calibration.tables import ANSUR_COLUMNS, ANSUR_FILES, read_ansur, read_stated_heights
from size_rec.pose.pose import FloatArray

BODIES, PEOPLE, FEATURES = 243, 4_000, 14
NOISE = 0.02
LOOSE_ADDS = 0.05


def world(seed: int = 7, *, outlines_show_height: bool = True) -> tuple[TapeTable, OutlineTable]:
    """People whose measures share one factor (stoutness) and height; outlines that show them linearly, with noise.

    Without ``outlines_show_height`` they show the measures as shares of the height only, as photographs do.
    """
    rng = np.random.default_rng(seed)
    center = np.log([170.0, 70.0, 95.0, 85.0, 100.0, 38.0, 80.0])
    by_height = np.array([0.04, 0.09, 0.02, 0.02, 0.02, 0.03, 0.05])
    by_stoutness = np.array([0.0, 0.12, 0.08, 0.11, 0.07, 0.02, 0.0])

    def people(count: int) -> tuple[FloatArray, FloatArray]:
        female = rng.integers(0, 2, count).astype(np.float64)
        tall, stout = rng.normal(size=(2, count, 1))
        measures = center + tall * by_height + stout * by_stoutness + rng.normal(0, 0.02, (count, 7))
        return measures - 0.05 * female[:, None] * (by_height > 0.03), female

    tape, tape_female = people(PEOPLE)
    body, female = people(BODIES)
    waist = body[:, 3:4] - 0.04 + rng.normal(0, 0.01, (BODIES, 1))
    measures, loose = np.hstack([body, waist]), rng.integers(0, 2, BODIES).astype(np.float64)
    slopes = rng.normal(0, 1, (len(LATENT), FEATURES))
    shown = measures if outlines_show_height else measures - measures[:, :1]
    values = shown @ slopes + LOOSE_ADDS * loose[:, None] + rng.normal(0, NOISE, (BODIES, FEATURES))
    names = tuple(f"outline_{number}" for number in range(FEATURES))
    in_other_light = np.zeros((BODIES, 0, FEATURES))
    return TapeTable(tape, tape_female), OutlineTable(names, values, measures, female, loose, in_other_light)


@pytest.fixture(scope="module")
def made_up() -> tuple[TapeTable, OutlineTable]:
    return world()


@pytest.fixture(scope="module")
def fitted(made_up: tuple[TapeTable, OutlineTable]) -> BodyModel:
    people, bodies = made_up
    return fit_body_model(tape_covariance(people), bodies)


def features_of(bodies: OutlineTable, body: int) -> dict[str, float]:
    return dict(zip(bodies.features, bodies.values[body], strict=True))


def test_bodies_never_seen_are_measured_almost_as_well_as_the_noise_allows(
    made_up: tuple[TapeTable, OutlineTable],
) -> None:
    people, bodies = made_up
    validation = cross_validate(tape_covariance(people), bodies)
    prior_error = np.abs(np.exp(bodies.log_measures) - np.exp(bodies.log_measures).mean(axis=0)).mean(axis=0)
    for column, name in enumerate(ANSWERED):
        assert np.abs(validation.error[:, column]).mean() < 0.5 * prior_error[LATENT.index(name)]


def test_the_predicted_spread_matches_the_error_when_the_world_is_as_assumed(
    made_up: tuple[TapeTable, OutlineTable],
) -> None:
    people, bodies = made_up
    factors = spread_factors([cross_validate(tape_covariance(people), bodies)])
    assert ((factors > 0.65) & (factors < 1.25)).all()


def test_the_spread_is_as_wide_as_the_way_of_being_told_the_height_that_needs_most(
    made_up: tuple[TapeTable, OutlineTable],
) -> None:
    people, bodies = made_up
    measured = cross_validate(tape_covariance(people), bodies)
    worse = replace(measured, error=2 * measured.error)
    one, both = spread_factors([measured]), spread_factors([measured], [measured, worse])
    assert both == pytest.approx(one * np.sqrt(2.5))
    assert spread_factors([worse], [measured]) == pytest.approx(2 * one)


def test_loose_clothes_are_recognised(made_up: tuple[TapeTable, OutlineTable], fitted: BodyModel) -> None:
    _, bodies = made_up
    heights = np.exp(bodies.log_measures[:, 0])
    right = [
        (estimate_body(fitted, features_of(bodies, body), height_cm=heights[body]).loose > 0.5) == bodies.loose[body]
        for body in range(BODIES)
    ]
    assert np.mean(right) > 0.85


def test_a_stated_weight_narrows_the_girths(made_up: tuple[TapeTable, OutlineTable], fitted: BodyModel) -> None:
    _, bodies = made_up
    height, weight = np.exp(bodies.log_measures[0, :2])
    without = estimate_body(fitted, features_of(bodies, 0), height_cm=height)
    known = estimate_body(fitted, features_of(bodies, 0), height_cm=height, weight_kg=weight)
    assert (known.spread_cm[:3] < without.spread_cm[:3]).all()


@pytest.mark.parametrize("factor", [0.4, 2.2], ids=["a slip of the finger", "pounds"])
def test_a_stated_weight_that_the_picture_contradicts_does_not_count(
    made_up: tuple[TapeTable, OutlineTable], fitted: BodyModel, factor: float
) -> None:
    _, bodies = made_up
    height, weight = np.exp(bodies.log_measures[0, :2])
    without = estimate_body(fitted, features_of(bodies, 0), height_cm=height)
    mistyped = estimate_body(fitted, features_of(bodies, 0), height_cm=height, weight_kg=factor * weight)
    assert mistyped.mean_cm == pytest.approx(without.mean_cm, rel=0.01)
    assert mistyped.spread_cm == pytest.approx(without.spread_cm, rel=0.05)


def test_a_stated_height_that_no_body_has_widens_the_spread(
    made_up: tuple[TapeTable, OutlineTable], fitted: BodyModel
) -> None:
    _, bodies = made_up
    height = float(np.exp(bodies.log_measures[0, 0]))
    usual, tiny = (estimate_body(fitted, features_of(bodies, 0), height_cm=stated) for stated in (height, height / 1.7))
    assert (tiny.spread_cm / tiny.mean_cm > 1.3 * usual.spread_cm / usual.mean_cm).all()


BIAS, SPREAD = np.array([0.013, 0.007]), np.array([0.011, 0.012])


@pytest.fixture(scope="module")
def photographed() -> tuple[TapeTable, OutlineTable]:
    return world(outlines_show_height=False)


def test_heights_as_people_state_them_bias_no_measure(photographed: tuple[TapeTable, OutlineTable]) -> None:
    people, bodies = photographed
    sex = bodies.female.astype(int)
    noise = np.random.default_rng(5).normal(size=BODIES)
    stated_cm = np.exp(bodies.log_measures[:, 0] + BIAS[sex] + SPREAD[sex] * noise)
    as_stated, as_true = (
        cross_validate(tape_covariance(people), bodies, stated=each, stated_cm=stated_cm)
        for each in (StatedHeights(BIAS, SPREAD, ()), StatedHeights(0 * BIAS, 0 * SPREAD, ()))
    )
    girths = slice(0, 3)
    assert (np.abs(as_stated.error.mean(axis=0)) < 0.3)[girths].all()
    assert (as_true.error.mean(axis=0) > 0.5)[girths].all()


def test_a_height_that_was_measured_is_known_better_than_one_that_was_stated(
    photographed: tuple[TapeTable, OutlineTable],
) -> None:
    people, bodies = photographed
    fitted = fit_body_model(tape_covariance(people), bodies)
    model = replace(fitted, stated_height_bias=BIAS, stated_height_spread=SPREAD)
    true_cm = float(np.exp(bodies.log_measures[0, 0]))
    stated, measured, before = (
        estimate_body(each, features_of(bodies, 0), height_cm=true_cm, height_measured=is_measured)
        for each, is_measured in ((model, False), (model, True), (fitted, False))
    )
    assert measured.height_cm == pytest.approx(true_cm)
    assert measured.height_spread_cm == pytest.approx(0, abs=1e-6)
    assert stated.height_cm < true_cm
    assert (stated.spread_cm > measured.spread_cm).all()
    assert measured.mean_cm == pytest.approx(before.mean_cm)


def test_bias_and_spread_of_stated_heights_leave_slips_of_the_pen_out() -> None:
    true_cm = np.full(2_001, 170.0)
    stated_cm = true_cm + np.append(np.random.default_rng(1).normal(2, 1.5, 2_000), 60.0)
    stated = stated_heights_of(
        stated_cm=np.tile(stated_cm, 2), true_cm=np.tile(true_cm, 2), female=np.repeat([0.0, 1.0], 2_001)
    )
    assert 170 * stated.bias == pytest.approx([2, 2], abs=0.15)
    assert 170 * stated.spread == pytest.approx([1.5, 1.5], abs=0.1)
    assert stated.people_by_step[0]["60"] == 1
    assert sum(stated.people_by_step[1].values()) == 2_001


def test_differences_are_drawn_as_often_as_people_have_them() -> None:
    drawn = drawn_differences_cm({"-0.5": 1, "2": 3}, 4_000, np.random.default_rng(2))
    assert set(drawn) == {-0.5, 2.0}
    assert np.mean(drawn == 2.0) == pytest.approx(0.75, abs=0.03)


def test_a_feature_that_could_not_be_measured_widens_the_spread(
    made_up: tuple[TapeTable, OutlineTable], fitted: BodyModel
) -> None:
    _, bodies = made_up
    height = float(np.exp(bodies.log_measures[0, 0]))
    whole = features_of(bodies, 0)
    partial = whole | {name: float("nan") for name in bodies.features[:9]}
    wide, narrow = (estimate_body(fitted, values, height_cm=height).spread_cm for values in (partial, whole))
    assert (wide[:3] > narrow[:3]).all()


def test_a_figure_unlike_any_other_widens_the_spread(
    made_up: tuple[TapeTable, OutlineTable], fitted: BodyModel
) -> None:
    _, bodies = made_up
    height = float(np.exp(bodies.log_measures[0, 0]))
    ordinary = features_of(bodies, 0)
    odd = {name: value + (1 if number % 2 else -1) * 1.5 for number, (name, value) in enumerate(ordinary.items())}
    strange, usual = (estimate_body(fitted, values, height_cm=height) for values in (odd, ordinary))
    assert strange.surprise > 10 * usual.surprise
    assert (strange.spread_cm > usual.spread_cm).all()


def test_a_body_in_two_photographs_is_never_in_both_parts(made_up: tuple[TapeTable, OutlineTable]) -> None:
    _, bodies = made_up
    longer: dict[str, Any] = {
        name: np.concatenate([getattr(bodies, name), getattr(bodies, name)[:50]])
        for name in ("values", "log_measures", "female", "loose")
    }
    twice = replace(bodies, **longer)
    parts = split_by_body(twice)
    assert len(parts) == FOLDS
    assert sorted(np.concatenate(parts)) == list(range(BODIES + 50))
    for part in parts:
        assert all((photo + BODIES in part) == (photo in part) for photo in range(50))


def test_the_fit_does_not_depend_on_the_body_that_is_left_out(made_up: tuple[TapeTable, OutlineTable]) -> None:
    people, bodies = made_up
    lied = replace(bodies, log_measures=bodies.log_measures.copy())
    part = split_by_body(bodies)[0]
    lied.log_measures[part, 2] += 0.3 * np.arange(len(part))
    model = fit_body_model(tape_covariance(people), bodies.rows(np.setdiff1d(np.arange(BODIES), part)))
    same = fit_body_model(tape_covariance(people), lied.rows(np.setdiff1d(np.arange(BODIES), part)))
    assert (model.feature_slopes == same.feature_slopes).all()


def restless(bodies: OutlineTable, feature: int) -> OutlineTable:
    """The same, with one feature that a second light changes by ten times the noise."""
    second_light = bodies.values[:, None, :].repeat(2, axis=1)
    second_light[:, 0, feature] += 10 * NOISE
    second_light[:, 1] = np.nan
    return replace(bodies, in_other_light=second_light)


def test_a_feature_that_changes_with_the_light_moves_the_answer_less(made_up: tuple[TapeTable, OutlineTable]) -> None:
    people, bodies = made_up
    steady, warned = (fit_body_model(tape_covariance(people), each) for each in (bodies, restless(bodies, 3)))
    as_it_is = features_of(bodies, 0)
    lit = as_it_is | {bodies.features[3]: as_it_is[bodies.features[3]] + 2 * NOISE}

    def change(model: BodyModel) -> FloatArray:
        first, second = (estimate_body(model, each, height_cm=170).mean_cm for each in (as_it_is, lit))
        return np.abs(second - first)[:3]

    assert (change(warned) < 0.1 * change(steady)).all()


def test_what_was_refused_in_other_light_counts_for_nothing(made_up: tuple[TapeTable, OutlineTable]) -> None:
    _, bodies = made_up
    nothing_measured = replace(bodies, in_other_light=np.full((BODIES, 2, FEATURES), np.nan))
    assert (light_covariance(nothing_measured) == 0).all()
    assert light_covariance(restless(bodies, 3))[3, 3] == pytest.approx((10 * NOISE) ** 2)


def test_the_light_of_a_body_that_is_left_out_teaches_nothing(made_up: tuple[TapeTable, OutlineTable]) -> None:
    everybody = restless(made_up[1], 3)
    part, others = split_by_body(everybody)[0], np.arange(BODIES)
    lied = replace(everybody, in_other_light=everybody.in_other_light.copy())
    lied.in_other_light[part] += 1
    without = np.setdiff1d(others, part)
    assert (light_covariance(lied.rows(without)) == light_covariance(everybody.rows(without))).all()


def test_a_model_keeps_the_tape_covariance_it_was_fitted_with(
    made_up: tuple[TapeTable, OutlineTable], fitted: BodyModel
) -> None:
    assert tape_covariance_of(fitted) == pytest.approx(tape_covariance(made_up[0]))


def test_a_model_written_to_a_file_answers_the_same(
    made_up: tuple[TapeTable, OutlineTable], fitted: BodyModel, tmp_path: Path
) -> None:
    path = tmp_path / "model.json"
    path.write_text(model_text(fitted, {"date": "today"}), encoding="utf-8")
    read = load_body_model(path)
    assert json.loads(path.read_text())["about"] == {"date": "today"}
    before, after = (
        estimate_body(model, features_of(made_up[1], 3), height_cm=170).mean_cm for model in (fitted, read)
    )
    assert after == pytest.approx(before, abs=0.1)


def test_an_incomplete_file_is_refused_by_name(tmp_path: Path) -> None:
    path = tmp_path / "model.json"
    path.write_text('{"model": {"features": []}}', encoding="utf-8")
    with pytest.raises(ValueError, match="lacks 'body_mean'"):
        load_body_model(path)


def test_the_stored_model_says_where_it_comes_from_and_how_good_it_is() -> None:
    about = json.loads((Path("size_rec") / "calibration" / "body_model.json").read_text())["about"]
    assert "ANSUR II" in about["people"]
    assert "6068" in about["people"]
    assert {"date", "bodies", "method", "floor_cm", "cross_validation_with_weight"} <= set(about)
    error = about["cross_validation"]["error_cm"]
    limits = {"chest_cm": 3.3, "waist_cm": 4.2, "hip_cm": 2.7, "shoulder_cm": 0.85, "inseam_cm": 1.6}
    assert all(error["all"][name] <= limit for name, limit in limits.items())


def test_ansur_files_are_read_in_millimetres_and_tenths_of_a_kilogram(tmp_path: Path) -> None:
    row = dict.fromkeys(ANSUR_COLUMNS.values(), "1000") | {"weightkg": "855", "Heightin": "40"}
    for name in ANSUR_FILES:
        (tmp_path / name).write_text(f"{','.join(row)}\n{','.join(row.values())}\n", encoding="utf-8")
    table = read_ansur(tmp_path)
    assert read_stated_heights(tmp_path).people_by_step == ({"1.5": 1}, {"1.5": 1})
    assert np.exp(table.log_measures[0, TAPE_MEASURES.index("weight_kg")]) == pytest.approx(85.5)
    assert np.exp(table.log_measures[0, TAPE_MEASURES.index("chest_cm")]) == pytest.approx(100)
    assert table.female.tolist() == [0, 1]


def test_the_floor_is_nothing_when_breadths_determine_the_girths() -> None:
    rng = np.random.default_rng(3)
    columns = {name: rng.uniform(20, 40, 200) for name in FLOOR_COLUMNS} | {"female": np.arange(200.0) % 2}
    columns["chestcircumference"] = 2.5 * columns["chestbreadth"]
    floor = breadth_floor(columns)
    assert floor["chest_cm"] == 0
    assert floor["hip_cm"] > 1


def answered(error: float, *, size: int, confidence: float, loose: bool = False) -> Answered:
    truth = (96.0, 80.0, 95.0, 40.0, 80.0)
    return Answered([value + error for value in truth], truth, size, size, size + 1, confidence, loose)


def test_the_figures_count_what_they_say() -> None:
    figures = figures_of(
        [
            answered(+1, size=2, confidence=0.9),
            answered(-3, size=1, confidence=0.7),
            answered(+8, size=4, confidence=0.2, loose=True),
        ]
    )
    assert figures.error_cm["all"]["chest_cm"] == 4
    assert figures.error_cm["close_fitting"]["hip_cm"] == 2
    assert figures.bias_cm["waist_cm"] == 2
    assert figures.size_exact == pytest.approx(1 / 3)
    assert figures.size_within_one == pytest.approx(2 / 3)
    assert figures.range_holds == pytest.approx(2 / 3)
    assert figures.range_width == 2
    assert figures.confidence_rank_correlation == pytest.approx(-1)


def test_ranks_share_ties() -> None:
    assert rank_correlation(np.array([1.0, 1, 2, 3]), np.array([5.0, 5, 6, 7])) == pytest.approx(1)
