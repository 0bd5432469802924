"""The light a photograph was taken in changes neither what the network sees nor the answer by much."""

from collections.abc import Callable

import numpy as np
import pytest
from PIL import Image

from size_rec.photo.light import BRIGHTNESS_GAINS, DARKEST_MEAN_LEVEL, MEAN_LEVEL, evened_light
from size_rec.photo.picture import prepare_picture
from tests.support.size_photos import as_jpeg, decoded, measures, photo, truth

BODIES = ["b0001.jpg", "b0040.jpg", "b0121.jpg", "b0177.jpg"]
MAX_CHANGE_CM = 2.0
"""Half of what moves a person from the middle of a size to its edge."""


def in_light(*gains: float) -> Callable[[Image.Image], Image.Image]:
    return lambda image: image.point([min(255, round(gain * level)) for gain in gains for level in range(256)])


LIGHTS = {"half as bright": in_light(0.5, 0.5, 0.5), "warm": in_light(1.15, 1.0, 0.72)}


def noise(low: int, high: int) -> Image.Image:
    levels = np.random.default_rng(3).integers(low, high, (64, 48, 3), dtype=np.uint8)
    return Image.fromarray(levels)


def channel_means(image: Image.Image) -> list[float]:
    return [float(mean) for mean in np.asarray(image).mean(axis=(0, 1))]


@pytest.mark.parametrize("light", LIGHTS)
@pytest.mark.parametrize("name", BODIES)
def test_light_changes_no_measure_by_half_the_way_to_another_size(name: str, light: str) -> None:
    height_cm = float(truth()[name]["height_cm"])
    lit = as_jpeg(LIGHTS[light](decoded(name)))
    assert np.abs(measures(lit, height_cm) - measures(photo(name), height_cm)).max() < MAX_CHANGE_CM


@pytest.mark.parametrize("light", LIGHTS)
def test_the_network_is_shown_the_same_colours_in_any_light(light: str) -> None:
    shown = [prepare_picture(data).image for data in (photo("b0001.jpg"), as_jpeg(LIGHTS[light](decoded("b0001.jpg"))))]
    assert np.abs(np.subtract(*(np.asarray(image, dtype=float) for image in shown))).mean() < 2


def test_the_mean_colour_becomes_a_middle_grey() -> None:
    warm = in_light(0.8, 0.6, 0.5)(noise(60, 200))
    assert channel_means(evened_light(warm)) == pytest.approx([MEAN_LEVEL] * 3, abs=1)


def test_what_is_too_dark_to_see_stays_dark() -> None:
    dark = noise(0, round(DARKEST_MEAN_LEVEL))
    assert (np.asarray(evened_light(dark)) == np.asarray(dark)).all()


def test_a_wall_of_one_colour_keeps_something_of_it() -> None:
    red, green, blue = channel_means(evened_light(Image.new("RGB", (64, 64), (20, 180, 20))))
    assert green > 1.5 * red
    assert red == blue


def test_a_dim_picture_is_brightened_only_so_far() -> None:
    dim = noise(20, 23)
    assert np.asarray(evened_light(dim)).max() <= BRIGHTNESS_GAINS[1] * np.asarray(dim).max()
