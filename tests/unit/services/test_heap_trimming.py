"""Memory that was freed goes back to the system, but not while there is nothing to give."""

import subprocess
import sys
from typing import Final

import pytest

from services.heap_trimming import WORTH_CPU_SECONDS, heap_trimmer, is_worth_it

KEEPS_WHAT_IT_FREED: Final = """
import psutil
from services.heap_trimming import heap_trimmer
blocks = [bytes(100_000) for _ in range(1_000)]
keeps_the_end_of_the_heap = bytes(100_000)
del blocks
before = psutil.Process().memory_info().rss
trim = heap_trimmer()
if trim:
    trim()
print(before - psutil.Process().memory_info().rss)
"""
MEBIBYTE: Final = 2**20


@pytest.mark.parametrize(("used", "worth"), [(0.0, False), (WORTH_CPU_SECONDS, True)])
def test_a_process_that_did_nothing_is_left_alone(used: float, worth: bool) -> None:
    assert is_worth_it(used) is worth


def test_what_was_freed_is_given_back_although_something_in_use_lies_behind_it() -> None:
    ended = subprocess.run([sys.executable, "-c", KEEPS_WHAT_IT_FREED], capture_output=True, text=True, check=True)
    assert int(ended.stdout) > 50 * MEBIBYTE or heap_trimmer() is None, "another C library keeps what it likes"
