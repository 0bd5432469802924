"""The fitted numbers as a file that a person can read: ``size_rec/calibration/body_model.json``."""

import json
from dataclasses import fields
from pathlib import Path
from typing import Any

import numpy as np

from size_rec.body.body_model import BodyModel

MODEL_FILE = Path(__file__).parents[1] / "calibration" / "body_model.json"

DIGITS = 5
"""Significant digits kept; a sixth changes no answer by a tenth of a millimetre."""

_NO_ARRAYS = ("features", "loose_share")
"""The fields of the model that are not arrays of numbers."""


def load_body_model(path: Path = MODEL_FILE) -> BodyModel:
    """The fitted model.

    Raises:
        ValueError: the file does not describe a complete model.
    """
    content = json.loads(path.read_text(encoding="utf-8"))
    try:
        numbers: dict[str, Any] = {field.name: content["model"][field.name] for field in fields(BodyModel)}
    except KeyError as missing:
        raise ValueError(f"{path.name} lacks {missing}") from None
    arrays = {name: np.array(value) for name, value in numbers.items() if name not in _NO_ARRAYS}
    return BodyModel(features=tuple(numbers["features"]), loose_share=float(numbers["loose_share"]), **arrays)


def model_text(model: BodyModel, about: dict[str, Any]) -> str:
    """The file's text: ``about`` (source, date, numbers of bodies, errors) first, then the model, a row per line."""
    numbers = {field.name: _rounded(getattr(model, field.name)) for field in fields(BodyModel)}
    lines = [f' "about": {json.dumps(about, indent=2)}', ' "model": {']
    body = [f'  "{name}": {_json_text(value)}' for name, value in numbers.items()]
    return "{\n" + ",\n".join([lines[0], lines[1] + "\n" + ",\n".join(body) + "\n }"]) + "\n}\n"


def _rounded(value: Any) -> Any:
    """``value`` with every number in it cut to ``DIGITS`` significant digits, and with lists in place of arrays."""
    if isinstance(value, np.ndarray):
        return [_rounded(item) for item in value.tolist()]
    if isinstance(value, list | tuple):
        return [_rounded(item) for item in value]
    return float(f"{value:.{DIGITS}g}") if isinstance(value, float) else value


def _json_text(value: Any) -> str:
    """``value`` as JSON; of a list of lists each inner list is on a line of its own."""
    if isinstance(value, list) and value and isinstance(value[0], list):
        return "[\n   " + ",\n   ".join(_json_text(item).replace("\n", "\n ") for item in value) + "\n  ]"
    return json.dumps(value)
