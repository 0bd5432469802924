"""What a person sees of a measured photograph: the drawing shows the lines that were measured, the right way round."""

from dataclasses import replace

import numpy as np
import pytest
from PIL import Image, ImageFont, ImageOps

from models.size_chart import MAX_LABEL_CHARS
from size_rec.body.body_model import BodyEstimate
from size_rec.body.size_calculator import advise
from size_rec.cli.overlay import ENLARGED, LINE, draw_overlay
from size_rec.cli.panel import TEXT_WIDTH_PX, TITLE_PX, fitting, panel_of, range_lines
from size_rec.measuring import Measured
from size_rec.outline.features import ARM_LEVELS, LEG_LEVELS, TORSO_LEVELS, measure_features
from size_rec.photo.picture import Picture
from size_rec.pose.framing import SAMPLES, Square
from size_rec.vocabulary import Note
from tests.support.size_figures import draw_figure, whole_picture

pytestmark = pytest.mark.heavy

ESTIMATE = BodyEstimate(
    mean_cm=np.array([96.0, 82.0, 98.0, 40.0, 80.0]),
    spread_cm=np.array([3.0, 3.5, 2.5, 0.8, 1.7]),
    loose=0.0,
    surprise=1.0,
    height_cm=175.0,
    height_spread_cm=0.0,
)

ADVICE = advise(ESTIMATE)


@pytest.fixture
def measured() -> Measured:
    pose, rgb = draw_figure(left_px=180)
    features = measure_features(pose, rgb)
    assert features is not None
    picture = Picture(Image.fromarray(rgb), mirrored=False)
    return Measured(picture, whole_picture(rgb), pose, features, ESTIMATE, ADVICE)


def test_every_measured_line_is_on_the_drawing(measured: Measured) -> None:
    drawing = np.asarray(draw_overlay(measured))
    features = measured.features
    lines = np.concatenate([features.torso.ends, features.legs.ends, features.arms.ends.reshape(-1, 2, 2)])
    assert len(lines) == len(TORSO_LEVELS) + 2 * len(LEG_LEVELS) + 2 * len(ARM_LEVELS)
    for (x0, y0), (x1, y1) in lines:
        x, y = ENLARGED * (0.75 * x0 + 0.25 * x1 + 0.5), ENLARGED * (0.75 * y0 + 0.25 * y1 + 0.5)
        around = drawing[round(y) - 2 : round(y) + 3, round(x) - 2 : round(x) + 3].reshape(-1, 3)
        assert (around == LINE).all(axis=1).any()


def test_what_was_measured_on_a_part_of_the_picture_is_drawn_where_that_part_is(measured: Measured) -> None:
    """The picture shows a second time as much as was measured, to the right and below."""
    small = measured.picture.image
    large = Image.new("RGB", (3 * small.width, 3 * small.height), "grey")
    corner, scale = np.array([40.0, 60.0]), 2.0
    large.paste(small.resize((2 * small.width, 2 * small.height)), (40, 60))
    square = Square(corner + scale * SAMPLES / 2, scale * SAMPLES)
    part = replace(measured, picture=Picture(large, mirrored=False), cut_out=replace(measured.cut_out, square=square))
    drawing = np.asarray(draw_overlay(part))
    row, edge = measured.features.torso.rows[6], measured.features.torso.left[6]
    x, y = (ENLARGED * (corner + scale * (np.array([edge, row]) + 0.5))).round().astype(int)
    assert tuple(drawing[y, x + 40]) == LINE
    assert drawing[y + 6, x + 16, 2] > 100, "tinted inside"
    assert drawing[y + 6, x - 16, 2] < 0.6 * 220 + 1, "dimmed outside"


def test_a_line_that_is_lost_is_left_out(measured: Measured) -> None:
    lost = replace(measured.features.torso, left=np.full(len(TORSO_LEVELS), np.nan))
    without = replace(measured, features=replace(measured.features, torso=lost))
    row, column = round(ENLARGED * (measured.features.torso.rows[6] + 0.5)), round(ENLARGED * 180)
    assert tuple(np.asarray(draw_overlay(measured))[row, column]) == LINE
    assert tuple(np.asarray(draw_overlay(without))[row, column]) != LINE


def test_what_was_measured_in_a_mirror_is_shown_as_the_photograph_was(measured: Measured) -> None:
    plain = draw_overlay(measured)
    turned = draw_overlay(replace(measured, picture=replace(measured.picture, mirrored=True)))
    width = ENLARGED * measured.picture.image.width
    box = (0, 0, width, plain.height)
    assert turned.crop(box).tobytes() == ImageOps.mirror(plain.crop(box)).tobytes()
    panel = (width, 0, plain.width, plain.height)
    assert turned.crop(panel).tobytes() == plain.crop(panel).tobytes()


@pytest.mark.parametrize("letter", ["i", "W", "尺"])
@pytest.mark.parametrize("chars", [1, 12, MAX_LABEL_CHARS])
def test_every_label_is_written_to_its_end(letter: str, chars: int) -> None:
    label = letter * chars
    lines = [fitting(f"Size {label}", TITLE_PX), *range_lines(replace(ADVICE, smallest=label, largest=label))]
    lines += range_lines(replace(ADVICE, smallest=label, largest=f"{label[:-1]}X"))
    assert all(ImageFont.load_default(line.size_px).getlength(line.text) <= TEXT_WIDTH_PX for line in lines)


def test_short_labels_are_written_large_and_as_one_range() -> None:
    assert fitting("Size M", TITLE_PX).size_px == TITLE_PX
    assert [line.text for line in range_lines(replace(ADVICE, largest="L"))] == ["M to L"]


def test_the_labels_of_a_long_range_stand_in_lines_of_their_own() -> None:
    long = replace(ADVICE, smallest="EU 52 / US 42 / IT 52 Regular", largest="EU 54 / US 44 / IT 54 Regular")
    assert [line.text for line in range_lines(long)] == [f"{long.smallest} to", long.largest]


def test_the_panel_beside_a_small_picture_is_not_cut_off(measured: Measured) -> None:
    small = replace(measured.picture, image=measured.picture.image.crop((0, 0, 400, 100)))
    everything = replace(measured, picture=small, advice=replace(ADVICE, notes=tuple(Note)))
    panel = panel_of(everything)
    sheet = draw_overlay(everything)
    assert sheet.crop((sheet.width - panel.width, 0, sheet.width, panel.height)).tobytes() == panel.tobytes()
