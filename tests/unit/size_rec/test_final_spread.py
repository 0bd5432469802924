"""An answer that is too uncertain is not given: its final spread is judged."""

import pytest

from size_rec.body.size_calculator import GIRTHS
from size_rec.measuring import GREY_SPREAD, Measured
from size_rec.outline.admission import MAX_GIRTH_SPREAD_CM
from size_rec.vocabulary import PictureRefused, Refusal
from tests.support.size_photos import as_bytes, decoded, measure, photo

LOOSE = "b0000.jpg"


@pytest.mark.heavy
@pytest.mark.parametrize("grey", [False, True], ids=["in colour", "in grey"])
def test_no_answer_for_a_known_height_is_less_certain_than_the_limit_allows(grey: bool) -> None:
    """Somebody in loose clothes is made taller until the answer is too uncertain."""
    picture = as_bytes(decoded(LOOSE).convert("L").convert("RGB")) if grey else photo(LOOSE)
    got = [outcome(picture, height_cm) for height_cm in range(170, 204, 3)]
    spreads = [each.estimate.spread_cm[: len(GIRTHS)].mean() for each in got if isinstance(each, Measured)]
    assert MAX_GIRTH_SPREAD_CM / GREY_SPREAD < max(spreads) <= MAX_GIRTH_SPREAD_CM
    assert got[-1] is Refusal.UNCLEAR


def outcome(picture: bytes, height_cm: float) -> Measured | Refusal:
    try:
        return measure(picture, height_cm)
    except PictureRefused as refused:
        return refused.reason
