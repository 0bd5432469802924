"""[pure] The words that the main process and the measuring processes share: answers, refusals, body types.

Nothing here needs NumPy or a decoder, so that the main process gets by without them (ADR 0038).
"""

from dataclasses import dataclass
from enum import StrEnum


class Refusal(StrEnum):
    """Why a picture cannot be measured; the value is the stable code of the problem body."""

    NO_PERSON = "no_person"
    SEVERAL_PEOPLE = "more_than_one_person"
    HEAD_CUT_OFF = "head_cut_off"
    FEET_CUT_OFF = "feet_cut_off"
    SIDE_CUT_OFF = "side_cut_off"
    NOT_STANDING = "not_standing"
    TURNED_AWAY = "turned_away"
    STRETCHED = "picture_stretched"
    UNCLEAR = "outline_unclear"


class PictureRefused(Exception):
    """No body can be measured on this picture; ``reason`` says why."""

    def __init__(self, reason: Refusal) -> None:
        super().__init__(reason.value)
        self.reason = reason


class BodyType(StrEnum):
    """What the platform shows."""

    SLIM = "slim"
    AVERAGE = "average"
    ATHLETIC = "athletic"
    BROAD = "broad"


class Note(StrEnum):
    """What a person should know of an answer beyond its numbers; the value is its stable code."""

    ADULTS_ONLY = "adults_only"
    """The person may well be as small as children are, and nothing is known of children's bodies."""
    BEYOND_KNOWN_HEIGHTS = "beyond_known_heights"
    """The person may well be taller than everybody who was measured for the model."""
    ABOVE_CHART = "above_chart"
    """The body is larger than the chart's last size."""
    LOOSE_CLOTHES = "loose_clothes"
    """The clothes look loose; close-fitting ones are measured more exactly."""
    GREY_PICTURE = "grey_picture"
    """The picture has no colours; one in colour is measured more exactly."""


@dataclass(frozen=True)
class SizeAdvice:
    """The answer to one photograph. ``measurements_cm`` by name; ``smallest`` and ``largest`` bound the size range;
    ``size_probabilities`` by size, in the chart's order."""

    size: str
    smallest: str
    largest: str
    confidence: float
    body_type: BodyType
    measurements_cm: dict[str, float]
    size_probabilities: dict[str, float]
    notes: tuple[Note, ...] = ()


class MeasurerGone(Exception):
    """The measuring process ended or hangs; ``exit_code`` is negative for a signal, ``None`` for hanging, and when its
    server is gone, which would have told."""

    def __init__(self, exit_code: int | None) -> None:
        super().__init__("it hangs, or its server is gone" if exit_code is None else f"exit code {exit_code}")
        self.exit_code = exit_code
