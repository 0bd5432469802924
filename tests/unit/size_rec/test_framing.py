"""What of a picture the networks see: where it comes from, and that every place is found again."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from size_rec.pose.framing import (
    MIN_SIDE_PX,
    SAMPLES,
    WHOLE_SAMPLES,
    Square,
    as_input,
    cut_out,
    letterboxed,
    square_of_points,
)
from size_rec.pose.pose import MaskArray, RgbArray

STANDING = np.array([(200.0, 250.0), (200.0, 50.0), (200.0, 118.0), (200.0, -27.0)])
"""Hips, the circle's edge, shoulders, the trunk's edge: a person of about 400 px."""


def ramp(width: int, height: int) -> Image.Image:
    """A picture whose red grows to the right and whose green grows downwards, so that a colour tells its place."""
    red, green = np.meshgrid(np.linspace(0, 255, width), np.linspace(0, 255, height))
    return Image.fromarray(np.stack([red, green, np.zeros_like(red)], axis=2).round().astype(np.uint8))


def place_of(colour: RgbArray, picture: Image.Image) -> tuple[float, float]:
    """Where in a :func:`ramp` a colour is, in pixels from the left and upper border."""
    red, green, _ = colour.astype(float)
    return red / 255 * (picture.width - 1) + 0.5, green / 255 * (picture.height - 1) + 0.5


@pytest.mark.parametrize(
    ("center", "side"),
    [((200, 150), 220.0), ((100, 150), 300.0), ((390, 10), 250.0), ((200.3, 149.8), 500.0)],
    ids=["inside", "beyond the left", "beyond a corner", "around everything"],
)
def test_every_sample_shows_the_place_it_stands_for(center: tuple[float, float], side: float) -> None:
    picture = ramp(400, 300)
    part = cut_out(picture, Square(np.array(center, dtype=float), side))
    assert part is not None
    rows, columns = part.rgb.shape[:2]
    for row, column in ((2, 2), (rows // 2, columns // 3), (rows - 3, columns - 3)):
        expected = part.in_picture(np.array([column + 0.5, row + 0.5]))
        assert place_of(part.rgb[row, column], picture) == pytest.approx(tuple(expected), abs=1.5)


def test_beyond_the_picture_its_border_goes_on() -> None:
    part = cut_out(ramp(400, 300), Square(np.array([20.0, 150.0]), 400.0))
    assert part is not None
    whole = part.whole()
    assert whole.shape == (SAMPLES, SAMPLES, 3)
    assert part.columns.start > 0
    assert (whole[part.rows, : part.columns.start] == part.rgb[:, :1]).all()


def test_a_square_beside_the_picture_is_not_looked_at() -> None:
    assert cut_out(ramp(400, 300), Square(np.array([900.0, 150.0]), 200.0)) is None


@given(x=st.floats(-50, 450), y=st.floats(-50, 350), side=st.floats(MIN_SIDE_PX, 3000))
@settings(max_examples=200, deadline=None)
def test_any_square_is_sampled_within_the_picture(x: float, y: float, side: float) -> None:
    part = cut_out(ramp(400, 300), Square(np.array([x, y]), side))
    if part is not None:
        assert part.whole().shape == (SAMPLES, SAMPLES, 3)
        for corner in ((0, 0), part.rgb.shape[1::-1]):
            found = part.in_picture(np.array(corner, dtype=float))
            assert (found >= -1e-6).all()
            assert (found <= np.array([400, 300]) + 1e-6).all()
        last = part.in_picture(np.array(part.rgb.shape[1::-1], dtype=float))
        reach = np.minimum((400, 300), part.square.corner + part.square.side)
        assert (reach - last < part.square.sample_px + 1e-6).all(), "no more than a sample is lost"


def mask_with(row: int) -> MaskArray:
    mask = np.zeros((SAMPLES, SAMPLES), dtype=np.float32)
    mask[row, 100] = 0.6
    return mask


@pytest.mark.parametrize(
    ("center_y", "row", "too_early"),
    [(150.0, 0, True), (150.0, -1, True), (150.0, 1, False), (150.0, -2, False), (30.0, 0, False), (290.0, -1, False)],
    ids=["above", "below", "just not above", "just not below", "the picture ends above", "the picture ends below"],
)
def test_a_square_ends_too_early_where_person_and_picture_go_on(center_y: float, row: int, too_early: bool) -> None:
    part = cut_out(ramp(400, 300), Square(np.array([200.0, center_y]), 200.0))
    assert part is not None
    assert part.ends_too_early(part.shown(mask_with(row))) is too_early
    larger = cut_out(ramp(400, 300), part.square.enlarged())
    assert larger is not None
    assert larger.square.side == pytest.approx(1.15 * 200)


def test_of_a_mask_the_part_in_the_picture_is_shown() -> None:
    part = cut_out(ramp(400, 300), Square(np.array([200.0, 30.0]), 200.0))
    assert part is not None
    mask = part.shown(mask_with(part.rows.start + 3))
    assert mask.shape == part.rgb.shape[:2]
    assert mask[3, 100] > 0.5


@pytest.mark.parametrize("size", [(400, 300), (300, 400), (37, 500), (224, 224), (50, 20)])
def test_the_whole_picture_is_found_again_in_the_letterbox(size: tuple[int, int]) -> None:
    picture = ramp(*size)
    pixels, letterbox = letterboxed(picture)
    assert pixels.shape == (WHOLE_SAMPLES, WHOLE_SAMPLES, 3)
    left, top = letterbox.offset
    assert letterbox.in_picture(np.array([left, top]) / WHOLE_SAMPLES) == pytest.approx((0, 0))
    middle = np.array([left + letterbox.size[0] / 2, top + letterbox.size[1] / 2]) / WHOLE_SAMPLES
    assert letterbox.in_picture(middle) == pytest.approx((size[0] / 2, size[1] / 2))


def test_the_networks_get_the_ranges_they_were_trained_with() -> None:
    white = Image.new("RGB", (100, 60), (255, 255, 255))
    pixels, letterbox = letterboxed(white)
    assert (pixels.min(), pixels.max()) == (-1, 1)
    assert (pixels == 1).sum() == 3 * letterbox.size[0] * letterbox.size[1]
    samples = as_input(np.array([[[0, 51, 255]]], dtype=np.uint8))
    assert samples.dtype == np.float32
    assert samples.ravel() == pytest.approx((0, 0.2, 1))


def test_the_square_around_a_person_holds_them_and_moves_and_grows_with_them() -> None:
    square = square_of_points(STANDING)
    assert square.side == pytest.approx(2.43 * 200, rel=0.1)
    assert square.center[1] == pytest.approx(235, abs=15)
    step = np.array([30.0, -20.0])
    moved, doubled = square_of_points(STANDING + step), square_of_points(STANDING * 2.0)
    assert moved.center == pytest.approx(square.center + step)
    assert (moved.side, doubled.side) == pytest.approx((square.side, 2 * square.side))


@pytest.mark.parametrize(("edge", "around", "weight"), [(1, 0, 0.2), (3, 2, 0.4)], ids=["the body's", "the trunk's"])
def test_an_unsteady_edge_changes_the_square_by_a_part_of_its_own_change(edge: int, around: int, weight: float) -> None:
    steady, nudged = square_of_points(STANDING), STANDING.copy()
    nudged[edge] += 0.05 * (STANDING[edge] - STANDING[around])
    unsteady = square_of_points(nudged)
    assert unsteady.side / steady.side - 1 == pytest.approx(0.05 * weight, rel=0.1)
    assert unsteady.center == pytest.approx(steady.center, abs=2.5)
