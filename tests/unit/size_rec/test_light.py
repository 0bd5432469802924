"""The light a photograph was taken in changes neither what the network sees nor the answer by much."""

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
from PIL import Image, ImageOps

from size_rec.body.fitted import load_fitted
from size_rec.measuring import GREY_SPREAD, measure_picture
from size_rec.photo.light import BRIGHTNESS_GAINS, DARKEST_MEAN_LEVEL, MEAN_LEVEL, evened_light
from size_rec.photo.picture import prepare_picture
from size_rec.vocabulary import Note
from tests.support.size_photos import as_jpeg, decoded, measures, photo, pose_model, truth

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


def test_a_grey_photograph_is_told_from_a_dim_one_a_warm_one_and_a_brown_one() -> None:
    picture = decoded("b0001.jpg")
    grey = picture.convert("L")
    brown = ImageOps.colorize(grey, (30, 15, 0), (255, 240, 200))
    assert prepare_picture(as_jpeg(grey.convert("RGB"))).grey
    assert prepare_picture(as_jpeg(grey)).grey
    for other in (picture, brown, *(light(picture) for light in LIGHTS.values())):
        assert not prepare_picture(as_jpeg(other)).grey


def test_a_grey_photograph_stays_one_in_the_mirror_and_in_its_own_light() -> None:
    grey = prepare_picture(as_jpeg(decoded("b0001.jpg").convert("L")))
    assert grey.mirror_image().grey
    assert grey.in_its_own_light().grey


def test_the_answer_to_a_grey_photograph_is_less_certain_and_says_why() -> None:
    picture, height_cm = prepare_picture(photo("b0001.jpg")), float(truth()["b0001.jpg"]["height_cm"])
    coloured, grey = (
        measure_picture(replace(picture, grey=grey), pose_model(), load_fitted(), height_cm=height_cm)
        for grey in (False, True)
    )
    assert grey.estimate.spread_cm == pytest.approx(GREY_SPREAD * coloured.estimate.spread_cm)
    assert grey.advice.confidence < coloured.advice.confidence
    assert set(grey.advice.notes) - set(coloured.advice.notes) == {Note.GREY_PICTURE}


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
