"""Photographs of people who cover the face: how many are measured, and how well."""

from collections import Counter
from collections.abc import Callable
from functools import partial

import numpy as np
from PIL import Image, ImageDraw

from proofs.bench_size.unseen import Answer, Unseen, answers, mean_errors_cm
from size_rec.calibration.changed_photographs import saved
from size_rec.measuring import clearest_look
from size_rec.outline.head import crown_point, face_height_px
from size_rec.photo.picture import prepare_picture
from size_rec.pose.model import PoseModel
from size_rec.vocabulary import PictureRefused

GIRTHS = 3
"""Chest, waist and hip come first."""

Box = tuple[float, float, float]
"""Half the width, top and bottom, as shares of the distance from crown to chin."""

COVERS: dict[str, tuple[Box, tuple[int, int, int]]] = {
    "phone from crown to chin": ((0.3, -0.03, 1.0), (20, 20, 24)),
    "phone over eyes and mouth": ((0.25, 0.3, 0.95), (230, 230, 230)),
    "mask over nose and mouth": ((0.33, 0.58, 1.02), (190, 215, 235)),
}


def covered(photograph: Image.Image, pose_model: PoseModel, box: Box, colour: tuple[int, int, int]) -> bytes:
    """The photograph with a rectangle over the face; as it is where the head is not found."""
    picture = prepare_picture(saved(photograph))
    seen = clearest_look(picture, pose_model)
    if seen.features is None:
        return saved(photograph)
    extent = seen.features.extent
    x, top = seen.cut_out.in_picture(crown_point(seen.pose, extent))
    height = face_height_px(seen.pose, extent) * seen.cut_out.square.sample_px
    image = seen.picture.in_its_own_light().image.copy()
    half_width, upper, lower = box
    corners = (x - half_width * height, top + upper * height, x + half_width * height, top + lower * height)
    ImageDraw.Draw(image).rectangle(corners, fill=colour)
    return saved(image)


def print_covered(these: Unseen, pose_model: PoseModel) -> None:
    """Print a row for every cover."""
    print("\nSomething over the face, cross-validated by body")
    print(f"{'':28}{'measured':>9}{'range holds':>13}{'error of chest, waist, hip':>28}   refused")
    covers: dict[str, Callable[[Image.Image], bytes]] = {
        label: partial(covered, pose_model=pose_model, box=box, colour=colour)
        for label, (box, colour) in COVERS.items()
    }
    for label, cover in covers.items():
        got = answers(these, cover, pose_model)
        measured = [each for each in got if isinstance(each, Answer)]
        refused = Counter(each.reason.value for each in got if isinstance(each, PictureRefused))
        errors = " ".join(f"{error:5.2f}" for error in mean_errors_cm(got)[:GIRTHS])
        holds = np.mean([each.range_holds for each in measured])
        reasons = ", ".join(f"{reason} {count}" for reason, count in refused.most_common())
        print(f"{label:28}{len(measured):9}{holds:13.1%}{errors:>28}   {reasons}")
