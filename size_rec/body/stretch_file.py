"""The fitted numbers of ``size_rec/body/stretch.py`` as a file: ``size_rec/calibration/stretch_model.json``."""

import json
from pathlib import Path
from typing import Any, Final

import numpy as np

from size_rec.body.stretch import StretchModel, StretchModels

STRETCH_FILE: Final = Path(__file__).parents[1] / "calibration" / "stretch_model.json"

ABOUT: Final = (
    "Numbers of size_rec/body/stretch.py, fitted by `make calibrate` on stretched photographs of rendered bodies: for "
    "each feature its mean and its weight, and the standard deviation of the estimated logarithm."
)
DIGITS: Final = 5
"""Significant digits kept; a sixth changes no estimate by a thousandth of its spread."""


def load_stretch_models(path: Path = STRETCH_FILE) -> StretchModels:
    """The fitted models.

    Raises:
        ValueError: the file does not describe both.
    """
    content = json.loads(path.read_text(encoding="utf-8"))
    try:
        return StretchModels(*(_model(content[name]) for name in StretchModels._fields))
    except KeyError as missing:
        raise ValueError(f"{path.name} lacks {missing}") from None


def stretch_text(models: StretchModels) -> str:
    """The file's text, a feature per line."""
    parts = [f' "about": {json.dumps(ABOUT)}']
    for name, model in models._asdict().items():
        lines = [
            f'   "{feature}": [{_short(mean)}, {_short(weight)}]'
            for feature, mean, weight in zip(model.features, model.mean, model.weights, strict=True)
        ]
        features = ",\n".join(lines)
        parts.append(f' "{name}": {{\n  "spread": {_short(model.spread)},\n  "features": {{\n{features}\n  }}\n }}')
    return "{\n" + ",\n".join(parts) + "\n}\n"


def _short(number: float) -> str:
    return json.dumps(float(f"{number:.{DIGITS}g}"))


def _model(content: dict[str, Any]) -> StretchModel:
    features: dict[str, list[float]] = content["features"]
    numbers = np.array(list(features.values()))
    return StretchModel(tuple(features), numbers[:, 0], numbers[:, 1], float(content["spread"]))
