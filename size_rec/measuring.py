"""One picture and a height → an answer or the reason for none. Holds the order of the steps, nothing else.

Decoding is ``size_rec/photo/picture.py``'s, the pose is ``size_rec/pose/model.py``'s; every other step is a
pure function.
"""

from contextlib import suppress
from dataclasses import dataclass, replace
from functools import partial
from typing import Final

from size_rec.body.body_model import BodyEstimate, estimate_body
from size_rec.body.fitted import Fitted
from size_rec.body.size_calculator import advise
from size_rec.body.size_chart import DEFAULT_CHART, SizeChart
from size_rec.body.stretch import CONFIRMING_SPREADS, MAX_SPREADS, is_stretched, log_stretch, widened
from size_rec.outline.admission import refusal_of_estimate, refusal_of_outline, refusal_of_pose, toes_point_at_camera
from size_rec.outline.features import BodyFeatures, measure_features
from size_rec.outline.head import crown_point, face_height_px
from size_rec.outline.head_features import head_features
from size_rec.photo.drawn_face import FacePlace, with_drawn_face
from size_rec.photo.picture import Picture
from size_rec.pose.framing import CutOut
from size_rec.pose.model import Found, PoseModel
from size_rec.pose.pose import Pose
from size_rec.vocabulary import PictureRefused, Refusal, SizeAdvice

COVERED_FACE_REFUSALS: Final = (Refusal.TURNED_AWAY, Refusal.STRETCHED, Refusal.UNCLEAR)
"""What a covered face makes of a picture that may be measured: the person seems to be seen from behind, the head has
another shape, or the joints go astray."""
STRANGE_SURPRISE: Final = 2.5
"""From this surprise on (mean squared deviation from the nearest kind of body) a second look is worth its time. In
cross-validation one body in 200 exceeds it, of those with a phone before the face one in eight."""
GREY_SPREAD: Final = 1.1
"""Spread of a picture without colours over that of one with: the ratio of their cross-validated errors in spreads."""
COMPANY_REFUSALS: Final = (Refusal.STRETCHED, Refusal.UNCLEAR)
"""What a child on the arm may make of a picture: the figure has another shape."""
COMPANY_SURPRISE: Final = 0.9
"""From this surprise on it is worth a look whether somebody else is held before the trunk. In cross-validation three
adults in twenty exceed it, and seven in ten of those who hold a child; of the answers to the others the range is right
for 84 in a hundred (of those to adults alone, for 94)."""


@dataclass(frozen=True)
class Look:
    """What one look at a picture showed. ``refusal`` follows from the pose alone; ``features`` is ``None`` when crown
    or soles were not found, and when the pose is refused for anything but its direction. ``face_drawn``: a face was
    drawn over the head."""

    picture: Picture
    cut_out: CutOut
    pose: Pose
    refusal: Refusal | None
    features: BodyFeatures | None
    face_drawn: bool = False

    @property
    def complete(self) -> bool:
        """Whether every feature was measured on a pose that is not refused."""
        return self.refusal is None and self.features is not None and self.features.complete

    @property
    def stretch_values(self) -> dict[str, float]:
        """The features of :mod:`size_rec.body.stretch`, by name; empty when crown or soles were not found."""
        if self.features is None:
            return {}
        return self.features.values | head_features(self.pose, self.features.extent)


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


@dataclass(frozen=True)
class _Judged:
    """One look, and what follows from it: an estimate with its final spread, a refusal, or (stretched, or unclear but
    not for want of an outline) both."""

    look: Look
    estimate: BodyEstimate | None
    refusal: Refusal | None

    @property
    def face_may_be_covered(self) -> bool:
        """Whether a covered face would explain it."""
        strange = self.estimate is not None and self.estimate.surprise > STRANGE_SURPRISE
        return strange or self.refusal in COVERED_FACE_REFUSALS

    @property
    def company_may_be_held(self) -> bool:
        """Whether somebody else, held before the trunk, would explain it."""
        if self.refusal is not None:
            return self.refusal in COMPANY_REFUSALS
        return self.estimate is not None and self.estimate.surprise > COMPANY_SURPRISE


def measure_picture(
    picture: Picture,
    pose_model: PoseModel,
    fitted: Fitted,
    *,
    height_cm: float,
    weight_kg: float | None = None,
    height_measured: bool = False,
    chart: SizeChart = DEFAULT_CHART,
) -> Measured:
    """Measure the person in the picture; the size is one of the ``chart``'s.

    Raises:
        PictureRefused: nobody, several people, not the whole body, not standing, turned away, stretched, or unclear.
    """
    judge = partial(_judge, fitted=fitted, height_cm=height_cm, weight_kg=weight_kg, height_measured=height_measured)
    judged = judge(_clearest(picture, pose_model))
    if judged.face_may_be_covered:
        second = look_past_the_face(judged.look, pose_model)
        if second is not None:
            max_spreads = CONFIRMING_SPREADS if judged.refusal is Refusal.STRETCHED else MAX_SPREADS
            judged = _plainer(judged, judge(second, max_spreads=max_spreads))
    look, features, estimate = judged.look, judged.look.features, judged.estimate
    if judged.company_may_be_held and pose_model.notices_another(look.picture.image, Found(look.pose, look.cut_out)):
        raise PictureRefused(Refusal.SEVERAL_PEOPLE)
    if judged.refusal is not None or features is None or estimate is None:
        raise PictureRefused(judged.refusal or Refusal.UNCLEAR)
    advice = advise(estimate, chart, grey=look.picture.grey)
    return Measured(look.picture, look.cut_out, look.pose, features, estimate, advice)


def clearest_look(picture: Picture, pose_model: PoseModel) -> Look:
    """Look at the picture; where nobody is found, in its own light; where a part of the outline is lost, at its mirror
    image as well.

    Now and then the pose model takes hanging arms for crossed ones. It seldom does so on both sides of the mirror
    (docs/adr/0103).

    Raises:
        PictureRefused: the pose cannot be measured.
    """
    look = _clearest(picture, pose_model)
    if look.refusal is not None:
        raise PictureRefused(look.refusal)
    return look


def _clearest(picture: Picture, pose_model: PoseModel) -> Look:
    try:
        first = _look_at(picture, pose_model)
    except PictureRefused:  # the detector is undecided about one body in 200: evening the light may tip the balance
        return _look_at(picture.in_its_own_light(), pose_model)
    if first.refusal is None and not first.complete:
        with suppress(PictureRefused):
            second = _look_at(picture.mirror_image(), pose_model)
            if second.complete:
                return second
    return first


def look_past_the_face(look: Look, pose_model: PoseModel) -> Look | None:
    """A second look, with a drawn face over the head (docs/adr/0137); ``None`` when it shows nobody whose toes point at
    the camera. The outline is the same with and without it."""
    if look.features is None:
        return None
    crown, below = crown_point(look.pose, look.features.extent), face_height_px(look.pose, look.features.extent)
    place = FacePlace(look.cut_out.in_picture(crown), below * look.cut_out.square.sample_px)
    drawn = with_drawn_face(look.picture.image, place)
    if drawn is None:
        return None
    with suppress(PictureRefused):
        second = _look_at(replace(look.picture, image=drawn), pose_model)
        if second.refusal is None and toes_point_at_camera(second.pose):
            return replace(second, picture=look.picture, face_drawn=True)
    return None


def _plainer(first: _Judged, second: _Judged) -> _Judged:
    """The one that is answered; of two answers the less surprising one. Whether a picture is stretched is told by the
    second look: a covered face has any shape."""
    if second.refusal is Refusal.STRETCHED:
        return second
    if second.refusal is not None or second.estimate is None:
        return first
    if first.refusal is None and first.estimate is not None and first.estimate.surprise <= second.estimate.surprise:
        return first
    return second


def _judge(
    look: Look,
    *,
    fitted: Fitted,
    height_cm: float,
    weight_kg: float | None,
    height_measured: bool,
    max_spreads: float = MAX_SPREADS,
) -> _Judged:
    refusal = look.refusal or refusal_of_outline(look.pose, look.features)
    if refusal is not None or look.features is None:
        return _Judged(look, None, refusal)
    estimate = estimate_body(
        fitted.body,
        look.features.values,
        height_cm=height_cm,
        weight_kg=weight_kg,
        height_measured=height_measured,
    )
    model = fitted.stretch.drawn if look.face_drawn else fitted.stretch.seen
    logarithm = log_stretch(model, look.stretch_values)
    estimate = widened(estimate, model, logarithm)
    if look.picture.grey:
        estimate = estimate._replace(spread_cm=GREY_SPREAD * estimate.spread_cm)
    refusal = Refusal.STRETCHED if is_stretched(model, logarithm, max_spreads) else refusal_of_estimate(estimate)
    return _Judged(look, estimate, refusal)


def _look_at(picture: Picture, pose_model: PoseModel) -> Look:
    found = pose_model.find(picture.image)
    if found is None:
        raise PictureRefused(Refusal.NO_PERSON)
    refusal = refusal_of_pose(found.pose)
    worth_measuring = refusal in (None, Refusal.TURNED_AWAY)
    features = measure_features(found.pose, found.cut_out.rgb) if worth_measuring else None
    return Look(picture, found.cut_out, found.pose, refusal, features)
