"""What crosses the link between the main process and a measuring process comes out as it went in."""

import json
from collections.abc import Iterator
from multiprocessing import Pipe
from multiprocessing.connection import Connection

import pytest

from models.failures import ImageTooLarge, IncompletePicture, NotAnImage
from size_rec.body.fitted import load_fitted
from size_rec.body.size_chart import SizeChart
from size_rec.processes import process as measuring_process
from size_rec.processes.link import (
    MeasuringFailed,
    Question,
    Ready,
    Reply,
    receive_question,
    receive_reply,
    send_question,
    send_reply,
)
from size_rec.processes.process import reply_to
from size_rec.vocabulary import BodyType, PictureRefused, Refusal, SizeAdvice
from tests.support.size_photos import photo, pose_model

ADVICE = SizeAdvice("M", "S", "L", 0.61, BodyType.ATHLETIC, {"chest_cm": 96.25, "waist_cm": 81.5}, {"M": 1.0})

Link = tuple[Connection, Connection]


@pytest.fixture
def link() -> Iterator[Link]:
    one, other = Pipe()
    with one, other:
        yield one, other


@pytest.mark.parametrize("weight_kg", [None, 71.5])
def test_a_question_arrives_whole(link: Link, weight_kg: float | None) -> None:
    question = Question(bytes(range(256)), 176.2, weight_kg, height_measured=True)
    send_question(link[0], question)
    assert receive_question(link[1]) == question


def test_a_shops_chart_arrives_with_the_question(link: Link) -> None:
    chart = SizeChart(("36", "40+"), (84.0,), hip_limits_cm=(92.5, 101.0))
    send_question(link[0], Question(b"photo", 176.2, None, chart=chart))
    assert receive_question(link[1]).chart == chart


def test_a_question_shows_no_photo_when_it_is_printed() -> None:
    assert "s3cret" not in repr(Question(b"s3cret", 176.2, None))


@pytest.mark.parametrize(
    "reply",
    [
        ADVICE,
        Ready(),
        PictureRefused(Refusal.FEET_CUT_OFF),
        NotAnImage("the picture is broken"),
        IncompletePicture("the last 90 of 512 rows are lost"),
        ImageTooLarge(limit=64_000_000, unit="pixels"),
        MeasuringFailed("Traceback ..."),
    ],
    ids=lambda reply: type(reply).__name__,
)
def test_every_reply_arrives_as_what_it_was(link: Link, reply: Reply) -> None:
    send_reply(link[0], reply)
    arrived = receive_reply(link[1])
    assert type(arrived) is type(reply)
    assert arrived == reply or vars(arrived) == vars(reply)


def test_the_body_type_is_one_again(link: Link) -> None:
    send_reply(link[0], ADVICE)
    arrived = receive_reply(link[1])
    assert isinstance(arrived, SizeAdvice)
    assert arrived.body_type is BodyType.ATHLETIC


def test_nonsense_is_no_reply(link: Link) -> None:
    link[0].send_bytes(json.dumps(["run", "rm -rf"]).encode())
    with pytest.raises(ValueError, match="unknown reply"):
        receive_reply(link[1])


def test_a_photo_that_cannot_be_measured_is_a_reply_too() -> None:
    model = load_fitted()
    assert isinstance(reply_to(Question(b"no picture", 176.2, None), pose_model(), model), NotAnImage)
    refused = reply_to(Question(photo("x013.jpg"), 176.2, None), pose_model(), model)
    assert isinstance(refused, PictureRefused)
    assert refused.reason is Refusal.SEVERAL_PEOPLE


def test_a_fault_of_ours_is_a_reply_with_its_traceback(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(_: bytes) -> None:
        raise ZeroDivisionError("by us")

    monkeypatch.setattr(measuring_process, "prepare_picture", fail)
    reply = reply_to(Question(b"", 176.2, None), pose_model(), load_fitted())
    assert isinstance(reply, MeasuringFailed)
    assert "ZeroDivisionError: by us" in reply.traceback
