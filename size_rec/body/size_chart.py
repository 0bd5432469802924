"""[pure] The size chart: which size fits which girths.

Without NumPy: the main process hands a shop's chart on to the measuring processes.
"""

from bisect import bisect_left
from dataclasses import dataclass

SIZES = ("XS", "S", "M", "L", "XL", "XXL")


@dataclass(frozen=True, slots=True)
class SizeChart:
    """The upper limits of the sizes in cm, smallest size first; a size fits when no girth is above its limit.

    A girth has a limit for every size, for every size but the last, which then has none, or (empty) for no size. A
    store's own chart is another value of this type.
    """

    sizes: tuple[str, ...]
    chest_limits_cm: tuple[float, ...] = ()
    waist_limits_cm: tuple[float, ...] = ()
    hip_limits_cm: tuple[float, ...] = ()

    def index_for(self, *, chest_cm: float, waist_cm: float, hip_cm: float) -> int:
        """The smallest size that fits, as an index into ``sizes``; the last one where none does."""
        return min(self._sizes_too_small(chest_cm, waist_cm, hip_cm), len(self.sizes) - 1)

    def is_exceeded_by(self, *, chest_cm: float, waist_cm: float, hip_cm: float) -> bool:
        """Whether no size fits."""
        return self._sizes_too_small(chest_cm, waist_cm, hip_cm) == len(self.sizes)

    def limits_of(self, index: int) -> tuple[float | None, float | None, float | None]:
        """The limits of one size for chest, waist and hip; ``None`` where it has none."""
        chest, waist, hip = (
            limits[index] if index < len(limits) else None
            for limits in (self.chest_limits_cm, self.waist_limits_cm, self.hip_limits_cm)
        )
        return chest, waist, hip

    def _sizes_too_small(self, chest_cm: float, waist_cm: float, hip_cm: float) -> int:
        return max(
            bisect_left(self.chest_limits_cm, chest_cm),
            bisect_left(self.waist_limits_cm, waist_cm),
            bisect_left(self.hip_limits_cm, hip_cm),
        )


CHEST_LIMITS_CM = (84.0, 92.0, 100.0, 108.0, 116.0)
WAIST_OVER_CHEST_CM = 2.0
"""A top hangs nearly straight from chest to waist, so a waist that is this much wider than the size's chest limit needs
the next size."""
HIP_OVER_CHEST_CM = 18.0
"""The hem of a top stretches, or ends above the widest part of the hips, so only hips much wider than the chest need
the next size.

With both, 0.1 % of the men and 1.8 % of the women of ANSUR II get a larger size than their chest alone asks for."""

DEFAULT_CHART = SizeChart(
    sizes=SIZES,
    chest_limits_cm=CHEST_LIMITS_CM,
    waist_limits_cm=tuple(limit + WAIST_OVER_CHEST_CM for limit in CHEST_LIMITS_CM),
    hip_limits_cm=tuple(limit + HIP_OVER_CHEST_CM for limit in CHEST_LIMITS_CM),
)
