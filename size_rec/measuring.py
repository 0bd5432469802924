"""One picture and a height → an answer or the reason for none. Holds the order of the steps, nothing else.

Decoding is ``size_rec/photo/picture.py``'s, the pose is ``size_rec/pose/model.py``'s; every other step is a
pure function.
"""

from contextlib import suppress
from dataclasses import dataclass

from size_rec.body.body_model import BodyEstimate, BodyModel, estimate_body
from size_rec.body.size_calculator import advise
from size_rec.body.size_chart import DEFAULT_CHART, SizeChart
from size_rec.outline.admission import refusal_of_estimate, refusal_of_outline, refusal_of_pose
from size_rec.outline.features import BodyFeatures, measure_features
from size_rec.photo.picture import Picture
from size_rec.pose.framing import CutOut
from size_rec.pose.model import PoseModel
from size_rec.pose.pose import Pose
from size_rec.vocabulary import PictureRefused, Refusal, SizeAdvice


@dataclass(frozen=True)
class Look:
    """What one look at a picture showed; ``features`` is ``None`` when crown or soles were not found."""

    picture: Picture
    cut_out: CutOut
    pose: Pose
    features: BodyFeatures | None

    @property
    def complete(self) -> bool:
        """Whether every feature was measured."""
        return self.features is not None and self.features.complete


@dataclass(frozen=True)
class Measured:
    """Everything learned from one photograph: the picture looked at, the part of it that was measured, what was seen
    there, what it means."""

    picture: Picture
    cut_out: CutOut
    pose: Pose
    features: BodyFeatures
    estimate: BodyEstimate
    advice: SizeAdvice


def measure_picture(
    picture: Picture,
    pose_model: PoseModel,
    body_model: BodyModel,
    *,
    height_cm: float,
    weight_kg: float | None = None,
    height_measured: bool = False,
    chart: SizeChart = DEFAULT_CHART,
) -> Measured:
    """Measure the person in the picture; the size is one of the ``chart``'s.

    Raises:
        PictureRefused: nobody, several people, not the whole body, not standing, turned away, or unclear.
    """
    look = clearest_look(picture, pose_model)
    features = look.features
    reason = refusal_of_outline(look.pose, features)
    if features is None or reason is not None:
        raise PictureRefused(reason or Refusal.UNCLEAR)
    estimate = estimate_body(
        body_model, features.values, height_cm=height_cm, weight_kg=weight_kg, height_measured=height_measured
    )
    reason = refusal_of_estimate(estimate)
    if reason is not None:
        raise PictureRefused(reason)
    return Measured(look.picture, look.cut_out, look.pose, features, estimate, advise(estimate, chart))


def clearest_look(picture: Picture, pose_model: PoseModel) -> Look:
    """Look at the picture and, where a part of the outline is lost, at its mirror image as well.

    Now and then the pose model takes hanging arms for crossed ones. It seldom does so on both sides of the mirror
    (docs/adr/0103).

    Raises:
        PictureRefused: the pose cannot be measured.
    """
    first = _look_at(picture, pose_model)
    if not first.complete:
        with suppress(PictureRefused):
            second = _look_at(picture.mirror_image(), pose_model)
            if second.complete:
                return second
    return first


def _look_at(picture: Picture, pose_model: PoseModel) -> Look:
    found = pose_model.find(picture.image)
    if found is None:
        raise PictureRefused(Refusal.NO_PERSON)
    reason = refusal_of_pose(found.pose)
    if reason is not None:
        raise PictureRefused(reason)
    return Look(picture, found.cut_out, found.pose, measure_features(found.pose, found.cut_out.rgb))
