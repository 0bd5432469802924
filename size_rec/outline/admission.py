"""[pure] Decides whether a picture may be measured, and if not, what is missing.

The limits lie between the calibration's bodies, which all stand and face the camera, and pictures of people who sit,
kneel, lunge or turn away. Within the limits the spread of the answer grows with the distance from the calibration's
bodies (``size_rec/body/body_model.py``).
"""

import numpy as np

from size_rec.body.body_model import BodyEstimate
from size_rec.body.known_heights import height_note
from size_rec.body.size_calculator import GIRTHS
from size_rec.outline.features import BodyFeatures
from size_rec.outline.silhouette import LEGS
from size_rec.pose.pose import INSIDE, FloatArray, Joint, Pose
from size_rec.vocabulary import Refusal

FOREGROUND_SHARE = 0.5
"""Another person counts from this share of the measured person's size on; passers-by are smaller."""
MAX_HIP_BEND = np.radians(55)
"""Between trunk and thigh, in space. In the model's estimates standing people reach 46 degrees, seated ones 68."""
MAX_LEG_SPREAD = np.radians(25)
"""Between a thigh and the vertical: a relaxed stance stays below 10 degrees, a lunge exceeds 60."""
MAX_TURN = np.radians(45)
"""Of the shoulders, away from the camera. Beyond this the picture shows depth rather than breadth."""
MAX_TILT = np.radians(20)
"""Between trunk and vertical: the outline is measured along the picture's rows."""
MAX_SURPRISE = 15.0
"""Limit of the mean squared deviation from the nearest kind of body. In cross-validation 99 of 100 bodies are near 2
and the largest is 6. A figure that deviates two and a half times as much is unlike all that the model was fitted to."""
MAX_GIRTH_SPREAD_CM = 8.0
"""The width of one size: a less certain answer does not tell the size. In cross-validation 99 of 100 are below 7, with
what a possible stretching adds, and of those in grey as well."""
MIN_TOES_BELOW_HEELS_SHARE = 0.02
"""From the front the toes are nearer to the camera and so lower in the picture than the heels, by 0.04 to 0.1 of the
distance from shoulder to ankle; from behind the heels are. Asked only where the face does not tell."""
BORDER_PX = 0.5
"""A figure that comes this close to the mask's border counts as cut off. A pixel of the mask is about two of the
picture: of people with a margin of eight pixels in a thousand, nine in ten are accepted."""


UPPER_JOINTS = (Joint.NOSE, Joint.LEFT_SHOULDER, Joint.RIGHT_SHOULDER)
LOWER_JOINTS = (Joint.LEFT_KNEE, Joint.RIGHT_KNEE, Joint.LEFT_ANKLE, Joint.RIGHT_ANKLE)


def refusal_of_pose(pose: Pose) -> Refusal | None:
    """The first refusal that follows from the landmarks alone, in the order of the checks, or ``None``."""
    checks = (
        (Refusal.SEVERAL_PEOPLE, not _alone(pose)),
        (Refusal.SIDE_CUT_OFF, _beyond_the_sides(pose, (*UPPER_JOINTS, *LOWER_JOINTS))),
        (Refusal.HEAD_CUT_OFF, not _shown(pose, UPPER_JOINTS)),
        (Refusal.FEET_CUT_OFF, not _shown(pose, LOWER_JOINTS)),
        (Refusal.NOT_STANDING, not _stands(pose)),
        (Refusal.TURNED_AWAY, not _faces_camera(pose)),
    )
    return next((reason for reason, holds in checks if holds), None)


def refusal_of_outline(pose: Pose, features: BodyFeatures | None) -> Refusal | None:
    """The refusal that follows from the outline, or ``None``: a figure that ends at the picture's border is cut off."""
    if features is None:
        return Refusal.UNCLEAR
    if features.extent.crown <= BORDER_PX:
        return Refusal.HEAD_CUT_OFF
    if features.extent.soles >= len(pose.mask) - 1 - BORDER_PX:
        return Refusal.FEET_CUT_OFF
    lost = np.isnan(features.torso.left) & (features.torso.rows >= 0) & (features.torso.rows < len(pose.mask))
    at_the_sides = pose.mask[features.torso.rows[lost].astype(int)][:, [0, -1]]
    return Refusal.SIDE_CUT_OFF if (at_the_sides > INSIDE).any() else None


def refusal_of_estimate(estimate: BodyEstimate) -> Refusal | None:
    """Refuses an answer that is too far from every known body, or too uncertain: ``estimate`` has its final spread.

    Beyond the known heights girths grow, and their spread with them. There no spread is too large: the answer's note
    says why it is uncertain, and another photo would not help.
    """
    too_uncertain = estimate.spread_cm[: len(GIRTHS)].mean() > MAX_GIRTH_SPREAD_CM and height_note(estimate) is None
    return Refusal.UNCLEAR if estimate.surprise > MAX_SURPRISE or too_uncertain else None


def toes_point_at_camera(pose: Pose) -> bool:
    """Whether the feet are those of somebody seen from the front."""
    toes = pose.middle(Joint.LEFT_FOOT, Joint.RIGHT_FOOT) - pose.middle(Joint.LEFT_HEEL, Joint.RIGHT_HEEL)
    legs = pose.middle(Joint.LEFT_ANKLE, Joint.RIGHT_ANKLE) - pose.middle(Joint.LEFT_SHOULDER, Joint.RIGHT_SHOULDER)
    return bool(toes[1] >= MIN_TOES_BELOW_HEELS_SHARE * legs[1])


def _alone(pose: Pose) -> bool:
    measured, *others = pose.people
    return all(other.side <= FOREGROUND_SHARE * measured.side for other in others)


def _beyond_the_sides(pose: Pose, joints: tuple[Joint, ...]) -> bool:
    columns = pose.landmarks[list(joints), 0]
    return bool((columns < 0).any() or (columns > pose.mask.shape[1] - 1).any())


def _shown(pose: Pose, joints: tuple[Joint, ...]) -> bool:
    height, width = pose.mask.shape
    points = pose.landmarks[list(joints), :2]
    within = (points >= 0) & (points <= (width - 1, height - 1))
    return bool(within.all()) and pose.shows(*joints)


def _stands(pose: Pose) -> bool:
    world = pose.world
    trunk = world[[Joint.LEFT_HIP, Joint.RIGHT_HIP]].mean(axis=0) - world[
        [Joint.LEFT_SHOULDER, Joint.RIGHT_SHOULDER]
    ].mean(axis=0)
    bend = max(_angle(trunk, world[knee] - world[hip]) for hip, knee, _ in LEGS)
    spread = max(_off_vertical(pose.point(knee) - pose.point(hip)) for hip, knee, _ in LEGS)
    shoulders, hips = (
        pose.middle(Joint.LEFT_SHOULDER, Joint.RIGHT_SHOULDER),
        pose.middle(Joint.LEFT_HIP, Joint.RIGHT_HIP),
    )
    return bool(bend <= MAX_HIP_BEND and spread <= MAX_LEG_SPREAD and _off_vertical(hips - shoulders) <= MAX_TILT)


def _faces_camera(pose: Pose) -> bool:
    """Seen from the front, the person's left is on the picture's right."""
    across = pose.world[Joint.LEFT_SHOULDER] - pose.world[Joint.RIGHT_SHOULDER]
    in_order = pose.point(Joint.LEFT_SHOULDER)[0] > pose.point(Joint.RIGHT_SHOULDER)[0]
    return bool(in_order and np.arctan2(abs(across[2]), across[0]) <= MAX_TURN)


def _angle(one: FloatArray, other: FloatArray) -> float:
    cosine = one @ other / max(float(np.linalg.norm(one) * np.linalg.norm(other)), 1e-9)
    return float(np.arccos(np.clip(cosine, -1, 1)))


def _off_vertical(vector: FloatArray) -> float:
    return float(np.arctan2(abs(vector[0]), vector[1]))
