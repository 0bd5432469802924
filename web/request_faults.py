"""[pure] What is wrong with a request, in plain sentences.

Of what was sent, only well-formed names of fields are repeated.
"""

import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final

from models.size_chart import NO_CHART, REPEATABLE_NAME, explain_chart_fault
from models.size_rec import MAX_HEIGHT_CM, MAX_URL_LENGTH, MAX_WEIGHT_KG, MIN_HEIGHT_CM, MIN_WEIGHT_KG

CHART_FIELD: Final = "size_chart"

EXPECTED: Final = {
    "image_url": f"must be text of 1 to {MAX_URL_LENGTH} characters",
    "height_cm": f"must be a number from {MIN_HEIGHT_CM:g} to {MAX_HEIGHT_CM:g}",
    "height_measured": "must be true or false, or be left out",
    "weight_kg": f"must be a number from {MIN_WEIGHT_KG:g} to {MAX_WEIGHT_KG:g}, or be left out",
    CHART_FIELD: NO_CHART.removeprefix(f"{CHART_FIELD} "),
}
"""Each field's whole rule: whoever broke one part of it wants to know the others too."""

UNREADABLE: Final = "The request could not be read as JSON. Please send an object with image_url and height_cm."
NOT_AN_OBJECT: Final = "The request must be a JSON object with image_url and height_cm."
NOT_SENT_AS_JSON: Final = "The request must be sent as JSON, with the header Content-Type: application/json."

MAX_FAULTS_TOLD: Final = 5
"""As many as there are fields. A request of a thousand unknown ones, or a chart with a fault in every size, gets no
answer of as many lines."""

JSON_MEDIA_TYPE: Final = re.compile(r"application/(?:[^/]+\+)?json")

Fault = Mapping[str, Any]
"""One entry of ``RequestValidationError.errors()``."""


def explain(faults: Sequence[Fault], content_type: str) -> str:
    """The sentence for the caller: at most ``MAX_FAULTS_TOLD`` faults, each once."""
    if not JSON_MEDIA_TYPE.fullmatch(content_type.partition(";")[0].strip().lower()):
        return NOT_SENT_AS_JSON
    if any(fault["type"] == "json_invalid" for fault in faults):
        return UNREADABLE
    told = list(dict.fromkeys(_explain(fault) for fault in faults if _field(fault) is not None))
    if not told:
        return NOT_AN_OBJECT
    more = ["and more"] if len(told) > MAX_FAULTS_TOLD else []
    return "; ".join(told[:MAX_FAULTS_TOLD] + more) + "."


def known_fields(faults: Iterable[Fault]) -> list[str]:
    """Names of this API's own fields that are wrong, for the log."""
    return sorted({field for fault in faults if (field := _field(fault)) in EXPECTED and field is not None})


def _field(fault: Fault) -> str | None:
    """The field, or ``None`` where the body as a whole is wrong."""
    path = fault["loc"][1:]
    return str(path[0]) if path else None


def _explain(fault: Fault) -> str:
    field = _field(fault) or ""
    if field == CHART_FIELD:
        return explain_chart_fault(fault, tuple(fault["loc"][2:]))
    if field not in EXPECTED:
        return f"there is no field {field}" if REPEATABLE_NAME.fullmatch(field) else "there is an unknown field"
    return f"{field} is missing" if fault["type"] == "missing" else f"{field} {EXPECTED[field]}"
