"""[pure] Whether somebody is as tall as the people whom the model knows, and what others are told (ADR 0135)."""

from statistics import NormalDist
from typing import Final

from size_rec.body.body_model import BodyEstimate
from size_rec.vocabulary import Note

MIN_KNOWN_HEIGHT_CM, MAX_KNOWN_HEIGHT_CM = 145.0, 205.0
"""Of the women of ANSUR II seven in two thousand are below 145 cm; most people of that height are children, and their
bodies are of other proportions. The tallest man has 199 cm; a few more centimetres are no other build."""

MIDDLE_HEIGHT_CM: Final = (MIN_KNOWN_HEIGHT_CM + MAX_KNOWN_HEIGHT_CM) / 2

MEASURED_HEIGHT_SPREAD_CM: Final = 1.0
"""People are a centimetre taller in the morning than in the evening."""

KNOWN_SHARE: Final = 0.9
"""Below this probability of a known height the answer has a note: nobody's confidence is lowered by more than a tenth
without the reason."""


def share_of_known_heights(height_cm: float, height_spread_cm: float) -> float:
    """The probability that the person is as tall as those the model knows; near 0 for children. What the model says of
    others is a guess, however narrow its spread."""
    height = NormalDist(height_cm, max(height_spread_cm, MEASURED_HEIGHT_SPREAD_CM))
    return height.cdf(MAX_KNOWN_HEIGHT_CM) - height.cdf(MIN_KNOWN_HEIGHT_CM)


def height_note(estimate: BodyEstimate) -> Note | None:
    """What somebody is told who may well be smaller or taller than everybody the model knows. The estimated height
    decides, not the stated one."""
    if share_of_known_heights(estimate.height_cm, estimate.height_spread_cm) >= KNOWN_SHARE:
        return None
    return Note.ADULTS_ONLY if estimate.height_cm < MIDDLE_HEIGHT_CM else Note.BEYOND_KNOWN_HEIGHTS
