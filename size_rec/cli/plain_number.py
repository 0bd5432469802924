"""[pure] Numbers as people write them on a command line and into a chart: digits, and at most one decimal point."""

import re
from typing import Final

PLAIN_NUMBER: Final = re.compile(r"[+-]?[0-9]+(\.[0-9]*)?|[+-]?\.[0-9]+")
"""Python's own ``float`` would also read ``8_4`` as 84, and ``nan``, ``1e2`` and digits of other scripts."""


def plain_number(text: str) -> float:
    """The number that is written.

    Raises:
        ValueError: it is written otherwise.
    """
    if PLAIN_NUMBER.fullmatch(text.strip()) is None:
        raise ValueError("no plain number")
    return float(text)
