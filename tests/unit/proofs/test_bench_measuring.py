"""What ``make bench`` measures with: memory and processor time of processes, pictures, the bare image work."""

import io
import subprocess
import sys
from collections.abc import Iterator

import pytest
from PIL import Image

from proofs.bench.image_work import bare_cpu_seconds, bare_image_work
from proofs.bench.pictures import phone_photographs, web_photographs
from proofs.bench.process_tree import MemoryWatch, cpu_seconds, pss_bytes
from services.images.processor import prepare_image

MEBIBYTE = 2**20

HOLD_MEMORY_IN_A_CHILD = """
import subprocess, sys
child = subprocess.Popen([sys.executable, "-c",
    "held = bytearray(b'x' * (64 << 20)); import time; start = time.process_time()\\n"
    "while time.process_time() - start < 0.3: pass\\n"
    "print('holding', flush=True); input()"], stdin=subprocess.PIPE)
input()
child.communicate(b"\\n")
"""


@pytest.fixture
def parent_of_a_greedy_child() -> Iterator[int]:
    """A process whose child holds 64 MiB and has used 0.3 s of processor time."""
    process = subprocess.Popen(
        [sys.executable, "-c", HOLD_MEMORY_IN_A_CHILD], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )
    assert process.stdout is not None
    assert process.stdout.readline() == b"holding\n"
    yield process.pid
    process.communicate(b"\n")


def test_memory_and_processor_time_of_children_count(parent_of_a_greedy_child: int) -> None:
    assert pss_bytes(parent_of_a_greedy_child) > 64 * MEBIBYTE
    assert cpu_seconds(parent_of_a_greedy_child) >= 0.3
    with MemoryWatch(parent_of_a_greedy_child) as watch:
        pass
    assert watch.peak_bytes > 64 * MEBIBYTE


@pytest.mark.heavy
def test_the_phone_photographs_weigh_what_phones_photographs_do() -> None:
    for photograph in phone_photographs():
        with Image.open(io.BytesIO(photograph.jpeg)) as picture:
            assert picture.width * picture.height >= 12_000_000
        assert 3e6 < len(photograph.jpeg) < 6e6


def test_the_bare_image_work_makes_a_picture_as_large_as_the_workers() -> None:
    for photograph in web_photographs():
        prepared = prepare_image(photograph.jpeg)
        with Image.open(io.BytesIO(bare_image_work(photograph.jpeg))) as bare:
            assert bare.size == (prepared.width, prepared.height)


def test_the_bare_image_work_takes_processor_time() -> None:
    assert bare_cpu_seconds([photograph.jpeg for photograph in web_photographs()], rounds=1) > 0
