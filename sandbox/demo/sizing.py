"""The size recommendation as an outsider uses it: one HTTP request for the answer, one command for the drawing."""

import json
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import httpx
from pydantic import TypeAdapter, ValidationError

from models.size_rec import EstimateBodyResponse, Measurements, SizeName, SizeRange
from sandbox.pictures.samples import SAMPLES
from sandbox.plain_http import NO_AUTHORITIES
from sandbox.servers.worker import REPOSITORY, LocalWorker

MEASURES: Final = SAMPLES / "measures.json"
"""What is known of the sample people, and how."""

MODEL_LIMIT_SECONDS: Final = 60.0
"""For the pose model to load: about a second, and longer when the installed files are read for the first time."""

LOOK_SECONDS: Final = 0.1
"""Between two looks at /health."""

ANSWER_TIMEOUT_SECONDS: Final = 5.0
"""The platform's client gives up after this long (docs/size-recommendation.md)."""

DRAWING_TIMEOUT_SECONDS: Final = 60.0
"""For a process that loads the model itself and measures one photo; about 2 s."""


class SizingFailed(Exception):
    """There is no answer, or no drawing; the message is for the person and holds no address."""


class BuiltInRange(SizeRange):
    """In sizes of the built-in chart."""

    lower: SizeName
    upper: SizeName


class BuiltInAnswer(EstimateBodyResponse):
    """The answer to a request without a chart of its own."""

    recommended_size: SizeName
    size_range: BuiltInRange


@dataclass(frozen=True, slots=True)
class KnownBody:
    """A sample person of known measures. ``height_cm`` is what the request states."""

    photo: Path
    height_cm: float
    size: SizeName
    measurements: Measurements


@dataclass(frozen=True, slots=True)
class Sizing:
    """What one photo gave: the worker's answer, and the drawing with the answer of the process that made it."""

    answer: EstimateBodyResponse
    answer_seconds: float
    drawn: EstimateBodyResponse
    drawing: Path


def known_bodies(path: Path = MEASURES) -> dict[str, KnownBody]:
    """The sample people by the file name of their photo, which lies beside ``path``."""
    people = json.loads(path.read_text(encoding="utf-8"))["people"]
    return {
        person["photo"]: KnownBody(
            photo=path.parent / person["photo"],
            height_cm=person["height_cm"],
            size=TypeAdapter[SizeName](SizeName).validate_python(person["size"]),
            measurements=Measurements.model_validate(person["measurements"]),
        )
        for person in people
    }


def wait_for_model(worker: LocalWorker, limit_seconds: float = MODEL_LIMIT_SECONDS) -> None:
    """Until GET /health says that the pose model is loaded. Raises ``SizingFailed``."""
    deadline = time.monotonic() + limit_seconds
    while not _is_model_loaded(worker):
        if not worker.is_running:
            raise SizingFailed("the worker ended before the pose model was loaded")
        if time.monotonic() > deadline:
            raise SizingFailed(f"the pose model is not loaded after {limit_seconds:.0f} s")
        time.sleep(LOOK_SECONDS)


def _is_model_loaded(worker: LocalWorker) -> bool:
    try:
        return bool(worker.health()["model_loaded"])
    except (httpx.HTTPError, ValueError):
        return False


def ask_for_size(worker_url: str, photo_url: str, height_cm: float) -> EstimateBodyResponse:
    """POST /estimate-body, as the platform does it. Raises ``SizingFailed``."""
    asked = {"image_url": photo_url, "height_cm": height_cm, "height_measured": True}
    try:
        answer = httpx.post(
            f"{worker_url}/estimate-body",
            json=asked,
            timeout=ANSWER_TIMEOUT_SECONDS,
            trust_env=False,
            verify=NO_AUTHORITIES,
        )
    except httpx.HTTPError as error:
        raise SizingFailed(f"the worker did not answer: {type(error).__name__}") from error
    if not answer.is_success:
        raise SizingFailed(f"the worker answered {answer.status_code} {problem_of(answer.content)}".rstrip())
    return parsed(answer.content)


def problem_of(content: bytes) -> str:
    """Code and sentence of a problem (RFC 9457); empty if it is none. Pure."""
    try:
        problem = json.loads(content)
        return f"{problem['code']}: {problem['detail']}"
    except (ValueError, KeyError, TypeError):
        return ""


def parsed(content: bytes | str) -> EstimateBodyResponse:
    """The answer's JSON. Raises ``SizingFailed`` naming the fields that break the contract. Pure."""
    try:
        return BuiltInAnswer.model_validate_json(content)
    except ValidationError as error:
        fields = ", ".join(".".join(map(str, fault["loc"])) or "not JSON" for fault in error.errors())
        raise SizingFailed(f"the answer is not as agreed: {fields}") from error


def draw_measured(
    photo: Path, height_cm: float, drawing: Path, timeout_seconds: float = DRAWING_TIMEOUT_SECONDS
) -> EstimateBodyResponse:
    """Have ``drawing`` made by ``python -m size_rec``; returns what that process measured. Raises ``SizingFailed``."""
    drawing.unlink(missing_ok=True)  # or the drawing of an earlier demo could pass for this one
    arguments = [
        str(photo.absolute()),
        "--height",
        f"{height_cm:g}",
        "--height-measured",
        "--out",
        str(drawing.absolute()),
    ]
    try:
        ended = subprocess.run(
            [sys.executable, "-m", "size_rec", *arguments],
            cwd=REPOSITORY,
            check=False,
            capture_output=True,
            text=True,
            stdin=subprocess.DEVNULL,
            timeout=timeout_seconds,
        )
    except subprocess.TimeoutExpired as error:
        raise SizingFailed(f"there is no drawing after {timeout_seconds:.0f} s") from error
    if ended.returncode != 0:
        last_line = ended.stderr.strip().rpartition("\n")[2]
        raise SizingFailed(f"python -m size_rec ended with exit code {ended.returncode}: {last_line}")
    return parsed(ended.stdout)
