"""What the demo knows of the sample people, and how it reads the answers about them."""

import csv
import json
from pathlib import Path
from typing import Any

import pytest

from sandbox.demo.sizing import MEASURES, SizingFailed, draw_measured, known_bodies, parsed, problem_of
from sandbox.pictures.samples import SAMPLES

BODIES = Path(__file__).resolve().parents[2] / "data" / "bodies"

PEOPLE = json.loads(MEASURES.read_text())["people"]

ANSWER: dict[str, Any] = {
    "recommended_size": "M",
    "measurements": {"chest_cm": 97.2, "waist_cm": 82.9, "hip_cm": 99.4, "shoulder_cm": 40.1, "inseam_cm": 82.3},
    "confidence": 0.74,
    "body_type": "average",
    "size_range": {"lower": "M", "upper": "L"},
    "size_probabilities": [{"size": "M", "probability": 0.7}, {"size": "L", "probability": 0.3}],
    "notes": [],
}


def test_every_sample_person_has_known_measures() -> None:
    assert {body.photo for body in known_bodies().values()} == set(SAMPLES.glob("person-*.jpg"))


@pytest.mark.parametrize("person", PEOPLE, ids=lambda person: person["photo"])
def test_the_known_measures_are_those_of_the_same_picture_in_the_test_data(person: dict[str, str]) -> None:
    known = known_bodies()[person["photo"]]
    with (BODIES / "truth.csv").open() as file:
        [truth] = [row for row in csv.DictReader(file) if row["file"] == person["name_in_truth"]]

    assert known.photo.read_bytes() == (BODIES / "images" / truth["file"]).read_bytes()
    assert known.height_cm == float(truth["height_cm"])
    assert known.size == truth["size_true"]
    assert known.measurements.model_dump() == {
        "chest_cm": float(truth["chest_cm"]),
        "waist_cm": float(truth["waist_cm"]),
        "hip_cm": float(truth["hip_cm"]),
        "shoulder_cm": float(truth["shoulder_biacromial_cm"]),
        "inseam_cm": float(truth["inseam_cm"]),
    }


def test_an_answer_as_agreed_is_read() -> None:
    assert parsed(json.dumps(ANSWER)).model_dump() == ANSWER


@pytest.mark.parametrize(
    ("content", "complaint"),
    [
        (json.dumps({**ANSWER, "recommended_size": "huge", "confidence": 1.5}), "recommended_size, confidence"),
        (json.dumps({**ANSWER, "measurements": {**ANSWER["measurements"], "hip_cm": 0}}), "measurements.hip_cm"),
        ("<html>", "not JSON"),
    ],
)
def test_an_answer_that_breaks_the_contract_names_the_fields(content: str, complaint: str) -> None:
    with pytest.raises(SizingFailed, match=f"the answer is not as agreed: {complaint}$"):
        parsed(content)


@pytest.mark.parametrize(
    ("content", "told"),
    [
        (b'{"code": "no_person", "detail": "Nobody is in the picture."}', "no_person: Nobody is in the picture."),
        (b'{"code": "no_person"}', ""),
        (b"[]", ""),
        (b"Bad gateway", ""),
    ],
)
def test_a_problem_is_told_in_its_own_words(content: bytes, told: str) -> None:
    assert problem_of(content) == told


def test_a_drawing_that_cannot_be_made_leaves_none_of_an_earlier_demo(tmp_path: Path) -> None:
    drawing = tmp_path / "size.png"
    drawing.write_bytes(b"of an earlier demo")

    with pytest.raises(SizingFailed, match=r"exit code 65: .*missing\.jpg"):
        draw_measured(tmp_path / "missing.jpg", 170.0, drawing)

    assert not drawing.exists()
