"""The rendered bodies are measured as they are and in other light, on the real networks."""

import csv
import shutil
from pathlib import Path

import numpy as np
import pytest

from size_rec.calibration.changed_photographs import in_light, whole_photograph
from size_rec.calibration.tables import LIGHTS, read_bodies, read_truth
from size_rec.measuring import clearest_look
from size_rec.outline.features import BodyFeatures
from size_rec.photo.picture import Picture
from size_rec.pose.model import PoseModel
from size_rec.vocabulary import PictureRefused, Refusal

ALL_BODIES = Path("tests") / "data" / "bodies"
PHOTOGRAPHS = 2

pytestmark = pytest.mark.heavy


@pytest.fixture
def bodies(tmp_path: Path) -> Path:
    """A folder with the first two."""
    rows = read_truth(ALL_BODIES)[:PHOTOGRAPHS]
    (tmp_path / "images").mkdir()
    for row in rows:
        shutil.copy(ALL_BODIES / "images" / row["file"], tmp_path / "images")
    with (tmp_path / "truth.csv").open("w", newline="", encoding="utf-8") as file:
        table = csv.DictWriter(file, rows[0])
        table.writeheader()
        table.writerows(rows)
    return tmp_path


class Eyes:
    """Measures pictures, and refuses those from the ``blind_from``-th on."""

    def __init__(self, blind_from: int = 1_000) -> None:
        self._pose_model, self._blind_from, self.levels = PoseModel(), blind_from, list[float]()

    def __call__(self, picture: Picture) -> BodyFeatures | None:
        assert picture.as_taken is not None
        self.levels.append(float(np.asarray(picture.as_taken).mean()))
        if len(self.levels) > self._blind_from:
            raise PictureRefused(Refusal.UNCLEAR)
        return clearest_look(picture, self._pose_model).features


def test_every_body_is_measured_as_it_is_and_in_every_light(bodies: Path) -> None:
    eyes = Eyes()
    table = read_bodies(bodies, eyes)
    assert table.in_other_light.shape == (PHOTOGRAPHS, len(LIGHTS), len(table.features))
    moved = np.abs(table.in_other_light - table.values[:, None, :])
    assert (moved.max(axis=2) > 0).all()
    assert np.median(moved) < 0.1 * np.median(np.abs(table.values))
    as_it_is, *lit = eyes.levels[: 1 + len(LIGHTS)]
    for level, gains in zip(lit, LIGHTS, strict=True):
        assert level / as_it_is == pytest.approx(np.mean(gains), rel=0.15)


def test_what_is_refused_in_other_light_stays_empty(bodies: Path) -> None:
    first_body = 1 + len(LIGHTS)
    table = read_bodies(bodies, Eyes(blind_from=first_body + 1))
    assert np.isfinite(table.values).all()
    assert np.isfinite(table.in_other_light[0]).all()
    assert np.isnan(table.in_other_light[1]).all()


def test_light_multiplies_each_channel_and_is_cut_off_at_white() -> None:
    photograph = whole_photograph((ALL_BODIES / "images" / read_truth(ALL_BODIES)[0]["file"]).read_bytes())
    before = np.asarray(photograph, dtype=float)
    after = np.asarray(whole_photograph(in_light(photograph, (1.5, 1.0, 0.5))), dtype=float)
    assert after.shape == before.shape
    expected = np.minimum(before * (1.5, 1.0, 0.5), 255)
    assert np.abs(after - expected).mean() < 2
