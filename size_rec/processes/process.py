"""A measuring process: decodes and measures one photograph after the other for the main process (ADR 0106).

``python -m size_rec.processes.process`` is not for people: it needs the link that ``handle.py`` beside it gives it.
"""

import os
import signal
import sys
import traceback
from multiprocessing.connection import Connection
from typing import Final

from models.failures import ImageTooLarge, IncompletePicture, NotAnImage
from size_rec.body.body_model import BodyModel
from size_rec.body.model_file import load_body_model
from size_rec.measuring import measure_picture
from size_rec.photo.picture import prepare_picture
from size_rec.pose.model import PoseModel
from size_rec.processes.link import (
    MeasuringFailed,
    Question,
    Ready,
    Reply,
    receive_question,
    send_reply,
)
from size_rec.vocabulary import PictureRefused

NICENESS: Final = 5
"""Below the event loop and the pipeline, above idle."""

EXIT_SOFTWARE: Final = 70
"""EX_SOFTWARE (sysexits.h): the models could not be loaded; the link has said why."""


def main(file_descriptor: int) -> int:
    """Load the models, then measure until the other end of the link is closed, however that came about."""
    # Told to stop by the link alone: a stop that signals every process of a service would otherwise end what the main
    # process waits for.
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, signal.SIG_IGN)
    os.nice(NICENESS)
    with Connection(file_descriptor) as link:
        try:
            pose_model, body_model = PoseModel(), load_body_model()
        except Exception:
            send_reply(link, MeasuringFailed(traceback.format_exc()))
            return EXIT_SOFTWARE
        try:
            send_reply(link, Ready())
            while True:
                send_reply(link, reply_to(receive_question(link), pose_model, body_model))
        except (EOFError, OSError):
            return os.EX_OK


def reply_to(question: Question, pose_model: PoseModel, body_model: BodyModel) -> Reply:
    """What is learned from one photograph, or why nothing is."""
    try:
        measured = measure_picture(
            prepare_picture(question.photo),
            pose_model,
            body_model,
            height_cm=question.height_cm,
            weight_kg=question.weight_kg,
        )
    except (PictureRefused, NotAnImage, IncompletePicture, ImageTooLarge) as refusal:
        return refusal
    except Exception:
        return MeasuringFailed(traceback.format_exc())
    return measured.advice


if __name__ == "__main__":
    sys.exit(main(int(sys.argv[1])))
