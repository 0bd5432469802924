"""The sample pictures and where they are put."""

from uuid import UUID

import pytest
from PIL import Image

from models.generation import Channel
from sandbox.demo import steps as demo_steps
from sandbox.lasting.push import DEFAULT_PICTURES, is_url
from sandbox.pictures.samples import SAMPLES
from sandbox.platform.uploads import MEDIA_TYPES, upload_path

PICTURES = sorted(path for path in SAMPLES.iterdir() if path.suffix in MEDIA_TYPES)

SAMPLE_LIMIT_BYTES = 400_000
"""They are in the repository for ever."""


@pytest.mark.parametrize("path", PICTURES, ids=lambda path: path.name)
def test_a_sample_is_a_small_sound_picture_of_the_format_it_is_named_for(path: str) -> None:
    sample = SAMPLES / path
    with Image.open(sample) as image:
        image.load()

    assert Image.MIME[image.format or ""] == MEDIA_TYPES[sample.suffix]
    assert sample.stat().st_size < SAMPLE_LIMIT_BYTES


def test_every_sample_has_a_stated_origin() -> None:
    text = (SAMPLES / "README.md").read_text()

    assert [path.name for path in PICTURES if f"`{path.name}`" not in text] == []


def test_the_demo_and_push_name_pictures_that_exist() -> None:
    named = {demo_steps.WOMAN, demo_steps.MAN, demo_steps.SECOND_WOMAN, demo_steps.T_SHIRT, demo_steps.TROUSERS}
    named |= {demo_steps.BAG, *(SAMPLES / name for name in DEFAULT_PICTURES)}

    assert named <= set(PICTURES)


@pytest.mark.parametrize(
    ("channel", "folder"),
    [
        (Channel.B2B, "stores/00000000-0000-0000-0000-000000000007/uploads/"),
        (Channel.B2C, "uploads/"),
    ],
)
def test_an_input_lies_in_its_owners_folder_under_a_new_name(channel: Channel, folder: str) -> None:
    first, second = (upload_path(channel, UUID(int=7), ".png") for _ in range(2))

    assert first.startswith(folder)
    assert first.endswith(".png")
    assert first != second


@pytest.mark.parametrize(
    ("picture", "expected"),
    [("http://x/a.jpg", True), ("https://x/a.jpg", True), ("a.jpg", False), ("https.jpg", False)],
)
def test_only_web_addresses_go_to_the_worker_as_they_are(picture: str, expected: bool) -> None:
    assert is_url(picture) is expected
