"""[pure] A shop's own size chart as ``POST /estimate-body`` takes it (ADR 0133), and what is wrong with one in words.

Of what was sent, only the names of this API's own fields and the number of a size are repeated.
"""

import re
from collections.abc import Iterator, Mapping
from itertools import pairwise
from typing import Annotated, Any, Final, Literal
from unicodedata import normalize

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, model_validator
from pydantic_core import PydanticCustomError

MAX_SIZES: Final = 24
"""Charts of shops have up to 20 sizes; 24 stay within the request's limit of 24 KB, whatever their labels are and
however they are written."""

MAX_LABEL_CHARS: Final = 40
"""``EU 52 / US 42 / IT 52 Regular`` has 29."""

MAX_GARMENT_CHARS: Final = 60

MIN_BOUND_CM, MAX_BOUND_CM = 50.0, 200.0
"""No adult's size ends below or above. An adults' chart in inches that is declared in cm, or the other way round, has
bounds outside, so that it is refused instead of answered."""

CM_PER_UNIT: Final = {"cm": 1.0, "in": 2.54}

GIRTHS: Final = ("chest", "waist", "hip")
"""In the order of the answer's measures; ``chest`` is bounded by the field ``chest_max``."""

CHART_FAULT: Final = "size_chart"
"""Type of the faults whose message is already the sentence for the caller."""

NO_CHART: Final = "size_chart must be an object with unit and sizes, or be left out"

_BOUNDS: Final = (
    f"{MIN_BOUND_CM:g} to {MAX_BOUND_CM:g} cm "
    f"({MIN_BOUND_CM / CM_PER_UNIT['in']:.1f} to {MAX_BOUND_CM / CM_PER_UNIT['in']:.1f} in)"
)
_BOUND_RULE: Final = f"must be a number from {_BOUNDS}"
_PLAIN_TEXT: Final = "printable characters, with no space at either end and no non-breaking space"
_LABEL: Final = f"1 to {MAX_LABEL_CHARS} {_PLAIN_TEXT}"
_GARMENT: Final = f"1 to {MAX_GARMENT_CHARS} {_PLAIN_TEXT}"
EXPECTED: Final = {
    "unit": 'must be "cm" or "in" (inches)',
    "garment_type": f"must be {_GARMENT}, or be left out",
    "sizes": f"must be a list of 1 to {MAX_SIZES} sizes, the smallest first",
    "label": f"must be {_LABEL}",
    **{f"{girth}_max": _BOUND_RULE for girth in GIRTHS},
}
"""Each field's whole rule, as for the other fields of the request."""

REPEATABLE_NAME: Final = re.compile(r"[A-Za-z][A-Za-z0-9_]{0,39}")
"""An unknown field is named only if it looks like a name; anything else could be a value in the wrong place."""


def _plain(text: str) -> str:
    """Labels and garment types reach logs and pages.

    Raises:
        ValueError: it has a control character, a space of another kind than the keyboard's, or white space at an end.
    """
    if not text.isprintable() or text != text.strip():
        raise ValueError("not plain text")
    return text


_BOUND_TOLD: Final = (
    f"{_BOUNDS}, above that of the size before; in every size or in none, but the last may leave it out."
)
Bound = Annotated[float | None, Field(default=None, gt=0, allow_inf_nan=False)]


class ChartSize(BaseModel):
    """One size: its label, and the largest girths it fits. A girth is bounded in every size or in none; the last size
    alone may leave its bounds out, and then has no upper end."""

    model_config = ConfigDict(strict=True, extra="forbid", frozen=True)

    label: Annotated[str, AfterValidator(_plain)] = Field(
        min_length=1,
        max_length=MAX_LABEL_CHARS,
        description=f"The shop's own name of the size: {_LABEL}. No two sizes have the same one; case does not count.",
    )
    chest_max: Bound = Field(default=None, description=f"Largest chest girth the size fits. {_BOUND_TOLD}")
    waist_max: Bound = Field(
        default=None, description=f"Largest waist girth (between lowest rib and hip bone) the size fits. {_BOUND_TOLD}"
    )
    hip_max: Bound = Field(default=None, description=f"Largest girth of the hips the size fits. {_BOUND_TOLD}")

    def bound(self, girth: str) -> float | None:
        """The upper bound of one of :data:`GIRTHS`, in the chart's unit."""
        value: float | None = getattr(self, f"{girth}_max")
        return value


class ShopChart(BaseModel):
    """A shop's own chart: ordered sizes with upper bounds of the body's girths (not of the garment's)."""

    model_config = ConfigDict(strict=True, extra="forbid", frozen=True)

    unit: Literal["cm", "in"] = Field(description="Of all bounds: centimetres or inches.")
    garment_type: Annotated[str, AfterValidator(_plain)] | None = Field(
        default=None,
        min_length=1,
        max_length=MAX_GARMENT_CHARS,
        description=f"{_GARMENT}. For the worker's log only; changes no answer.",
    )
    sizes: list[ChartSize] = Field(
        min_length=1,
        max_length=MAX_SIZES,
        description=f"1 to {MAX_SIZES} sizes, the smallest first. They bound at least one girth, and the same girths "
        "in every size; each bound is above the one before. Only the last size may leave its bounds out, and then has "
        "no upper end.",
    )

    @model_validator(mode="after")
    def _is_a_chart(self) -> "ShopChart":
        fault = next(_faults_of(self), None)
        if fault is not None:
            raise PydanticCustomError(CHART_FAULT, "{sentence}", {"sentence": f"size_chart: {fault}"})
        return self

    def bounds_cm(self, girth: str) -> tuple[float, ...]:
        """The upper bounds of one of :data:`GIRTHS`: of every size, of every size but the last, or none."""
        bounds = (size.bound(girth) for size in self.sizes)
        return tuple(bound * CM_PER_UNIT[self.unit] for bound in bounds if bound is not None)


def _faults_of(chart: ShopChart) -> Iterator[str]:
    """What is wrong with the sizes together, in sentences."""
    labels = [normalize("NFC", size.label).casefold() for size in chart.sizes]
    for number, label in enumerate(labels, start=1):
        first = labels.index(label) + 1
        if first != number:
            yield f"size {number} has the same label as size {first}"
    if not any(chart.bounds_cm(girth) for girth in GIRTHS):
        yield f"the sizes need at least one of {', '.join(f'{girth}_max' for girth in GIRTHS)}"
    for girth in GIRTHS:
        yield from _faults_of_girth(f"{girth}_max", [size.bound(girth) for size in chart.sizes], chart.unit)


def _faults_of_girth(field: str, bounds: list[float | None], unit: str) -> Iterator[str]:
    if all(bound is None for bound in bounds):
        return
    for number, bound in enumerate(bounds, start=1):
        if bound is None and number < len(bounds):
            yield f"{field} is missing in size {number}; only the last size may leave it out"
        elif bound is not None and not MIN_BOUND_CM <= bound * CM_PER_UNIT[unit] <= MAX_BOUND_CM:
            yield f"{field} of size {number} {_BOUND_RULE}; the unit is {unit}"
    for number, (smaller, larger) in enumerate(pairwise(bounds), start=2):
        if smaller is not None and larger is not None and larger <= smaller:
            yield f"{field} of size {number} must be above that of size {number - 1}, as the smallest size comes first"


def explain_chart_fault(fault: Mapping[str, Any], path: tuple[str | int, ...]) -> str:
    """The sentence for one fault of pydantic's; ``path`` is its place inside the chart."""
    if fault["type"] == CHART_FAULT:
        return str(fault["msg"])
    if not path:
        return NO_CHART
    names = [part for part in path if isinstance(part, str)]
    size = next((f" of size {part + 1}" for part in path if isinstance(part, int)), "")
    field = names[-1]
    if field not in EXPECTED:
        unknown = f"no field {field}" if REPEATABLE_NAME.fullmatch(field) else "an unknown field"
        return f"size_chart: there is {unknown}{size}"
    if field == "sizes" and size:
        return f"size_chart:{size.removeprefix(' of')} must be an object with a label and upper bounds"
    return f"size_chart: {field}{size} {'is missing' if fault['type'] == 'missing' else EXPECTED[field]}"
