"""A stretched picture is told from a broad body by the head, and by everything else that hardly varies."""

from dataclasses import replace
from math import exp, log
from pathlib import Path

import numpy as np
import pytest

from size_rec.body.body_model import ANSWERED, BodyEstimate
from size_rec.body.fitted import load_fitted
from size_rec.body.stretch import MAX_SPREADS, StretchModel, StretchModels, is_stretched, log_stretch, widened
from size_rec.body.stretch_file import load_stretch_models, stretch_text
from size_rec.calibration.changed_photographs import stretched
from size_rec.calibration.stretch import StretchTable, cross_validated_errors, fit_stretch_model
from size_rec.outline.head_features import head_features
from size_rec.outline.silhouette import measure_extent
from size_rec.pose.pose import Pose
from size_rec.problems import REFUSALS
from size_rec.vocabulary import PictureRefused, Refusal
from tests.support.size_figures import draw_figure
from tests.support.size_photos import decoded, measure, photo, truth

BODIES = ["b0001.jpg", "b0040.jpg", "b0121.jpg"]
MODEL = StretchModel(("breadth", "height"), np.array([-1.0, 2.0]), np.array([0.8, -0.2]), 0.03)
ESTIMATE = BodyEstimate(
    mean_cm=np.array([100.0, 90.0, 100.0, 40.0, 80.0]),
    spread_cm=np.array([3.0, 3.0, 3.0, 1.0, 2.0]),
    loose=0.0,
    surprise=1.0,
    height_cm=175.0,
    height_spread_cm=1.0,
)


def made_up_table(bodies: int = 60) -> StretchTable:
    """Bodies of three features: a breadth that varies, a head that hardly does, and noise."""
    noise = np.random.default_rng(1)
    breadth, head = noise.normal(0, 0.15, bodies), noise.normal(0, 0.03, bodies)
    logarithms = np.repeat([log(factor) for factor in (0.85, 1.0, 1.15)], bodies)
    shape = np.column_stack([np.tile(breadth, 3), np.tile(head, 3)]) + logarithms[:, None]
    values = np.column_stack([shape, noise.normal(0, 1, 3 * bodies)])
    return StretchTable(("breadth", "head", "noise"), values, logarithms, np.tile(np.arange(bodies), 3))


def figure_of_width(factor: float) -> Pose:
    """The drawn figure on a picture that is ``factor`` (a whole number) times as wide."""
    pose, _ = draw_figure()
    landmarks = pose.landmarks.copy()
    landmarks[:, 0] *= factor
    return replace(pose, landmarks=landmarks, mask=np.repeat(pose.mask, int(factor), axis=1))


@pytest.mark.parametrize("name", BODIES)
@pytest.mark.parametrize("factor", [0.75, 0.85, 1.33])
def test_a_stretched_photograph_is_refused_and_asks_for_the_original(name: str, factor: float) -> None:
    with pytest.raises(PictureRefused) as refused:
        measure(stretched(decoded(name), factor), float(truth()[name]["height_cm"]))
    assert refused.value.reason is Refusal.STRETCHED
    assert "upload the original" in REFUSALS[Refusal.STRETCHED]


@pytest.mark.parametrize("name", BODIES)
def test_a_photograph_made_square_is_refused(name: str) -> None:
    picture = decoded(name)
    with pytest.raises(PictureRefused) as refused:
        measure(stretched(picture, picture.height / picture.width), float(truth()[name]["height_cm"]))
    assert refused.value.reason is Refusal.STRETCHED


@pytest.mark.parametrize("name", BODIES)
def test_below_the_limit_the_spread_grows(name: str) -> None:
    height_cm = float(truth()[name]["height_cm"])
    as_it_is = measure(photo(name), height_cm).estimate
    squeezed = measure(stretched(decoded(name), 0.96), height_cm).estimate
    assert squeezed.spread_cm[0] / squeezed.mean_cm[0] > as_it_is.spread_cm[0] / as_it_is.mean_cm[0]


def test_the_logarithm_is_a_weighted_sum_and_what_was_not_measured_counts_as_average() -> None:
    assert log_stretch(MODEL, {"breadth": -0.9, "height": 1.9}) == pytest.approx(0.1)
    assert log_stretch(MODEL, {"breadth": -0.9, "height": float("nan")}) == pytest.approx(0.08)
    assert log_stretch(MODEL, {"breadth": -1.0, "height": 2.0}) == 0


@pytest.mark.parametrize("sign", [-1, 1])
def test_the_limit_is_the_same_for_too_wide_and_too_narrow(sign: int) -> None:
    limit = MAX_SPREADS * MODEL.spread
    assert not is_stretched(MODEL, sign * (limit - 0.001))
    assert is_stretched(MODEL, sign * (limit + 0.001))


def test_the_limit_of_the_fitted_model_is_about_eight_per_cent() -> None:
    limit = MAX_SPREADS * load_fitted().stretch.seen.spread
    assert 1.07 < exp(limit) < 1.1


def test_the_spread_grows_with_the_stretch_of_the_picture_but_not_the_inseams() -> None:
    spreads = np.array([widened(ESTIMATE, MODEL, logarithm).spread_cm for logarithm in (0.0, 0.03, 0.06, -0.06)])
    inseam = ANSWERED.index("inseam_cm")
    assert spreads[0] == pytest.approx(ESTIMATE.spread_cm)
    assert (np.diff(spreads[:3, :inseam], axis=0) > 0).all()
    assert spreads[2] == pytest.approx(spreads[3])
    assert (spreads[:, inseam] == ESTIMATE.spread_cm[inseam]).all()


def test_the_fit_relies_on_what_varies_least() -> None:
    table = made_up_table()
    model = fit_stretch_model(table)
    breadth, head, noise = model.weights
    assert head > 3 * abs(breadth) > 0
    assert abs(noise) < 0.02
    assert model.spread < 0.06
    assert np.corrcoef(cross_validated_errors(table) + table.logarithms, table.logarithms)[0, 1] > 0.9


def test_the_fit_is_the_same_each_time() -> None:
    models = [StretchModels(*(2 * [fit_stretch_model(made_up_table())])) for _ in range(2)]
    assert stretch_text(models[0]) == stretch_text(models[1])


def test_what_is_written_is_read(tmp_path: Path) -> None:
    path = tmp_path / "model.json"
    path.write_text(stretch_text(StretchModels(MODEL, MODEL)))
    read = load_stretch_models(path).drawn
    assert read.features == MODEL.features
    assert read.spread == MODEL.spread
    assert (read.mean == MODEL.mean).all()
    assert (read.weights == MODEL.weights).all()


def test_half_a_file_is_named(tmp_path: Path) -> None:
    path = tmp_path / "model.json"
    path.write_text('{"seen": {"spread": 1.0, "features": {"one": [0, 1]}}}')
    with pytest.raises(ValueError, match=r"model\.json lacks 'drawn'"):
        load_stretch_models(path)


def test_a_wider_picture_adds_to_the_heads_breadths_and_not_to_its_heights() -> None:
    both = []
    for factor in (1, 2):
        pose = figure_of_width(factor)
        extent = measure_extent(pose)
        assert extent is not None
        both.append(head_features(pose, extent))
    change = {name: both[1][name] - both[0][name] for name in both[0]}
    assert change["head_eyes"] == pytest.approx(log(2))
    for name in ("head_forehead_height", "head_neck_height", "head_nose_above_mouth", "head_world_feet"):
        assert change[name] == pytest.approx(0, abs=1e-9), name
