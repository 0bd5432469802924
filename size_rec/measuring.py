"""One picture and a height → an answer or the reason for none. Holds the order of the steps, nothing else.

Decoding is ``size_rec/picture.py``'s, the pose is ``size_rec/mediapipe_service.py``'s; every other step is a
pure function.
"""

from dataclasses import dataclass

from size_rec.admission import Refusal, refusal_of_estimate, refusal_of_extent, refusal_of_pose
from size_rec.body_model import BodyEstimate, BodyModel, estimate_body
from size_rec.features import BodyFeatures, measure_features
from size_rec.mediapipe_service import PoseModel
from size_rec.pose import Pose, RgbArray
from size_rec.size_calculator import SizeAdvice, advise


class PictureRefused(Exception):
    """No body can be measured on this picture; ``reason`` says why."""

    def __init__(self, reason: Refusal) -> None:
        super().__init__(reason.value)
        self.reason = reason


@dataclass(frozen=True)
class Measured:
    """Everything learned from one picture: what was seen, what was measured, what it means."""

    pose: Pose
    features: BodyFeatures
    estimate: BodyEstimate
    advice: SizeAdvice


def measure_picture(
    rgb: RgbArray, pose_model: PoseModel, body_model: BodyModel, *, height_cm: float, weight_kg: float | None = None
) -> Measured:
    """Measure the person in ``rgb`` (height, width, 3).

    Raises:
        PictureRefused: nobody, several people, not the whole body, not standing, turned away, or unclear.
    """
    pose = pose_model.find(rgb)
    reason = refusal_of_pose(pose)
    if pose is None or reason is not None:
        raise PictureRefused(reason or Refusal.NO_PERSON)
    features = measure_features(pose, rgb)
    reason = refusal_of_extent(pose, None if features is None else features.extent)
    if features is None or reason is not None:
        raise PictureRefused(reason or Refusal.UNCLEAR)
    estimate = estimate_body(body_model, features.values, height_cm=height_cm, weight_kg=weight_kg)
    reason = refusal_of_estimate(estimate)
    if reason is not None:
        raise PictureRefused(reason)
    return Measured(pose, features, estimate, advise(estimate, height_cm=height_cm))
