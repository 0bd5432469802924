"""[pure] Finds the outline of a person on the mask: crown, soles, torso, arms and legs.

All lengths are in pixels of the mask, never in centimetres. Rows count downwards. A value that cannot be measured is
NaN.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from size_rec.pose.pose import INSIDE, BoolArray, FloatArray, IndexArray, Joint, MaskArray, Pose

SEARCH_SHARE = 0.03
"""How far outside the mask an expected point may lie and still belong to it, as a share of the figure's height."""
HEAD_HALF_WIDTH_SHARE = 0.09
"""Half-width of the strip around the nose in which the crown is looked for, as a share of the figure's height."""
FOOT_HALF_WIDTH_SHARE = 0.08
"""Half-width of the strip around each foot in which the sole is looked for, as a share of the figure's height."""
HEIGHT_OVER_NOSE_TO_ANKLES = 1.2
"""Factor for a first estimate of the figure's height from two landmarks; only the search strips above depend on it."""
HAND_BEYOND_WRIST = 0.55
"""How far the hand extends beyond the wrist, as a share of the forearm's length. Less than the 0.72 of hand length over
forearm length (ANSUR II), because the fingers of a hanging hand are bent."""
RAY_LENGTH_SHARE = 0.09
"""Largest thickness of a limb on one side of its bone, as a share of the figure's height."""
RAY_STEPS = 32
"""Samples along a ray: more than one per pixel for the largest figure; the border lies between two of them."""

Limb = tuple[Joint, Joint, Joint]
ARMS: tuple[Limb, Limb] = (
    (Joint.LEFT_SHOULDER, Joint.LEFT_ELBOW, Joint.LEFT_WRIST),
    (Joint.RIGHT_SHOULDER, Joint.RIGHT_ELBOW, Joint.RIGHT_WRIST),
)
LEGS: tuple[Limb, Limb] = (
    (Joint.LEFT_HIP, Joint.LEFT_KNEE, Joint.LEFT_ANKLE),
    (Joint.RIGHT_HIP, Joint.RIGHT_KNEE, Joint.RIGHT_ANKLE),
)
FEET = ((Joint.LEFT_ANKLE, Joint.LEFT_FOOT), (Joint.RIGHT_ANKLE, Joint.RIGHT_FOOT))


@dataclass(frozen=True)
class Extent:
    """The figure's real extent: the crown's row (hair included) and the soles' row (shoes included)."""

    crown: float
    soles: float

    @property
    def height(self) -> float:
        """Crown to soles in pixels."""
        return self.soles - self.crown


@dataclass(frozen=True)
class Spans:
    """Horizontal pieces of the outline, one per entry: ``rows``, ``left`` and ``right`` in fractional pixels."""

    rows: FloatArray
    left: FloatArray
    right: FloatArray

    @property
    def widths(self) -> FloatArray:
        """Their lengths in pixels."""
        return self.right - self.left

    def within(self, width: int) -> "Spans":
        """The same with NaN for pieces that reach the border of a picture of ``width`` columns: they may be cut off."""
        shown = (self.left > 0) & (self.right < width - 1)
        return Spans(self.rows, np.where(shown, self.left, np.nan), np.where(shown, self.right, np.nan))

    @property
    def ends(self) -> FloatArray:
        """Both ends of every piece as (x, y): (..., 2, 2)."""
        return np.stack([np.column_stack([self.left, self.rows]), np.column_stack([self.right, self.rows])], axis=1)


@dataclass(frozen=True)
class Crossings:
    """Lines across limbs: ``points`` on the bone and unit vectors ``across`` it (..., 2), ``widths`` (...) in pixels,
    half of it on either side of the bone."""

    points: FloatArray
    across: FloatArray
    widths: FloatArray

    @property
    def ends(self) -> FloatArray:
        """Both ends of every line: (..., 2, 2)."""
        half = self.across * self.widths[..., None] / 2
        return np.stack([self.points - half, self.points + half], axis=-2)


def spans_at(mask: MaskArray, rows: FloatArray, columns: FloatArray, reach: float) -> Spans:
    """At every row, the piece of the outline that contains the column, or comes within ``reach`` pixels of it."""
    picture = _rows(mask, rows)
    width = mask.shape[1]
    inside = picture > INSIDE
    start, distance = _nearest(inside, columns)
    found = distance <= max(reach, 1.0)
    index, outside = np.arange(width, dtype=np.int16), ~inside
    left = _last(outside & (index < start[:, None]), otherwise=-1) + 1
    right = _first(outside & (index > start[:, None]), otherwise=width) - 1
    each = np.arange(len(picture))
    before, after = picture[each, np.maximum(left - 1, 0)], picture[each, np.minimum(right + 1, width - 1)]
    left_edge = np.where(left > 0, left - _crossing(picture[each, left], before), left.astype(float))
    right_edge = np.where(right + 1 < width, right + _crossing(picture[each, right], after), right.astype(float))
    return Spans(rows, np.where(found, left_edge, np.nan), np.where(found, right_edge, np.nan))


def _nearest(inside: BoolArray, columns: FloatArray) -> tuple[IndexArray, FloatArray]:
    """In every row, the inside pixel nearest to the column (the left one of two) and its distance, infinite if none."""
    width = inside.shape[1]
    index = np.arange(width, dtype=np.int16)
    border = np.clip(np.ceil(columns), 0, width).astype(np.int16)[:, None]
    before = _last(inside & (index < border), otherwise=-1)
    after = _first(inside & (index >= border), otherwise=width)
    to_left = np.where(before >= 0, columns - before, np.inf)
    to_right = np.where(after < width, after - columns, np.inf)
    start = np.where(to_left <= to_right, np.maximum(before, 0), np.minimum(after, width - 1))
    return start, np.abs(np.minimum(to_left, to_right))


def _first(marked: BoolArray, *, otherwise: int) -> IndexArray:
    """The column of the first marked pixel of every row. Fast, because it searches one byte per pixel."""
    columns = marked.argmax(axis=1)
    first: IndexArray = np.where(marked[np.arange(len(marked)), columns], columns, otherwise)
    return first


def _last(marked: BoolArray, *, otherwise: int) -> IndexArray:
    """The column of the last marked pixel of every row."""
    width = marked.shape[1]
    last: IndexArray = width - 1 - _first(marked[:, ::-1], otherwise=width - 1 - otherwise)
    return last


def _rows(mask: MaskArray, rows: FloatArray) -> MaskArray:
    """The mask's rows at fractional positions, neighbours blended; outside the picture the nearest row."""
    inside = np.clip(rows, 0, len(mask) - 1.001)
    above = inside.astype(int)
    share = (inside - above)[:, None].astype(np.float32)
    blended: MaskArray = mask[above] * (1 - share) + mask[above + 1] * share
    return blended


def _crossing(inner: MaskArray, outer: MaskArray) -> FloatArray:
    """Where the outline lies between the inner pixel and its outer neighbour, 0 to 1."""
    share: FloatArray = np.clip((inner - INSIDE) / np.maximum(inner - outer, 1e-6), 0.0, 1.0).astype(np.float64)
    return share


def border_distance(mask: MaskArray, starts: FloatArray, directions: FloatArray, length: float) -> FloatArray:
    """Distance in pixels from every start (x, y) along its unit direction to the outline's border; NaN when the
    picture ends first."""
    steps = np.linspace(0.0, length, RAY_STEPS)
    points = starts[:, None, :] + steps[None, :, None] * directions[:, None, :]
    values, shown = _bilinear(mask, points)
    outside = values <= INSIDE
    first = outside.argmax(axis=1)
    each = np.arange(len(starts))
    inner, outer = values[each, np.maximum(first - 1, 0)], values[each, first]
    distance = (first - 1 + _crossing(inner, outer)) * (steps[1] - steps[0])
    return np.where(outside.any(axis=1) & (first > 0) & shown[each, first], distance, np.nan)


def _bilinear(mask: MaskArray, points: FloatArray) -> tuple[MaskArray, BoolArray]:
    """The mask at fractional (x, y) points, 0 outside the picture; and which points lie inside it."""
    height, width = mask.shape
    x, y = points[..., 0], points[..., 1]
    valid = (x >= 0) & (y >= 0) & (x < width - 1) & (y < height - 1)
    left, top = np.where(valid, x, 0).astype(int), np.where(valid, y, 0).astype(int)
    across, down = (np.where(valid, x, 0) - left).astype(np.float32), (np.where(valid, y, 0) - top).astype(np.float32)
    upper = mask[top, left] * (1 - across) + mask[top, left + 1] * across
    lower = mask[top + 1, left] * (1 - across) + mask[top + 1, left + 1] * across
    values: MaskArray = np.where(valid, upper * (1 - down) + lower * down, np.float32(0.0))
    return values, valid


def measure_extent(pose: Pose) -> Extent | None:
    """Crown to soles on the mask, or ``None`` when the mask does not reach the head or a foot.

    The crown is searched around the nose and the soles around the feet, so that raised hands, a bag or a shadow beside
    the figure do not count. The soles' row is the mean of both feet.
    """
    nose = pose.point(Joint.NOSE)
    rough = float(pose.middle(Joint.LEFT_ANKLE, Joint.RIGHT_ANKLE)[1] - nose[1]) * HEIGHT_OVER_NOSE_TO_ANKLES
    if rough <= 0:
        return None
    ankles = [((pose.point(ankle)[0] + pose.point(toes)[0]) / 2, pose.point(ankle)[1]) for ankle, toes in FEET]
    runs = _vertical_runs(
        pose.mask,
        np.array([nose, *ankles]),
        rough * np.array([HEAD_HALF_WIDTH_SHARE, FOOT_HALF_WIDTH_SHARE, FOOT_HALF_WIDTH_SHARE]),
        SEARCH_SHARE * rough,
    )
    crown, soles = runs.left[0], runs.right[1:].mean()
    return None if np.isnan(crown + soles) else Extent(float(crown), float(soles))


def _vertical_runs(mask: MaskArray, points: FloatArray, half_widths: FloatArray, reach: float) -> Spans:
    """First and last row (``left``, ``right``) of the outline around each point, over all columns within the
    half-width of it."""
    height, width = mask.shape
    profiles = np.zeros((len(points) + 1, height), dtype=mask.dtype)  # one more: rows are blended with the next
    for profile, (x, y), half_width in zip(profiles, points, half_widths, strict=False):
        left, right = max(0, round(x - half_width)), min(width, round(x + half_width) + 1)
        if left < right and 0 <= y < height:
            np.max(mask[:, left:right], axis=1, out=profile)
    return spans_at(profiles, np.arange(len(points), dtype=float), points[:, 1], reach)


def cut_arms(pose: Pose, spans: Spans, centers: FloatArray) -> Spans:
    """The torso's part of each span around its center column.

    An arm that touches the torso is part of the same span. Its bone line is known from the landmarks and its outer
    border from the mask; an arm is about as thick on the inner side of the bone as on the outer one, which gives the
    border between arm and torso.
    """
    left, right = spans.left, spans.right
    for arm in ARMS:
        axis = _axis_columns(pose, arm, spans.rows)
        touching = (spans.left < axis) & (axis < spans.right)
        from_left, from_right = 2 * axis - spans.left, 2 * axis - spans.right
        cut_left = touching & (axis < centers) & (left < from_left) & (from_left < centers)
        cut_right = touching & (axis > centers) & (centers < from_right) & (from_right < right)
        left, right = np.where(cut_left, from_left, left), np.where(cut_right, from_right, right)
    return Spans(spans.rows, left, right)


def _axis_columns(pose: Pose, arm: Limb, rows: FloatArray) -> FloatArray:
    """The column at which the arm's bone line (fingers included) passes each row; NaN where it does not."""
    shoulder, elbow, wrist = (pose.point(joint) for joint in arm)
    line = (shoulder, elbow, wrist, wrist + HAND_BEYOND_WRIST * (wrist - elbow))
    columns = np.full(len(rows), np.nan)
    for (x0, y0), (x1, y1) in pairwise(line):
        if y0 != y1:
            along = (rows - y0) / (y1 - y0)
            columns = np.where((along >= 0) & (along <= 1), x0 + (x1 - x0) * along, columns)
    return columns


def limb_points(pose: Pose, limb: Limb, levels: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Points on a limb's bone line and the line's unit direction there; level 0 is its root, 1 the middle joint, 2 the
    end."""
    root, middle, end = (pose.point(joint) for joint in limb)
    upper = (levels <= 1)[:, None]
    along = np.where(levels <= 1, levels, levels - 1)[:, None]
    start, vector = np.where(upper, root, middle), np.where(upper, middle - root, end - middle)
    return start + along * vector, vector / np.maximum(np.hypot(*vector.T), 1e-6)[:, None]


def limb_crossings(pose: Pose, limbs: Sequence[Limb], levels: FloatArray, height: float) -> Crossings:
    """Across every limb at every level, square to the bone: (limbs, levels).

    Measured from the bone line to the outline on the side away from the body, and taken twice: the outer side is
    always free, while the inner one may touch the torso. A limb that cannot be seen has no width.
    """
    lines = [limb_points(pose, limb, levels) for limb in limbs]
    points, along = np.concatenate([line[0] for line in lines]), np.concatenate([line[1] for line in lines])
    across = np.column_stack([-along[:, 1], along[:, 0]])
    body = pose.middle(Joint.LEFT_SHOULDER, Joint.RIGHT_SHOULDER)[0]
    outward = np.sign(points[:, 0] - body) * np.sign(across[:, 0])
    across = across * np.where(outward == 0, 1.0, outward)[:, None]
    distances = border_distance(pose.mask, points, across, RAY_LENGTH_SHARE * height)
    distances[np.repeat([not pose.shows(*limb) for limb in limbs], len(levels))] = np.nan
    shape = len(limbs), len(levels)
    return Crossings(points.reshape(*shape, 2), across.reshape(*shape, 2), 2 * distances.reshape(shape))
