"""What the main process and a measuring process say to each other, over a socket pair.

JSON and the photograph's bytes, no pickles: the measuring process decodes what strangers send, so nothing it says is
ever more than data.
"""

import json
from dataclasses import asdict, dataclass, field
from multiprocessing.connection import Connection
from typing import Any, Final

from models.failures import ImageTooLarge, IncompletePicture, NotAnImage
from size_rec.body.size_chart import DEFAULT_CHART, SizeChart
from size_rec.vocabulary import BodyType, Note, PictureRefused, Refusal, SizeAdvice


@dataclass(frozen=True, slots=True)
class Question:
    """One photograph's bytes as they were fetched, what the caller says of the person, and the chart to answer in."""

    photo: bytes = field(repr=False)
    height_cm: float
    weight_kg: float | None
    height_measured: bool = False
    chart: SizeChart = DEFAULT_CHART


@dataclass(frozen=True, slots=True)
class Ready:
    """The models are loaded and warm."""


class MeasuringFailed(Exception):
    """A fault of ours inside a measuring process, with the traceback from there."""

    def __init__(self, traceback: str) -> None:
        super().__init__(f"in the measuring process:\n{traceback}")
        self.traceback = traceback


Reply = Ready | SizeAdvice | PictureRefused | NotAnImage | IncompletePicture | ImageTooLarge | MeasuringFailed
"""Everything a measuring process says: first that it is ready or failed, then one reply to every question."""


MAX_REPLY_BYTES: Final = 1024 * 1024
"""A traceback is the longest that is ever said."""


def send_question(connection: Connection, question: Question) -> None:
    """Raises ``OSError`` when nobody is there any more."""
    stated: dict[str, Any] = {
        "height_cm": question.height_cm,
        "weight_kg": question.weight_kg,
        "height_measured": question.height_measured,
    }
    if question.chart is not DEFAULT_CHART:
        stated["chart"] = asdict(question.chart)
    connection.send_bytes(json.dumps(stated).encode())
    connection.send_bytes(question.photo)


def receive_question(connection: Connection) -> Question:
    """Raises ``EOFError`` or ``OSError`` when nobody will ask any more."""
    stated = json.loads(connection.recv_bytes())
    if "chart" in stated:
        stated["chart"] = SizeChart(**{name: tuple(values) for name, values in stated["chart"].items()})
    return Question(connection.recv_bytes(), **stated)


def send_reply(connection: Connection, reply: Reply) -> None:
    """Raises ``OSError`` when nobody is there any more."""
    connection.send_bytes(json.dumps(_encoded(reply)).encode())


def receive_reply(connection: Connection) -> Reply:
    """Raises ``EOFError`` or ``OSError`` when the measuring process is gone, anything when it talks nonsense."""
    kind, content = json.loads(connection.recv_bytes(MAX_REPLY_BYTES))
    return _decoded(kind, content)


def _encoded(reply: Reply) -> tuple[str, Any]:
    match reply:
        case Ready():
            return "ready", None
        case SizeAdvice():
            return "advice", asdict(reply)
        case PictureRefused():
            return "refused", reply.reason.value
        case NotAnImage() | IncompletePicture():
            return reply.kind, reply.reason
        case ImageTooLarge():
            return "too_large", {"limit": reply.limit, "unit": reply.unit}
        case MeasuringFailed():
            return "failed", reply.traceback


def _decoded(kind: str, content: Any) -> Reply:
    match kind:
        case "ready":
            return Ready()
        case "advice":
            typed = {"body_type": BodyType(content["body_type"]), "notes": tuple(map(Note, content["notes"]))}
            return SizeAdvice(**content | typed)
        case "refused":
            return PictureRefused(Refusal(content))
        case NotAnImage.kind | IncompletePicture.kind:
            return (NotAnImage if kind == NotAnImage.kind else IncompletePicture)(content)
        case "too_large":
            return ImageTooLarge(**content)
        case "failed":
            return MeasuringFailed(content)
    raise ValueError(f"unknown reply {kind!r}")
