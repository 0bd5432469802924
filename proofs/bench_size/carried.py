"""A child on the arm: how many are noticed, and whether the answers to the others hold.

No picture of it may be used, so the child is a stand-in: another rendered body, cut out along its mask, made as small
as a child, given a child's larger head, and laid over the adult. It is not turned, does not sit, and no arm holds it.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Final, NamedTuple

import numpy as np
from PIL import Image

from proofs.bench_size.unseen import Answer, Unseen, answers
from size_rec.calibration.changed_photographs import saved
from size_rec.measuring import Look, clearest_look
from size_rec.outline.head import crown_point, face_height_px
from size_rec.photo.picture import Picture, prepare_picture
from size_rec.pose.model import PoseModel
from size_rec.pose.pose import INSIDE, FloatArray, Joint
from size_rec.vocabulary import PictureRefused, Refusal

HEADS: Final[dict[float, float]] = {0.35: 1.8, 0.45: 1.55, 0.55: 1.4}
"""How tall the child is beside the adult: a baby, one year, two to three years old; and by how much its head, of an
adult's proportions, is enlarged."""
EVERY: Final = 3
"""One body in so many is measured with a child."""
HALF_HEAD: Final = 0.55
"""Half a head's breadth over its height, hair included."""
SOFT_BORDER: Final = 0.15
"""Mask values so far around :data:`size_rec.pose.pose.INSIDE` fade out."""


class Hold(NamedTuple):
    """Where the child's middle column and its crown are: ``across`` from the trunk's middle (0) to the shoulder (1);
    below the shoulders by so many heights of the trunk and of the child."""

    across: float
    down_trunks: float
    down_children: float


HOLDS: Final[dict[str, Hold]] = {
    "before the shoulder": Hold(across=1.0, down_trunks=0.0, down_children=-0.25),
    "on the hip": Hold(across=1.0, down_trunks=0.1, down_children=0.0),
    "before the chest": Hold(across=0.25, down_trunks=-0.02, down_children=0.0),
}


@dataclass(frozen=True)
class Figure:
    """Somebody cut out (RGBA, the crown at the upper border); ``crown_x`` and the face's height in its pixels."""

    image: Image.Image
    crown_x: float
    face_height: float


def cut_out_figure(photograph: Image.Image, pose_model: PoseModel) -> Figure:
    """The person of a photograph, cut out along the mask.

    Raises:
        PictureRefused, ValueError: the person cannot be measured.
    """
    look = clearest_look(prepare_picture(saved(photograph)), pose_model)
    if look.features is None:
        raise ValueError("neither crown nor soles were found")
    colours, opaque = _as_taken(look.picture), _opaque(look)
    colours.putalpha(opaque)
    box = opaque.getbbox()
    if box is None:
        raise ValueError("the mask is empty")
    extent = look.features.extent
    crown = look.cut_out.in_picture(crown_point(look.pose, extent))
    return Figure(
        colours.crop(box), float(crown[0]) - box[0], face_height_px(look.pose, extent) * look.cut_out.square.sample_px
    )


def _opaque(look: Look) -> Image.Image:
    """The look's mask in the size of its picture, from 0 to 255, with a narrow soft border."""
    sharp = np.clip((look.pose.mask - INSIDE) / (2 * SOFT_BORDER) + 0.5, 0, 1)
    mask = Image.fromarray((255 * sharp).astype(np.uint8))
    size = tuple(max(1, round(side * look.cut_out.square.sample_px)) for side in mask.size)
    corner = look.cut_out.in_picture(np.zeros(2))
    opaque = Image.new("L", look.picture.image.size)
    opaque.paste(mask.resize((size[0], size[1]), Image.Resampling.BICUBIC), (round(corner[0]), round(corner[1])))
    return opaque


def with_large_head(figure: Figure, factor: float) -> Image.Image:
    """The figure with the head enlarged around its chin."""
    chin, half = round(figure.face_height) + 1, HALF_HEAD * figure.face_height
    left, right = max(0, round(figure.crown_x - half)), min(figure.image.width, round(figure.crown_x + half))
    small = figure.image.crop((left, 0, right, chin))
    head = small.resize((round(factor * small.width), round(factor * chin)), Image.Resampling.LANCZOS)
    grown = head.height - chin
    child = Image.new("RGBA", (figure.image.width, figure.image.height + grown))
    child.paste(figure.image, (0, grown))
    child.paste(Image.new("RGBA", (right - left, chin)), (left, grown))
    child.alpha_composite(head, (max(0, round(figure.crown_x - head.width / 2)), 0))
    return child


def with_child(photograph: Image.Image, child: Image.Image, share: float, hold: Hold, pose_model: PoseModel) -> bytes:
    """The photograph with ``child``, ``share`` times as tall as the adult, laid over it; as it is where no adult is
    measured."""
    picture = prepare_picture(saved(photograph))
    look = clearest_look(picture, pose_model)
    if look.features is None:
        return saved(photograph)
    sample_px, extent = look.cut_out.square.sample_px, look.features.extent
    height = share * (extent.soles - extent.crown) * sample_px
    width = child.width * height / child.height
    shoulder = _place(look, Joint.LEFT_SHOULDER, Joint.LEFT_SHOULDER)
    middle = _place(look, Joint.LEFT_SHOULDER, Joint.RIGHT_SHOULDER)
    trunk = _place(look, Joint.LEFT_HIP, Joint.RIGHT_HIP)[1] - middle[1]
    x = middle[0] + hold.across * (shoulder[0] - middle[0])
    top = middle[1] + hold.down_trunks * trunk + hold.down_children * height
    small = child.resize((max(1, round(width)), max(1, round(height))), Image.Resampling.LANCZOS)
    both = _as_taken(look.picture)
    both.paste(small, (round(x - width / 2), round(top)), small)
    return saved(both)


def _place(look: Look, left: Joint, right: Joint) -> FloatArray:
    """The point half-way between two joints, in pixels of the picture."""
    return look.cut_out.in_picture(look.pose.middle(left, right))


def _as_taken(picture: Picture) -> Image.Image:
    return picture.in_its_own_light().image.copy()


def print_carried(these: Unseen, pose_model: PoseModel) -> None:
    """Print a row for every size of the child and every way to hold it."""
    chosen = slice(None, None, EVERY)
    adults = Unseen(these.rows[chosen], these.photographs[chosen], these.fitted[chosen])
    figures = [cut_out_figure(photograph, pose_model) for photograph in these.photographs[1::EVERY]]
    print(f"\nA stand-in for a child held by {len(adults.rows)} adults, cross-validated by body")
    print(f"{'':32}{'noticed':>9}{'refused otherwise':>19}{'answered':>10}{'of these range holds':>22}")
    _print_row("alone", answers(adults, saved, pose_model))
    for label, hold in HOLDS.items():
        for share, factor in HEADS.items():
            children = iter([with_large_head(figure, factor) for figure in figures])
            change = partial(_change, children.__next__, share=share, hold=hold, pose_model=pose_model)
            _print_row(f"{label}, {share:.2f} as tall", answers(adults, change, pose_model))


def _change(
    next_child: Callable[[], Image.Image],
    photograph: Image.Image,
    *,
    share: float,
    hold: Hold,
    pose_model: PoseModel,
) -> bytes:
    return with_child(photograph, next_child(), share, hold, pose_model)


def _print_row(label: str, got: list[Answer | PictureRefused]) -> None:
    measured = [each for each in got if isinstance(each, Answer)]
    reasons = [each.reason for each in got if isinstance(each, PictureRefused)]
    noticed = reasons.count(Refusal.SEVERAL_PEOPLE)
    holds = f"{np.mean([each.range_holds for each in measured]):.1%}" if measured else "-"
    print(f"{label:32}{noticed:9}{len(reasons) - noticed:19}{len(measured):10}{holds:>22}")
