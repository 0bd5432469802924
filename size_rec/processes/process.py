"""The measuring processes: decode and measure one photograph after the other for the main process (ADR 0106).

``python -m size_rec.processes.process`` is the server they are forked from (ADR 0040), and not for people: it needs the
link that ``fork_server.py`` beside it gives it.
"""

import gc
import os
import signal
import socket
import sys
import traceback
from dataclasses import dataclass
from multiprocessing.connection import Connection, wait
from typing import Final

from models.failures import ImageTooLarge, IncompletePicture, NotAnImage
from services.child_process import inherited_link
from size_rec.body.fitted import Fitted, load_fitted
from size_rec.measuring import measure_picture
from size_rec.photo.picture import prepare_picture
from size_rec.pose.model import PoseModel
from size_rec.processes.fork_server import ENDED, FORK, STARTED
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


LOAD_BEFORE_FORK: Final = sys.platform == "linux"
"""Elsewhere a library may be unusable in a forked process once it was used in its parent (macOS: Accelerate)."""


@dataclass(frozen=True, slots=True)
class Models:
    """What measures."""

    pose: PoseModel
    body: Fitted


@dataclass(frozen=True, slots=True)
class Forked:
    """A measuring process, seen from the server: ``lifeline`` is readable once the process is gone."""

    pid: int
    lifeline: Connection
    reports: Connection


def main() -> int:
    """Load the models, then fork measuring processes until the other end of the link is closed, however that came
    about; those that are at work go on until their own links are closed."""
    # Told to stop by the links alone: a stop that signals every process of a service would otherwise end what the main
    # process waits for. Inherited by all that is forked.
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, signal.SIG_IGN)
    os.nice(NICENESS)
    with inherited_link() as requests:
        try:
            models = load() if LOAD_BEFORE_FORK else None
        except Exception:
            return tell_failure(requests, traceback.format_exc())
        gc.collect()
        gc.freeze()  # a collection in a forked process would write to every page it shares
        return serve(requests, models)


def load() -> Models:
    """The networks, warm, and the fitted numbers.

    Raises:
        Exception: LiteRT, a network or a file of fitted numbers is missing or broken.
    """
    return Models(PoseModel(), load_fitted())


def tell_failure(requests: socket.socket, words: str) -> int:
    """Say to those who have asked by now, or ask first, why there will be no process."""
    while received := receive_request(requests):
        link_fd, reports_fd = received
        os.close(reports_fd)
        with Connection(link_fd) as link:
            send_reply(link, MeasuringFailed(words))
        if not wait([requests], timeout=0):
            break
    return EXIT_SOFTWARE


def serve(requests: socket.socket, models: Models | None) -> int:
    """Fork a process for every request, and report the end of each."""
    at_work: dict[Connection, Forked] = {}
    while True:
        for ready in wait([requests, *at_work]):
            if isinstance(ready, Connection):
                report_end(at_work.pop(ready))
                continue
            received = receive_request(requests)
            if received is None:
                return os.EX_OK
            inherited: list[socket.socket | Connection] = [requests]
            for other in at_work.values():
                inherited += [other.lifeline, other.reports]
            forked = fork(*received, inherited, models)
            at_work[forked.lifeline] = forked


def receive_request(requests: socket.socket) -> tuple[int, int] | None:
    """The descriptors of a link and of a pipe for reports; ``None`` when nobody will ask any more."""
    try:
        request, descriptors, _, _ = socket.recv_fds(requests, len(FORK), 2)
    except OSError:
        return None
    return (descriptors[0], descriptors[1]) if request else None


def fork(link_fd: int, reports_fd: int, inherited: list[socket.socket | Connection], models: Models | None) -> Forked:
    """Fork a measuring process that closes what it has ``inherited`` of the server. Returns in the server only."""
    lifeline_fd, held_fd = os.pipe()  # the process holds the other end for as long as it lives
    pid = os.fork()
    reports = Connection(reports_fd, readable=False)
    if pid == 0:
        exit_code = EXIT_SOFTWARE
        try:
            os.close(lifeline_fd)
            for end in inherited:
                end.close()
            exit_code = measure(Connection(link_fd), reports, models)
        finally:
            os._exit(exit_code)  # whatever happened: the server's part of the program is not its own
    os.close(link_fd)
    os.close(held_fd)
    return Forked(pid, Connection(lifeline_fd, writable=False), reports)


def report_end(forked: Forked) -> None:
    """Tell the main process how a measuring process ended."""
    _, status = os.waitpid(forked.pid, 0)
    try:
        with forked.lifeline, forked.reports:
            forked.reports.send_bytes(b"%s %d" % (ENDED, os.waitstatus_to_exitcode(status)))
    except OSError:
        return  # nobody wants to know any more


def measure(link: Connection, reports: Connection, models: Models | None) -> int:
    """Say that the process is there, then measure until the other end of the link is closed; returns the exit code."""
    with reports:
        reports.send_bytes(b"%s %d" % (STARTED, os.getpid()))
    try:
        loaded = models or load()
    except Exception:
        send_reply(link, MeasuringFailed(traceback.format_exc()))
        return EXIT_SOFTWARE
    try:
        send_reply(link, Ready())
        while True:
            send_reply(link, reply_to(receive_question(link), loaded.pose, loaded.body))
    except (EOFError, OSError):
        return os.EX_OK


def reply_to(question: Question, pose_model: PoseModel, fitted: Fitted) -> Reply:
    """What is learned from one photograph, or why nothing is."""
    try:
        measured = measure_picture(
            prepare_picture(question.photo),
            pose_model,
            fitted,
            height_cm=question.height_cm,
            weight_kg=question.weight_kg,
            height_measured=question.height_measured,
            chart=question.chart,
        )
    except (PictureRefused, NotAnImage, IncompletePicture, ImageTooLarge) as refusal:
        return refusal
    except Exception:
        return MeasuringFailed(traceback.format_exc())
    return measured.advice


if __name__ == "__main__":
    sys.exit(main())
