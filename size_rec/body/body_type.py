"""[pure] The body type, by two ratios that need no weight."""

from size_rec.vocabulary import BodyType

BROAD_WAIST_TO_HEIGHT = 0.55
"""From here on the waist is the most visible part of the figure: about a quarter of the calibration's bodies."""
SLIM_WAIST_TO_HEIGHT = 0.43
"""Below this the figure is narrow everywhere: about an eighth of them."""
ATHLETIC_CHEST_TO_WAIST = 1.20
"""With a chest this much larger than the waist the upper body has the shape of a V: the upper quarter of those between
slim and broad."""


def body_type_of(*, chest_cm: float, waist_cm: float, height_cm: float) -> BodyType:
    """Broad from a waist of 55 % of the height, slim below 43 %; between them athletic when the chest is at least
    20 % larger than the waist, else average."""
    waist_to_height = waist_cm / height_cm
    if waist_to_height >= BROAD_WAIST_TO_HEIGHT:
        return BodyType.BROAD
    if waist_to_height < SLIM_WAIST_TO_HEIGHT:
        return BodyType.SLIM
    if chest_cm / waist_cm >= ATHLETIC_CHEST_TO_WAIST:
        return BodyType.ATHLETIC
    return BodyType.AVERAGE
