"""Heights that nobody was measured with are answered, with a note as soon as the confidence suffers (ADR 0135)."""

import numpy as np
import pytest

from models.size_rec import MAX_HEIGHT_CM, MIN_HEIGHT_CM
from size_rec.body.body_model import BodyEstimate
from size_rec.body.known_heights import KNOWN_SHARE, height_note
from size_rec.body.size_calculator import advise
from size_rec.vocabulary import Note
from tests.support.size_photos import measure, photo

BROAD, SLIM, LOOSE = "b0004.jpg", "b0001.jpg", "b0000.jpg"


def estimate(height_cm: float, height_spread_cm: float) -> BodyEstimate:
    mean_cm = np.array([96.0, 80.0, 95.0, 40.0, 80.0])
    return BodyEstimate(mean_cm, np.full(5, 3.0), 0.2, 1.0, height_cm, height_spread_cm)


@pytest.mark.parametrize("spread_cm", [0.0, 1.8, 3.0])
def test_who_is_less_sure_of_the_answer_for_their_height_is_told_why(spread_cm: float) -> None:
    ordinary = advise(estimate(175, spread_cm)).confidence
    for height_cm in np.arange(MIN_HEIGHT_CM, MAX_HEIGHT_CM, 0.1):
        advice = advise(estimate(height_cm, spread_cm))
        assert bool(advice.notes) == (advice.confidence < KNOWN_SHARE * ordinary)


@pytest.mark.parametrize(
    ("height_cm", "note"),
    [
        (100, Note.ADULTS_ONLY),
        (146.2, Note.ADULTS_ONLY),
        (146.3, None),
        (203.7, None),
        (203.8, Note.BEYOND_KNOWN_HEIGHTS),
    ],
)
def test_a_measured_height_gets_its_note_a_little_before_the_limit(height_cm: float, note: Note | None) -> None:
    assert height_note(estimate(height_cm, 0.0)) is note
    through_logarithms = float(np.exp(np.log(height_cm)))
    assert height_note(estimate(through_logarithms, 0.0)) is note


@pytest.mark.heavy
@pytest.mark.parametrize("name", [BROAD, SLIM, LOOSE])
@pytest.mark.parametrize("height_cm", [MIN_HEIGHT_CM, 210, 230, MAX_HEIGHT_CM])
@pytest.mark.parametrize("weight_kg", [None, 110])
def test_the_ends_of_the_valid_heights_are_answered_whatever_the_spread(
    name: str, height_cm: float, weight_kg: float | None
) -> None:
    advice = measure(photo(name), height_cm, weight_kg).advice
    assert {Note.ADULTS_ONLY, Note.BEYOND_KNOWN_HEIGHTS} & set(advice.notes)
    assert advice.confidence < 0.01
