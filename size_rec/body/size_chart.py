"""[pure] The size chart: which size fits which girths."""

from dataclasses import dataclass

import numpy as np

from size_rec.pose.pose import FloatArray, IndexArray

SIZES = ("XS", "S", "M", "L", "XL", "XXL")


@dataclass(frozen=True)
class SizeChart:
    """The upper limits in cm of every size but the last, which has none, smallest size first; a size fits when no girth
    is above its limit.

    A store's own chart is another value of this type.
    """

    sizes: tuple[str, ...]
    chest_limits_cm: tuple[float, ...]
    waist_limits_cm: tuple[float, ...]
    hip_limits_cm: tuple[float, ...]

    def index_for(self, *, chest_cm: float, waist_cm: float, hip_cm: float) -> int:
        """The smallest size that fits, as an index into ``sizes``."""
        one = self.indices_for(chest_cm=np.array([chest_cm]), waist_cm=np.array([waist_cm]), hip_cm=np.array([hip_cm]))
        return int(one[0])

    def indices_for(self, *, chest_cm: FloatArray, waist_cm: FloatArray, hip_cm: FloatArray) -> IndexArray:
        """:meth:`index_for` for many bodies at once, one per entry."""
        fitting = (
            np.searchsorted(self.chest_limits_cm, chest_cm),
            np.searchsorted(self.waist_limits_cm, waist_cm),
            np.searchsorted(self.hip_limits_cm, hip_cm),
        )
        return np.max(fitting, axis=0)  # type: ignore[no-any-return]


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
