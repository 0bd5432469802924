"""Run inside the base build's tree, by its Python: cross-validates the base's own model with heights as stated.

    python base_program.py BODIES < stated_heights.json > predictions.json

Standard input is a list of cross-validations to make: ``heights_cm``, one for each photograph of the bodies, and the
``seed`` of the division into parts. It uses only what every build
since f1757d9 has, and nothing of ours. The base believes the heights it is told.
"""

import importlib.util
import json
import sys
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path.cwd()))  # the tree of the base; this file lies elsewhere
fit = importlib.import_module("size_rec.calibration.fit")
tables = importlib.import_module("size_rec.calibration.tables")
in_rooms = importlib.util.find_spec("size_rec.body") is not None
model_file = importlib.import_module("size_rec.body.model_file" if in_rooms else "size_rec.model_file")

bodies = tables.read_bodies(Path(sys.argv[1]))
covariance = fit.tape_covariance_of(model_file.load_body_model())
factors = fit.spread_factors(fit.cross_validate(covariance, bodies))
answers = []
for asked in json.load(sys.stdin):
    heights_cm = asked["heights_cm"]
    predicted, spread = np.zeros((2, len(heights_cm), len(fit.ANSWERED)))
    for part in fit.split_by_body(bodies, asked["seed"]):
        model = fit.fit_body_model(covariance, bodies.rows(np.setdiff1d(np.arange(len(heights_cm)), part)))
        for body in part:
            features = dict(zip(bodies.features, bodies.values[body], strict=True))
            estimate = fit.estimate_body(model, features, height_cm=heights_cm[body])
            predicted[body], spread[body] = estimate.mean_cm, estimate.spread_cm * factors
    answers.append({"predicted": predicted.tolist(), "spread": spread.tolist()})
json.dump(answers, sys.stdout)
