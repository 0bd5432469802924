"""Loose clothing: how many bodies in it pass for close-fitting, and what it would be worth to know the clothes."""

from dataclasses import replace

import numpy as np

from size_rec.body.body_model import ANSWERED, LATENT, BodyModel, estimate_body
from size_rec.body.model_file import load_body_model
from size_rec.calibration.fit import OutlineTable, fit_body_model, split_by_body, tape_covariance_of
from size_rec.pose.pose import FloatArray

GIRTHS = 3
"""Chest, waist and hip come first."""
CERTAIN = 0.9999
"""A prior probability of the clothes that no picture outweighs."""
LIKELY = 0.5


def print_loose(outlines: OutlineTable) -> None:
    """Print both, cross-validated by body."""
    guessed, known, probability = _validated(outlines)
    loose = outlines.loose == 1
    print("\nLoose clothing, cross-validated by body")
    print(
        f"loose-clothed bodies taken for close-fitting {np.mean(probability[loose] < LIKELY):.1%}, "
        f"the reverse {np.mean(probability[~loose] > LIKELY):.1%}"
    )
    print(f"{'error of chest, waist, hip':30}{'all':>20}{'loose':>20}")
    for label, errors in (("clothes guessed, as in service", guessed), ("clothes known", known)):
        print(f"{label:30}{_girths(errors):>20}{_girths(errors[loose]):>20}")


def _validated(outlines: OutlineTable) -> tuple[FloatArray, FloatArray, FloatArray]:
    """Signed errors with the clothes guessed and known, and the probability of loose ones."""
    covariance = tape_covariance_of(load_body_model())
    truth = np.exp(outlines.log_measures[:, [LATENT.index(name) for name in ANSWERED]])
    guessed, known, probability = np.zeros_like(truth), np.zeros_like(truth), np.zeros(len(truth))
    everybody = np.arange(len(truth))
    for part in split_by_body(outlines):
        model = fit_body_model(covariance, outlines.rows(np.setdiff1d(everybody, part)))
        for body in part:
            mean_cm, probability[body] = _estimate(model, outlines, body)
            guessed[body] = mean_cm - truth[body]
            share = CERTAIN if outlines.loose[body] else 1 - CERTAIN
            known[body] = _estimate(replace(model, loose_share=share), outlines, body)[0] - truth[body]
    return guessed, known, probability


def _estimate(model: BodyModel, outlines: OutlineTable, body: int) -> tuple[FloatArray, float]:
    features = dict(zip(outlines.features, outlines.values[body], strict=True))
    height_cm = float(np.exp(outlines.log_measures[body, LATENT.index("height_cm")]))
    estimate = estimate_body(model, features, height_cm=height_cm, height_measured=True)
    return estimate.mean_cm, estimate.loose


def _girths(errors: FloatArray) -> str:
    return " ".join(f"{error:5.2f}" for error in np.abs(errors).mean(axis=0)[:GIRTHS])
