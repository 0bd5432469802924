"""[pure] Evens out the light of a photograph: its colour cast and its brightness.

The pose network sees a picture in warm or dim light a little differently: of today's bodies one in fifteen changed its
size. The grey-world assumption takes the mean colour of a picture for grey; with that and one mean brightness most of
the difference is gone (ADR 0138).
"""

from typing import Final

import numpy as np
from PIL import Image

from size_rec.pose.pose import FloatArray

MEAN_LEVEL: Final = 120.0
"""Mean brightness of the evened picture (of 255)."""
CAST_GAINS: Final = (0.5, 2.0)
"""Limits of a channel's gain over the others': a green wall may stay greenish."""
BRIGHTNESS_GAINS: Final = (0.5, 5.0)
"""Limits of the common gain."""
DARKEST_MEAN_LEVEL: Final = 20.0
"""A darker picture stays as it is: it would show more noise than body. Of the rendered bodies the darkest has 53, and
at half its brightness 26; the photographs that are to be refused as too dark have 9 and 13."""
SAMPLED_PX: Final = 8
"""The mean is taken over squares of so many pixels, which is quicker."""
GREY_PLACES: Final = (64, 64)
"""Where the colours are looked at, evenly over the picture."""
GREY_LEVELS: Final = 4
"""Channels of a grey picture differ by no more than this (of 255)."""
COLOURED_SHARE: Final = 0.01
"""Share of the places that must be coloured. In each rendered photograph the channels differ there by 24 levels or
more, at half the brightness by 12, in sepia by 8."""
LEVELS: Final = np.arange(256)
CHANNELS: Final = 3


def evened_light(image: Image.Image) -> Image.Image:
    """The RGB picture with a grey mean colour of :data:`MEAN_LEVEL`, as far as the limits allow."""
    sampled = image.reduce(SAMPLED_PX)
    gains = light_gains(np.array(sampled.histogram(), dtype=np.float64).reshape(CHANNELS, LEVELS.size))
    table = np.clip(np.round(gains[:, None] * LEVELS), 0, LEVELS[-1]).astype(int)
    return image.point(table.ravel().tolist())


def is_grey(image: Image.Image) -> bool:
    """Whether an RGB picture has no colours. The pose network sees less in it: girths are off by a seventh more."""
    red, green, blue = np.moveaxis(
        np.asarray(image.resize(GREY_PLACES, Image.Resampling.NEAREST)).astype(np.int16), 2, 0
    )
    coloured = np.maximum(abs(red - green), abs(blue - green)) > GREY_LEVELS
    return bool(coloured.mean() <= COLOURED_SHARE)


def light_gains(histogram: FloatArray) -> FloatArray:
    """What each channel is multiplied by, from how many pixels have each level: (3, 256)."""
    means = np.maximum(histogram @ LEVELS / histogram.sum(axis=1), 1.0)
    if means.mean() < DARKEST_MEAN_LEVEL:
        return np.ones(CHANNELS)
    cast = np.clip(means.mean() / means, *CAST_GAINS)
    brightness = np.clip(MEAN_LEVEL / (cast * means).mean(), *BRIGHTNESS_GAINS)
    gains: FloatArray = cast * brightness
    return gains
