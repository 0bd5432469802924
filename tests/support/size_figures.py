"""A drawn figure and its landmarks, for tests of what is measured on an outline: every length is known."""

from collections.abc import Callable

import numpy as np
from PIL import Image, ImageDraw

from size_rec.pose.framing import SAMPLES, CutOut, Square
from size_rec.pose.pose import FloatArray, Joint, MaskArray, PersonBox, Pose, RgbArray

OVERSAMPLED = 4
"""The mask is drawn larger and averaged down, so that its borders are as soft as the model's."""

SHIRT, TROUSERS, WALL = (200, 40, 40), (40, 60, 160), (220, 220, 220)

# The figure in units of its own height, x to the right of its middle, y down from the crown. The person's left is
# on the picture's right.
HEAD = (-0.05, 0.0, 0.05, 0.14)
NECK = (-0.03, 0.1, 0.03, 0.2)
TORSO = (-0.1, 0.18, 0.1, 0.5)
ARM_HALF_WIDTH = 0.02
LEG_OUTER, LEG_INNER = 0.095, 0.015
SOLES = 1.0
HAND = (0.235, 0.48)

JOINTS = {
    Joint.NOSE: (0.0, 0.07),
    Joint.LEFT_EYE: (0.015, 0.06),
    Joint.RIGHT_EYE: (-0.015, 0.06),
    Joint.LEFT_SHOULDER: (0.1, 0.2),
    Joint.RIGHT_SHOULDER: (-0.1, 0.2),
    Joint.LEFT_ELBOW: (0.17, 0.33),
    Joint.RIGHT_ELBOW: (-0.17, 0.33),
    Joint.LEFT_WRIST: (0.22, 0.45),
    Joint.RIGHT_WRIST: (-0.22, 0.45),
    Joint.LEFT_HIP: (0.055, 0.48),
    Joint.RIGHT_HIP: (-0.055, 0.48),
    Joint.LEFT_KNEE: (0.055, 0.72),
    Joint.RIGHT_KNEE: (-0.055, 0.72),
    Joint.LEFT_ANKLE: (0.055, 0.94),
    Joint.RIGHT_ANKLE: (-0.055, 0.94),
    Joint.LEFT_HEEL: (0.055, 0.97),
    Joint.RIGHT_HEEL: (-0.055, 0.97),
    Joint.LEFT_FOOT: (0.065, 0.99),
    Joint.RIGHT_FOOT: (-0.065, 0.99),
}


def draw_figure(
    *, height_px: float = 400.0, left_px: float = 200.0, top_px: float = 40.0, width: int = 400, height: int = 480
) -> tuple[Pose, RgbArray]:
    """A standing figure whose middle is at column ``left_px`` and whose crown is at row ``top_px``."""

    def place(x: float, y: float) -> tuple[float, float]:
        return (left_px + x * height_px, top_px + y * height_px)

    landmarks = np.tile([*place(0.0, 0.07), 1.0], (33, 1))
    for joint, (x, y) in JOINTS.items():
        landmarks[joint, :2] = place(x, y)
    mask = _draw_mask(place, height_px, width, height)
    pose = Pose(
        landmarks=landmarks,
        world=_world(),
        mask=mask,
        people=(PersonBox(1.0),),
    )
    return pose, _dress(mask, top_px + TORSO[3] * height_px)


def mirrored(pose: Pose, rgb: RgbArray) -> tuple[Pose, RgbArray]:
    """What the model would say of the mirror image: columns reversed, left and right joints exchanged."""
    partner = np.arange(33)
    for joint in Joint:
        partner[joint] = Joint[_other_side(joint.name)]
    landmarks, world = pose.landmarks[partner].copy(), pose.world[partner].copy()
    landmarks[:, 0] = pose.mask.shape[1] - 1 - landmarks[:, 0]
    world[:, 0] = -world[:, 0]
    return Pose(landmarks, world, pose.mask[:, ::-1], pose.people), np.ascontiguousarray(rgb[:, ::-1])


def padded(pose: Pose, rgb: RgbArray, *, left: int, top: int, right: int, bottom: int) -> tuple[Pose, RgbArray]:
    """The same figure in a larger picture."""
    landmarks = pose.landmarks + np.array([left, top, 0.0])
    mask = np.pad(pose.mask, ((top, bottom), (left, right)))
    wall = np.pad(rgb, ((top, bottom), (left, right), (0, 0)), mode="edge")
    return Pose(landmarks, pose.world, mask, pose.people), wall


def whole_picture(rgb: RgbArray) -> CutOut:
    """A cut-out that is the picture itself, pixel for pixel."""
    height, width = rgb.shape[:2]
    return CutOut(Square(np.full(2, SAMPLES / 2), SAMPLES), rgb, slice(0, height), slice(0, width))


def _other_side(name: str) -> str:
    return "_".join({"LEFT": "RIGHT", "RIGHT": "LEFT"}.get(word, word) for word in name.split("_"))


def _draw_mask(
    place: Callable[[float, float], tuple[float, float]], height_px: float, width: int, height: int
) -> MaskArray:
    big = Image.new("L", (width * OVERSAMPLED, height * OVERSAMPLED))
    draw = ImageDraw.Draw(big)

    def scaled(*points: tuple[float, float]) -> list[tuple[float, float]]:
        # Pixel centres lie on whole numbers in the mask, and half a pixel further on the drawing's scale.
        return [((x + 0.5) * OVERSAMPLED, (y + 0.5) * OVERSAMPLED) for x, y in (place(*point) for point in points)]

    draw.ellipse(scaled(HEAD[:2], HEAD[2:]), fill=255)
    for left, top, right, bottom in (NECK, TORSO):
        draw.polygon(scaled((left, top), (right, top), (right, bottom), (left, bottom)), fill=255)
    for side in (-1, 1):
        draw.polygon(
            scaled(
                (side * LEG_INNER, 0.5), (side * LEG_OUTER, 0.5), (side * LEG_OUTER, SOLES), (side * LEG_INNER, SOLES)
            ),
            fill=255,
        )
        arm = [JOINTS[Joint.LEFT_SHOULDER], JOINTS[Joint.LEFT_ELBOW], JOINTS[Joint.LEFT_WRIST], HAND]
        line = scaled(*((side * x, y) for x, y in arm))
        draw.line(line, fill=255, width=round(2 * ARM_HALF_WIDTH * height_px * OVERSAMPLED), joint="curve")
    small = big.resize((width, height), Image.Resampling.BOX)
    return np.asarray(small, dtype=np.float32) / np.float32(255)


def _dress(mask: MaskArray, hem_px: float) -> RgbArray:
    rgb = np.full((*mask.shape, 3), WALL, dtype=np.uint8)
    person = mask > 0.5
    rows = np.arange(len(mask))[:, None]
    rgb[person & (rows <= hem_px)] = SHIRT
    rgb[person & (rows > hem_px)] = TROUSERS
    return rgb


def _world() -> FloatArray:
    """The joints in metres around the hips, flat towards the camera, for a figure of 1.75 m."""
    hips_row = JOINTS[Joint.LEFT_HIP][1]
    world = np.zeros((33, 3))
    for joint, (x, y) in JOINTS.items():
        world[joint] = (1.75 * x, 1.75 * (y - hips_row), 0.0)
    return world
