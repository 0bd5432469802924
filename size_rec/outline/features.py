"""[pure] Computes the features of a pose: numbers that do not depend on the picture's size, position or mirroring.

A breadth is the natural logarithm of its share of the figure's height (crown to soles on the mask). So an error of
scale (hair, shoes, a tilted camera) is an additive term, which a linear model can estimate. Left and right are
averaged, so that a mirrored picture has the same features.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from math import dist, isfinite, log

import numpy as np

from size_rec.outline.garment import hem_below_hips
from size_rec.outline.silhouette import (
    ARMS,
    LEGS,
    SEARCH_SHARE,
    Crossings,
    Extent,
    Spans,
    cut_arms,
    limb_crossings,
    limb_points,
    measure_extent,
    spans_at,
)
from size_rec.pose.pose import FloatArray, Joint, Pose, RgbArray

TORSO_LEVELS = np.arange(12) / 10
"""Levels of the torso: 0 on the line of the shoulder joints, 1 on the line of the hip joints."""
FIRST_LEVEL_WITHOUT_ARMS = 0.2
"""From this torso level downwards the arms are cut off; above it they are part of the shoulders."""
LEG_LEVELS = np.array([0.15, 0.3, 0.45, 0.6, 0.8, 1.0, 1.3, 1.6])
"""Levels of a leg: 0 at the hip joint, 1 at the knee, 2 at the ankle."""
ARM_LEVELS = np.array([0.5, 0.8, 1.2, 1.5, 1.8])
"""Levels of an arm: 0 at the shoulder joint, 1 at the elbow, 2 at the wrist."""
ROWS_AVERAGED = np.linspace(-0.012, 0.012, 5)
"""A breadth is the mean over these rows (shares of the figure's height around its level), to smooth the outline."""
GAP_LEVELS = np.array([0.42, 0.54, 0.68, 1.0])
"""Levels at which the gap between the legs is measured; the level where it opens shows the height of the crotch."""

EYES = (Joint.LEFT_EYE, Joint.RIGHT_EYE)
SHOULDERS = (Joint.LEFT_SHOULDER, Joint.RIGHT_SHOULDER)
HIPS = (Joint.LEFT_HIP, Joint.RIGHT_HIP)
KNEES = (Joint.LEFT_KNEE, Joint.RIGHT_KNEE)
ANKLES = (Joint.LEFT_ANKLE, Joint.RIGHT_ANKLE)
HEELS = (Joint.LEFT_HEEL, Joint.RIGHT_HEEL)
TOES = (Joint.LEFT_FOOT, Joint.RIGHT_FOOT)


@dataclass(frozen=True)
class BodyFeatures:
    """The measurements of one picture.

    ``values`` by name, NaN where the outline was not found. ``torso``, ``legs`` (left, then right) and ``arms`` are the
    measured lines, one per level, in pixels.
    """

    values: dict[str, float]
    extent: Extent
    torso: Spans
    legs: Spans
    arms: Crossings

    @property
    def complete(self) -> bool:
        """Whether every value was found."""
        return all(isfinite(value) for value in self.values.values())


def measure_features(pose: Pose, rgb: RgbArray) -> BodyFeatures | None:
    """All features of one picture, or ``None`` when crown or soles cannot be found on the mask."""
    extent = measure_extent(pose)
    if extent is None:
        return None
    head, torso, legs = horizontal_lines(pose, extent.height)
    arms = limb_crossings(pose, ARMS, ARM_LEVELS, extent.height)
    values = {
        **_named("torso", TORSO_LEVELS, _log_share(torso.widths, extent.height)),
        **_named("leg", LEG_LEVELS, _log_share(_pair_mean(*np.split(legs.widths, len(LEGS))), extent.height)),
        **_named("arm", ARM_LEVELS, _log_share(_pair_mean(*arms.widths), extent.height)),
        **_named("gap", GAP_LEVELS, leg_gaps(pose, extent.height)),
        **joint_features(pose, extent),
        "head_width": float(_log_share(head.widths, extent.height)[0]),
        **posture_features(pose),
        **proportion_features(pose),
        "hem_below_hips": hem_below_hips(pose, rgb),
    }
    return BodyFeatures(values, extent, torso, legs, arms)


def _named(group: str, levels: FloatArray, numbers: FloatArray) -> dict[str, float]:
    return {f"{group}_{level:.2f}": float(number) for level, number in zip(levels, numbers, strict=True)}


def _log_share(lengths: FloatArray, height: float) -> FloatArray:
    """The logarithm of lengths over the figure's height; NaN where there is no length."""
    shares: FloatArray = np.log(np.where(lengths > 0, lengths, np.nan) / height)
    return shares


def horizontal_lines(pose: Pose, height: float) -> tuple[Spans, Spans, Spans]:
    """Horizontal lines across the head, the torso and the legs.

    The head's at the nose, hair included; the torso's at every torso level, without the arms; the legs' at every leg
    level, left leg first. They are found in one search, because most of a search's time does not depend on the number
    of lines.
    """
    shoulders, hips = pose.middle(*SHOULDERS), pose.middle(*HIPS)
    torso_points = shoulders + TORSO_LEVELS[:, None] * (hips - shoulders)
    leg_points = np.concatenate([limb_points(pose, leg, LEG_LEVELS)[0] for leg in LEGS])
    averaged = np.concatenate([torso_points, leg_points])
    nose = pose.point(Joint.NOSE)
    rows = np.concatenate([nose[1:], (averaged[:, 1:] + height * ROWS_AVERAGED).ravel()])
    columns = np.concatenate([nose[:1], np.repeat(averaged[:, 0], len(ROWS_AVERAGED))])
    whole = spans_at(pose.mask, rows, columns, SEARCH_SHARE * height).within(pose.mask.shape[1])
    parts = np.split(np.arange(len(rows)), [1, 1 + TORSO_LEVELS.size * ROWS_AVERAGED.size])
    head, torso, legs = (Spans(whole.rows[part], whole.left[part], whole.right[part]) for part in parts)
    return head, _without_arms(pose, torso, columns[parts[1]]), _parted(pose, legs, columns[parts[2]])


def _without_arms(pose: Pose, whole: Spans, columns: FloatArray) -> Spans:
    """The torso's part of every line; above :data:`FIRST_LEVEL_WITHOUT_ARMS` the whole."""
    without = cut_arms(pose, whole, columns)
    armless = np.repeat(TORSO_LEVELS >= FIRST_LEVEL_WITHOUT_ARMS, len(ROWS_AVERAGED))
    left, right = np.where(armless, without.left, whole.left), np.where(armless, without.right, whole.right)
    return Spans(*(_mean_rows(edge) for edge in (whole.rows, left, right)))


def _parted(pose: Pose, spans: Spans, columns: FloatArray) -> Spans:
    """The part of every line that belongs to its leg; touching legs are divided in the middle."""
    middle = (pose.middle(*HIPS)[0] + pose.middle(*KNEES)[0]) / 2
    joined = (spans.left < middle) & (middle < spans.right)
    left = np.where(joined & (columns > middle), middle, spans.left)
    right = np.where(joined & (columns <= middle), middle, spans.right)
    return Spans(*(_mean_rows(edge) for edge in (spans.rows, left, right)))


def _mean_rows(values: FloatArray) -> FloatArray:
    mean: FloatArray = values.reshape(-1, len(ROWS_AVERAGED)).mean(axis=1)
    return mean


def _pair_mean(one: FloatArray, other: FloatArray) -> FloatArray:
    """The mean of left and right; where one is NaN, the other one."""
    mean: FloatArray = (np.where(np.isnan(one), other, one) + np.where(np.isnan(other), one, other)) / 2
    return mean


def joint_features(pose: Pose, extent: Extent) -> dict[str, float]:
    """Distances between joints and their heights above the soles, as shares of the figure's height."""
    height, points = extent.height, pose.landmarks[:, :2].tolist()  # single numbers are read faster from a list

    def apart(left: Joint, right: Joint) -> float:
        return log(max(dist(points[left], points[right]), 1.0) / height)

    def above_soles(left: Joint, right: Joint) -> float:
        return float(extent.soles - (points[left][1] + points[right][1]) / 2) / height

    return {
        "joints_shoulders": apart(*SHOULDERS),
        "joints_hips": apart(*HIPS),
        "height_eyes": above_soles(*EYES),
        "height_shoulders": above_soles(*SHOULDERS),
        "height_hips": above_soles(*HIPS),
        "height_knees": above_soles(*KNEES),
        "height_ankles": above_soles(*ANKLES),
        "height_heels": above_soles(*HEELS),
        "height_toes": above_soles(*TOES),
    }


def leg_gaps(pose: Pose, height: float) -> FloatArray:
    """How much background lies between the thighs at every gap level, as a share of the figure's height.

    Summed over the soft mask between the two bone lines, so that the value changes gradually from touching thighs to
    separate ones.
    """
    left, right = (limb_points(pose, leg, GAP_LEVELS)[0] for leg in LEGS)
    rows = np.clip(((left + right)[:, 1] / 2).round().astype(int), 0, len(pose.mask) - 1)
    columns = np.arange(pose.mask.shape[1])
    first, last = np.minimum(left[:, :1], right[:, :1]), np.maximum(left[:, :1], right[:, :1])
    between = (columns >= np.floor(first)) & (columns <= np.floor(last))
    gaps: FloatArray = np.where(between, 1 - pose.mask[rows], 0.0).sum(axis=1) / height
    return gaps


def posture_features(pose: Pose) -> dict[str, float]:
    """How the person stands, in radians: turned away, arms and legs spread, leaning (or camera tilted)."""
    return {
        "turn_shoulders": _turn(pose, *SHOULDERS),
        "turn_hips": _turn(pose, *HIPS),
        "spread_arms": _spread(pose, ((arm[0], arm[1]) for arm in ARMS)),
        "spread_legs": _spread(pose, ((leg[0], leg[1]) for leg in LEGS)),
        "lean": _lean(pose),
    }


def _turn(pose: Pose, left: Joint, right: Joint) -> float:
    across = pose.world[left] - pose.world[right]
    return float(np.arctan2(abs(across[2]), abs(across[0])))


def _spread(pose: Pose, limbs: Iterable[tuple[Joint, Joint]]) -> float:
    vectors = np.array([pose.point(end) - pose.point(root) for root, end in limbs])
    return float(np.arctan2(np.abs(vectors[:, 0]), vectors[:, 1]).mean())


def _lean(pose: Pose) -> float:
    spine = pose.world[list(SHOULDERS)].mean(axis=0) - pose.world[list(HIPS)].mean(axis=0)
    return float(np.arctan2(spine[2], -spine[1]))


def proportion_features(pose: Pose) -> dict[str, float]:
    """Bone lengths over the trunk's length in the model's own metric space, which a tilted camera does not shorten."""

    points = pose.world.tolist()

    def length(left: tuple[Joint, Joint], right: tuple[Joint, Joint]) -> float:
        return sum(dist(points[one], points[other]) for one, other in (left, right))

    trunk = length((Joint.LEFT_SHOULDER, Joint.LEFT_HIP), (Joint.RIGHT_SHOULDER, Joint.RIGHT_HIP))
    bones = {
        "world_shoulders": (SHOULDERS, SHOULDERS),
        "world_hips": (HIPS, HIPS),
        "world_thighs": ((Joint.LEFT_HIP, Joint.LEFT_KNEE), (Joint.RIGHT_HIP, Joint.RIGHT_KNEE)),
        "world_shanks": ((Joint.LEFT_KNEE, Joint.LEFT_ANKLE), (Joint.RIGHT_KNEE, Joint.RIGHT_ANKLE)),
        "world_upper_arms": ((Joint.LEFT_SHOULDER, Joint.LEFT_ELBOW), (Joint.RIGHT_SHOULDER, Joint.RIGHT_ELBOW)),
        "world_forearms": ((Joint.LEFT_ELBOW, Joint.LEFT_WRIST), (Joint.RIGHT_ELBOW, Joint.RIGHT_WRIST)),
    }
    return {name: log(length(*pair) / trunk) for name, pair in bones.items()}
