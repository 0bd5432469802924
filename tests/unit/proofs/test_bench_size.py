"""How the benchmark judges the probabilities of sizes and the heights that people state."""

from dataclasses import replace

import numpy as np
import pytest

from proofs.bench_size.paired import body_errors_cm, paired_difference_cm
from proofs.bench_size.probabilities import Told, told_of
from proofs.bench_size.stated_heights import height_row, stored_distribution
from size_rec.body.size_chart import DEFAULT_CHART
from size_rec.calibration.fit import CrossValidation, OutlineTable
from size_rec.calibration.stated_draws import DRAWS, draws_cm

BODIES = 4_000


def normal_errors(spread_cm: float, *, told_cm: float) -> CrossValidation:
    """Bodies measured with normal errors, all measures alike, whose spread is told right or wrong."""
    rng = np.random.default_rng(4)
    truth = rng.uniform(80, 120, (BODIES, 1)) + np.array([0, -18, 0, -50, -10])
    error = rng.normal(0, spread_cm, (BODIES, 1)) * np.ones(5)
    nothing = np.zeros(BODIES)
    spread = told_cm * rng.uniform(0.95, 1.05, (BODIES, 1)) * np.ones(5)
    return CrossValidation(truth + error, spread, error, 170 + nothing, nothing, nothing)


def test_certainty_that_is_right_scores_0_and_one_that_is_wrong_2() -> None:
    assert Told(np.array([[0.0, 1.0]]), [1]).brier_score == 0
    assert Told(np.array([[0.0, 1.0]]), [0]).brier_score == 2


def test_who_tells_how_common_the_sizes_are_scores_by_their_variety() -> None:
    assert Told(np.full((4, 2), 0.5), [0, 0, 1, 1]).brier_score_of_shares == pytest.approx(0.5)


def test_probabilities_told_from_the_right_spread_come_true() -> None:
    told = told_of([normal_errors(3, told_cm=3)], np.ones(5), DEFAULT_CHART)
    for mean, share, _ in told.reliability():
        assert share == pytest.approx(mean, abs=0.04)


def test_too_small_a_spread_is_seen_in_the_bins_and_in_the_score() -> None:
    right, bold = (told_of([normal_errors(6, told_cm=each)], np.ones(5), DEFAULT_CHART) for each in (6.0, 1.0))
    mean, share, _ = bold.reliability()[-1]
    assert share < mean - 0.2
    assert bold.brier_score > right.brier_score + 0.1


def test_the_cover_is_the_share_of_errors_within_the_predicted_nine_in_ten() -> None:
    row = height_row("", [normal_errors(3, told_cm=3)], np.ones(5))
    assert row.covered == pytest.approx((0.9, 0.9, 0.9), abs=0.02)


def test_stated_heights_are_the_same_in_every_run_and_too_tall_on_average() -> None:
    log_measures = np.log(np.full((400, 8), 170.0))
    female = np.repeat([0.0, 1.0], 200)
    bodies = OutlineTable((), np.zeros((400, 0)), log_measures, female, np.zeros(400), np.zeros((400, 0, 0)))
    one, other = (draws_cm(bodies, stored_distribution()) for _ in range(2))
    assert np.array_equal(one, other)
    men, women = (np.mean([each[female == sex] for each in one]) - 170 for sex in (0, 1))
    assert len(one) == DRAWS
    assert 1.8 < men < 2.8
    assert 0.7 < women < 1.8


def test_what_all_bodies_have_in_common_is_no_doubt_about_the_difference_of_two_builds() -> None:
    base = body_errors_cm([normal_errors(3, told_cm=3)])
    difference, standard_error = paired_difference_cm(base + 0.2, base)
    assert difference == pytest.approx([0.2] * 3)
    assert standard_error == pytest.approx([0] * 3, abs=1e-9)


def test_builds_that_err_apart_leave_doubt_about_their_difference() -> None:
    rng = np.random.default_rng(5)
    ours, base = np.abs(rng.normal(0, 3, (2, BODIES, 3)))
    difference, standard_error = paired_difference_cm(ours, base)
    assert standard_error == pytest.approx([3 * np.sqrt(2 * (1 - 2 / np.pi) / BODIES)] * 3, rel=0.1)
    assert np.all(np.abs(difference) < 4 * standard_error)


def test_a_body_s_error_is_the_mean_of_its_sizes_over_the_divisions() -> None:
    once = normal_errors(3, told_cm=3)
    twice = body_errors_cm([once, replace(once, error=-3 * once.error)])
    assert twice == pytest.approx(2 * body_errors_cm([once]))
