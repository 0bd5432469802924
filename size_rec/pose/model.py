"""MediaPipe's pose networks on the CPU, loaded once: from a picture to a :class:`size_rec.pose.pose.Pose`.

Two of MediaPipe's networks are run on each picture: the detector finds people, and the full landmark network gives the
pose and the mask of the most prominent one (ADR 0105).
"""

from dataclasses import dataclass

from PIL import Image

from size_rec.pose.company import close_up, shows_another, trunk_square
from size_rec.pose.detection import noticed_people
from size_rec.pose.framing import MIN_SIDE_PX, CutOut, Square, as_input, cut_out, letterboxed, square_of_points
from size_rec.pose.landmarks import landmarks_of, mask_of, world_landmarks_of
from size_rec.pose.network_files import PERSON_DETECTION, POSE_LANDMARKS
from size_rec.pose.networks import Network
from size_rec.pose.pose import Joint, PersonBox, Pose

MIN_PRESENCE = 0.5
"""Below this presence, the landmark network has found nobody (MediaPipe's own threshold)."""
MAX_ENLARGEMENTS = 2
"""How often the square may be enlarged. Each time costs half as much as the first run; one person in 200 needs one."""


@dataclass(frozen=True)
class Found:
    """A person: the pose, in samples of the cut-out on which it was found."""

    pose: Pose
    cut_out: CutOut


class PoseModel:
    """The two networks, for one picture at a time; no state is kept between pictures.

    Raises:
        ImportError, NetworkUnusable, ValueError, RuntimeError: as :class:`size_rec.pose.networks.Network`.
    """

    def __init__(self) -> None:
        self._detection = Network(PERSON_DETECTION)
        self._landmarks = Network(POSE_LANDMARKS)

    def find(self, image: Image.Image) -> Found | None:
        """The most prominent person in an RGB picture, or ``None`` if there is nobody."""
        people = self._people(image)
        if not people or people[0].side < MIN_SIDE_PX:
            return None
        sides = tuple(PersonBox(side=person.side / people[0].side) for person in people)
        found = self._look(image, people[0], sides)
        for _ in range(MAX_ENLARGEMENTS):
            if found is None or not found.cut_out.ends_too_early(found.pose.mask):
                break
            found = self._look(image, found.cut_out.square.enlarged(), sides) or found
        return found

    def notices_another(self, image: Image.Image, found: Found) -> bool:
        """Whether the person found in an RGB picture holds another one before the trunk. It takes as long as noticing
        people in the whole picture, a quarter of an answer's time."""
        sides = (Joint.LEFT_SHOULDER, Joint.RIGHT_SHOULDER), (Joint.LEFT_HIP, Joint.RIGHT_HIP)
        shoulders, hips = (found.cut_out.in_picture(found.pose.middle(*joints)) for joints in sides)
        square = trunk_square(shoulders, hips)
        return square.side >= MIN_SIDE_PX and shows_another(*self._detection.run(close_up(image, square)))

    def _look(self, image: Image.Image, square: Square, people: tuple[PersonBox, ...]) -> Found | None:
        """Run the landmark network on a square."""
        part = cut_out(image, square)
        if part is None:
            return None
        raw_landmarks, presence, raw_mask, heat_maps, raw_world = self._landmarks.run(as_input(part.whole()))
        if presence[0] < MIN_PRESENCE:
            return None
        landmarks = landmarks_of(raw_landmarks, heat_maps)
        landmarks[:, :2] -= part.origin
        return Found(Pose(landmarks, world_landmarks_of(raw_world), part.shown(mask_of(raw_mask)), people), part)

    def _people(self, image: Image.Image) -> list[Square]:
        """The square around each person, the most prominent person first."""
        pixels, letterbox = letterboxed(image)
        people = noticed_people(*self._detection.run(pixels))
        return [square_of_points(letterbox.in_picture(points)) for points in people]
